// What a lockd does with what its core decided, in order, and what the judges make of it.

#include "tests/sim/lockd_node.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

constexpr Duration kWriteRetry = milliseconds(100);

}  // namespace

void LockdNode::perform(lockd::Effects effects) {
  for (const auto& effect : effects) {
    if (const auto* record = std::get_if<lockd::Record>(&effect)) judge_decision(record->changes);
    const auto* reply = std::get_if<lockd::SendReply>(&effect);
    if (reply == nullptr || !scenario_.tokens || deposed()) continue;
    // What a mount gives up is gone as soon as lockd knows, before anybody is told.
    const Command* command = queue_.pending(reply->session, reply->reply.number);
    if (command != nullptr && std::holds_alternative<Done>(reply->reply.outcome))
      tokens_.done(reply->session, reply->reply.number, *command);
  }
  effects_.add(std::move(effects));
  drain();
}

// What it still says was decided while it led; the judges go by what mounts make of it.
bool LockdNode::deposed() const {
  return store_.replicated() && !store_.leads(index_);
}

void LockdNode::drain() {
  if (draining_) return;
  draining_ = true;
  while (effects_.has_next() && !halted_ && !frozen()) {
    if (crash_in_ > 0 && --crash_in_ == 0) {
      halted_ = true;
      world_.in({}, nullptr, [this] { crash(); });
      break;
    }
    if (freeze_in_ > 0 && --freeze_in_ == 0) {
      world_.note("lockd {}: stands still in the middle of it", index_);
      world_.freeze(*this);
      world_.disturbed(freeze_for_);
      world_.in(freeze_for_, nullptr, [this] { world_.thaw(*this); });
      world_.in({}, this, [this] { drain(); });
      break;
    }
    const auto effect = effects_.next();
    std::visit([this](const auto& one) { perform_one(one); }, *effect);
  }
  draining_ = false;
  write_next();
}

// Everything at once, as lockd does, or record by record: a crash in between finds more.
void LockdNode::write_next() {
  if (writing_ || halted_ || frozen() || !effects_.has_changes()) return;
  auto changes = effects_.take_changes(world_.rng.chance(0.5) ? 1 : SIZE_MAX);
  judge_record(changes);
  write(std::move(changes));
}

void LockdNode::perform_one(const lockd::SendReply& effect) {
  const SessionId session = effect.session;
  const RequestNumber number = effect.reply.number;
  const auto connection = find(session);
  const Command* command = deposed() ? nullptr : queue_.pending(session, number);
  if (command != nullptr) {
    if (const auto* lock = std::get_if<LockRequest>(command)) {
      if (std::holds_alternative<Granted>(effect.reply.outcome)) {
        const Lane lane{file_of(lock->file), lock->space};
        const std::uint64_t overtakes = core_->probe().overtakes;
        const bool excused = overtakes != overtakes_ || (scenario_.nested && overtakes > 0);
        overtakes_ = overtakes;
        queue_.granted(session, number, excused || judge_.holds(session, lock->owner, lane), now(),
                       [this](SessionId other) { return absent(other); });
        judge_.granted(session, *lock);
        if (scenario_.tokens) tokens_.lock_granted(session, lane.file);
        if (queue_.lost(session, number)) judge_.lost_since(session, lane.file);
        world_.note("lockd {}: session {:x} request {} granted: file {} owner {} {} cells {:02x}",
                    index_, session.value & 0xffff, number.value, lane.file, lock->owner.value,
                    lock->mode == LockMode::kExclusive ? "X" : "S", mask_of(lock->range));
      }
    } else if (std::holds_alternative<Done>(effect.reply.outcome)) {
      judge_.released(session, *command);
      world_.note("lockd {}: session {:x} request {} done (release)", index_,
                  session.value & 0xffff, number.value);
    } else if (const auto* token = std::get_if<TokenGranted>(&effect.reply.outcome)) {
      tokens_.granted(session, std::get<TokenRequest>(*command).file, number, token->mode);
    }
    queue_.answered(session, number);
  }
  if (connection) network_.send(connection, ServerMessage(effect.reply));
}

void LockdNode::perform_one(const lockd::Send& effect) {
  if (const auto* queued = std::get_if<Queued>(&effect.message))
    queue_.queued(effect.session, *queued);
  const auto* reclaimed = std::get_if<Reclaimed>(&effect.message);
  if (reclaimed != nullptr && !deposed()) {
    auto& locks = heard_[effect.session].reclaim;
    std::erase_if(locks, [&](const HeldLock& lock) {
      return std::any_of(reclaimed->losses.begin(), reclaimed->losses.end(),
                         [&](const FileLoss& loss) { return loss.file == lock.file; });
    });
    auto& tokens = heard_[effect.session].reclaim_tokens;
    std::erase_if(tokens, [&](const HeldToken& token) {
      return std::any_of(reclaimed->losses.begin(), reclaimed->losses.end(),
                         [&](const FileLoss& loss) { return loss.file == token.file; });
    });
    judge_.reclaimed(effect.session, locks);
    tokens_.reclaimed(effect.session, tokens);
    tokens.clear();
    world_.note("lockd {}: session {:x} has reclaimed {} locks, lost {} files", index_,
                effect.session.value & 0xffff, locks.size(), reclaimed->losses.size());
    locks.clear();
    heard_[effect.session].reclaiming = false;
  }
  if (const auto* recall = std::get_if<Recall>(&effect.message))
    world_.note("lockd {}: recalls file {} (token {}) from session {:x}, for mode {}", index_,
                static_cast<std::int64_t>(file_of(recall->file)), recall->token.value,
                effect.session.value & 0xffff, static_cast<int>(recall->wanted));
  if (const auto connection = find(effect.session)) network_.send(connection, effect.message);
}

void LockdNode::perform_one(const lockd::Greet& effect) {
  const auto at = greeting_.find(effect.connection.value);
  if (at == greeting_.end()) return;
  const ConnectionPtr connection = at->second;
  greeting_.erase(at);
  if (const auto* refused = std::get_if<HelloRefused>(&effect.answer)) {
    world_.note("lockd {}: mount {} refused, error {}", index_, connection->mount,
                static_cast<int>(refused->errc));
    network_.send(connection, ServerMessage(*refused));
    return network_.close_by_lockd(connection, Network::How::kAfterQueue);
  }
  const auto& welcome = std::get<Welcome>(effect.answer);
  world_.note("lockd {}: mount {} welcome, session {:x}{}, {} losses", index_, connection->mount,
              welcome.session.value & 0xffff, welcome.reclaim ? ", to reclaim" : "",
              welcome.losses.size());
  if (const auto old = find(welcome.session)) {
    by_connection_.erase(old->id);
    network_.close_by_lockd(old, Network::How::kAtOnce);
  }
  by_session_[welcome.session] = connection;
  by_connection_[connection->id] = welcome.session;
  if (welcome.reclaim) {
    heard_[welcome.session].reclaim.clear();
    heard_[welcome.session].reclaim_tokens.clear();
    heard_[welcome.session].reclaiming = true;
    queue_.gone(welcome.session);  // numbered anew
  }
  core_->connected(welcome.session, true);
  network_.send(connection, ServerMessage(welcome));
}

void LockdNode::perform_one(const lockd::EndSession& effect) {
  world_.note("lockd {}: session {:x} ends", index_, effect.session.value & 0xffff);
  queue_.gone(effect.session);
  if (!deposed()) tokens_.session_ended(effect.session);
  const auto connection = find(effect.session);
  if (connection == nullptr) return;
  by_session_.erase(effect.session);
  by_connection_.erase(connection->id);
  network_.send(connection, ServerMessage(SessionEnded{}));
  network_.close_by_lockd(connection, Network::How::kAfterQueue);
}

void LockdNode::perform_one(const lockd::Disconnect& effect) {
  const auto connection = find(effect.session);
  if (connection == nullptr) return;
  by_session_.erase(effect.session);
  by_connection_.erase(connection->id);
  if (core_ != nullptr) core_->connected(effect.session, false);
  network_.close_by_lockd(connection, Network::How::kAfterQueue);
}

bool LockdNode::absent(SessionId session) {
  if (judge_.was_broken(session)) return true;
  const auto at = heard_.find(session);
  return at == heard_.end() || now() - at->second.last >= Duration(scenario_.options.lease_ttl);
}

// T9 is for mounts that are ill. One that is well answers, or what it said was lost for good.
void LockdNode::judge_recalls() {
  if (core_ == nullptr || core_->probe().recalls_unmet == recalls_unmet_) return;
  recalls_unmet_ = core_->probe().recalls_unmet;
  const Duration calm = world_.now() - world_.calm_from();
  const bool storage_is_slow = scenario_.late_write > 0;
  const auto& options = scenario_.options;  // sessions of the dead are over by then
  if (!storage_is_slow && calm >= Duration(options.tokens.recall_max + options.lease_ttl))
    world_.violation("T9 answers", "a mount that is well does not answer a recall");
}

// Judged as it is decided: by the time it is written, more may have been heard.
void LockdNode::judge_decision(const lockd::StoreChanges& changes) {
  for (const auto& change : changes) {
    if (const auto* loss = std::get_if<lockd::PutLoss>(&change)) {
      queue_.each_lock(
          [this](SessionId wants, const LockRequest& lock) { judge_.wants(wants, lock); });
      judge_.loss_recorded(loss->session, file_of(loss->loss.file));
      queue_.loses(loss->session, loss->loss.file);
      // T9: it lives and does not answer a recall. That is as an operator's order.
      if (scenario_.tokens && !absent(loss->session)) judge_.broken(loss->session);
    } else if (const auto* put = std::get_if<lockd::PutSession>(&change)) {
      const auto at = heard_.find(put->record.session);
      if (at != heard_.end()) at->second.runs_out = put->record.breaks.given();
    } else if (const auto* end = std::get_if<lockd::EndSessionRecord>(&change)) {
      const auto at = heard_.find(end->session);
      const Instant last = at == heard_.end() ? started_ : at->second.last;
      const bool excused = judge_.was_broken(end->session) || judge_.is_quiet(end->session) ||
                           (at != heard_.end() && at->second.reclaiming);
      if (!excused && now() - last < Duration(scenario_.options.lease_ttl))
        world_.violation("I6 courtesy", fmt::format("lockd ends session {:x}, whose lease is not "
                                                    "over",
                                                    end->session.value & 0xffff));
    }
  }
}

void LockdNode::judge_record(const lockd::StoreChanges& changes) {
  for (const auto& change : changes) {
    if (const auto* loss = std::get_if<lockd::PutLoss>(&change)) {
      world_.note("lockd {}: records that session {:x} loses file {}", index_,
                  loss->session.value & 0xffff, file_of(loss->loss.file));
    } else if (const auto* end = std::get_if<lockd::EndSessionRecord>(&change)) {
      world_.note("lockd {}: records that session {:x} is at its end", index_,
                  end->session.value & 0xffff);
      judge_.ended(end->session);
    } else if (const auto* drop = std::get_if<lockd::DropSession>(&change)) {
      if (!deposed()) judge_.dropping(drop->session);
    }
  }
}

void LockdNode::perform_one(const lockd::Record&) {}  // the queue keeps them

void LockdNode::write(lockd::StoreChanges changes) {
  writing_ = true;
  const std::uint64_t run = run_;
  auto kept = std::make_shared<lockd::StoreChanges>(std::move(changes));
  store_.write(index_, lease_, *this, *kept, [this, run, kept](StoreModel::Outcome outcome) {
    if (run != run_) return;
    if (outcome == StoreModel::Outcome::kNotLeader) return step_down();
    if (outcome == StoreModel::Outcome::kFailed) {
      // Nothing that depends on it is said. It may be repeated: changes are idempotent.
      world_.in(kWriteRetry, this, [this, run, kept] {
        if (run == run_) write(std::move(*kept));
      });
      return;
    }
    for (const auto& change : *kept)
      if (const auto* put = std::get_if<lockd::PutSession>(&change)) {
        if (!put->record.ended) judge_.goes_on(put->record.session);
      } else if (const auto* end = std::get_if<lockd::EndSessionRecord>(&change)) {
        judge_.ended(end->session);  // after its return, in one transaction
      }
    writing_ = false;
    effects_.written();
    drain();
    for (const auto& change : *kept)
      if (const auto* drop = std::get_if<lockd::DropSession>(&change); drop && !deposed())
        judge_.dropped(drop->session);
    if (core_ != nullptr) schedule_tick();
  });
}

std::uint64_t LockdNode::mount_of(const std::string& address) const {
  return std::stoull(address.substr(address.rfind('.') + 1));
}

void LockdNode::perform_one(const lockd::RunFence& effect) {
  const std::uint64_t run = run_;
  const SessionId session = effect.session;
  const std::uint64_t attempt = effect.attempt;
  const std::size_t mount = mount_of(effect.record.address);
  const bool works = world_.rng.chance(0.7);
  const Duration takes = world_.rng.chance(0.5)
                             ? world_.rng.between(milliseconds(1), milliseconds(20))
                             : world_.rng.between(milliseconds(20), seconds(2));
  world_.in(takes, nullptr, [this, run, session, attempt, mount, works] {
    if (works) storage_.fence(mount);  // also if the lockd that asked is dead by now
    world_.in({}, this, [this, run, session, attempt, works] {
      if (run != run_ || core_ == nullptr) return;
      perform(core_->fence_done(session, attempt, works, now()));
      schedule_tick();
    });
  });
}

}  // namespace holdfast::sim
