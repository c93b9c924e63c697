#include "tests/sim/lockd_node.h"

#include <algorithm>
#include <string>

namespace holdfast::sim {
namespace {

constexpr Duration kOpenRetry = milliseconds(200);
constexpr std::size_t kListMax = 100'000;
constexpr std::uint64_t kWallStart = 1'700'000'000;

/// What it said did not count: it must say Hello first.
bool sends_away(const lockd::Effects& effects, SessionId session) {
  return std::any_of(effects.begin(), effects.end(), [&](const lockd::Effect& effect) {
    const auto* away = std::get_if<lockd::Disconnect>(&effect);
    return away != nullptr && away->session == session;
  });
}

}  // namespace

LockdNode::LockdNode(World& world, const Scenario& scenario, std::size_t index, Network& network,
                     StoreModel& store, NfsModel& storage, Judge& judge, TokenJudge& tokens,
                     NodeClock clock)
    : world_(world),
      scenario_(scenario),
      index_(index),
      network_(network),
      store_(store),
      storage_(storage),
      judge_(judge),
      tokens_(tokens),
      clock_(clock),
      queue_(world, scenario.options.fairness_patience) {
  network.attach_lockd(index, *this);
}

// As lockd/server: time that this process stood still is not counted against leases.
Instant LockdNode::now() {
  const Instant real = clock_.local(world_.now());
  const Duration gap = real - last_look_;
  last_look_ = real;
  const Duration tick_max =
      std::clamp<Duration>(Duration(scenario_.options.lease_ttl) / 4, milliseconds(10), seconds(1));
  if (gap > 2 * tick_max) {
    paused_ += gap - tick_max;
    // The store's clock did not stand still: what is left of the leadership is less by the pause.
    if (core_ != nullptr && store_.replicated()) core_->authority(authority_ - paused_);
  }
  return real - paused_;
}

// ---- Start and end

void LockdNode::start() {
  if (alive()) return;
  born();
  world_.note("lockd {}: starts", index_);
  halted_ = false;
  open();
}

void LockdNode::open() {
  const std::uint64_t run = ++run_;
  const auto wall =
      static_cast<std::uint64_t>(static_cast<std::int64_t>(kWallStart) + wall_offset_ +
                                 std::chrono::duration_cast<seconds>(world_.now()).count());
  const Instant asked = clock_.local(world_.now());
  store_.open(index_, *this, scenario_.options.lease_ttl, wall,
              [this, run, asked](std::optional<StoreModel::Opened> result) {
                if (run != run_) return;
                if (!result) {
                  world_.in(kOpenRetry, this, [this, run] {
                    if (run == run_) open();
                  });
                  return;
                }
                authority_ = asked;
                opened(std::move(*result));
              });
}

void LockdNode::opened(StoreModel::Opened opened) {
  // A store that knows nobody gives those who may be out there time to come back.
  const auto& options = scenario_.options;
  const bool knows_nobody = opened.recovered.empty;
  world_.disturbed(knows_nobody
                       ? options.lease_ttl + options.write_life_default + options.storage_delay
                       : milliseconds(0));
  last_look_ = clock_.local(world_.now());
  paused_ = Duration::zero();
  started_ = now();
  lease_ = opened.lease;
  world_.note("lockd {}: serves, epoch {}, {} known sessions", index_, opened.recovered.epoch.value,
              opened.recovered.sessions.size());
  ordered_.clear();
  for (const auto& record : opened.recovered.sessions) {
    judge_.recorded(record.session, record.quiet);
    if (record.breaks.given()) ordered_.insert(record.session);
  }
  core_ = std::make_unique<lockd::Coordinator>(scenario_.options, opened.recovered, started_);
  overtakes_ = recalls_unmet_ = 0;
  queue_.clear();
  if (store_.replicated()) {
    authority_ += store_.leader_ttl() - store_.leader_ttl() / 50 - milliseconds(100);
    core_->authority(authority_ - paused_);
    lead();
  }
  tick_at_ = Time::max();
  schedule_tick();
}

void LockdNode::lead() {
  const std::uint64_t run = run_;
  const Instant asked = clock_.local(world_.now());
  store_.keep_alive(index_, lease_, *this, [this, run, asked](bool ours) {
    if (run != run_ || core_ == nullptr) return;
    if (!ours) return step_down();
    authority_ = asked + store_.leader_ttl() - store_.leader_ttl() / 50 - milliseconds(100);
    static_cast<void>(now());  // a pause that just ended is noticed first
    core_->authority(authority_ - paused_);
    schedule_tick();
  });
  world_.in(clock_.real(store_.leader_ttl() / 3), this, [this, run] {
    if (run == run_ && core_ != nullptr) lead();
  });
}

void LockdNode::step_down() {
  world_.disturbed({});
  world_.note("lockd {}: leads no more", index_);
  for (const auto& [session, connection] : by_session_)
    network_.close_by_lockd(connection, Network::How::kAtOnce);
  end_process();
  born();
  open();
}

void LockdNode::end_process() {
  ++run_;
  died();
  core_.reset();
  effects_.clear();
  writing_ = false;
  crash_in_ = freeze_in_ = 0;
  greeting_.clear();
  by_session_.clear();
  by_connection_.clear();
  heard_.clear();
}

void LockdNode::crash() {
  if (!alive()) return;
  world_.disturbed({});
  world_.note("lockd {}: crashes", index_);
  store_.crashed(index_);
  network_.lockd_died(index_);
  end_process();
}

void LockdNode::stop() {
  if (!alive()) return;
  world_.note("lockd {}: is stopped", index_);
  // What it has decided and not told is lost with it, as in a crash; records are complete.
  store_.crashed(index_);
  network_.lockd_died(index_);
  end_process();
}

void LockdNode::freeze_at_effect(std::uint64_t n, Duration duration) {
  freeze_in_ = std::max<std::uint64_t>(n, 1);
  freeze_for_ = duration;
}

bool LockdNode::listening() const {
  return alive() && !halted_ && (core_ != nullptr || store_.replicated());
}

// ---- Connections

ConnectionPtr LockdNode::find(SessionId session) const {
  const auto at = by_session_.find(session);
  return at == by_session_.end() ? nullptr : at->second;
}

void LockdNode::received(const ConnectionPtr& connection, ClientMessage message) {
  if (halted_) return;
  if (core_ == nullptr) {
    network_.send(connection,
                  ServerMessage(HelloRefused{LockErrc::kStandby, milliseconds(0), "standby"}));
    return network_.close_by_lockd(connection, Network::How::kAfterQueue);
  }
  std::visit([&](const auto& one) { handle(connection, one); }, message);
  const bool all_told = core_ != nullptr && !effects_.has_next() && !writing_ && !deposed();
  if (all_told && queue_.anybody_gives_way()) queue_.check_ways(core_->list_locks(now(), kListMax));
  schedule_tick();
}

void LockdNode::ended(const ConnectionPtr& connection) {
  network_.close_by_lockd(connection, Network::How::kAtOnce);
  greeting_.erase(connection->id);
  const auto at = by_connection_.find(connection->id);
  if (at == by_connection_.end()) return;
  if (core_ != nullptr) core_->connected(at->second, false);
  by_session_.erase(at->second);
  by_connection_.erase(at);
}

void LockdNode::handle(const ConnectionPtr& connection, const Hello& hello) {
  lockd::Identity fresh;
  fresh.session = SessionId{world_.rng.next() | 1U};
  for (auto& byte : fresh.secret)
    byte = static_cast<std::uint8_t>(world_.rng.next());
  fresh.address = "10.0.0." + std::to_string(connection->mount);
  greeting_[connection->id] = connection;
  const bool grace = core_->status().grace;
  auto effects = core_->hello(hello, fresh, lockd::ConnectionId{connection->id}, now());
  // Now, not when it is told: its lease counts from here.
  for (const auto& effect : effects)
    if (const auto* greet = std::get_if<lockd::Greet>(&effect))
      if (const auto* welcome = std::get_if<Welcome>(&greet->answer))
        heard(welcome->session, grace);
  perform(std::move(effects));
}

// `grace`: when it was heard. Whoever is late then has no waiters yet that could be withdrawn, and
// is back before anybody is granted anything: its requests keep the places they came with.
void LockdNode::heard(SessionId session, bool grace) {
  const Instant at = now();
  auto& entry = heard_[session];
  if (entry.runs_out) return;
  const bool late =
      entry.last != Instant{} && at - entry.last >= Duration(scenario_.options.lease_ttl);
  if (late && !grace) queue_.withdrawn(session);
  entry.last = at;
}

void LockdNode::handle(const ConnectionPtr& connection, const Request& request) {
  const auto at = by_connection_.find(connection->id);
  if (at == by_connection_.end()) return;
  const SessionId session = at->second;
  const bool grace = core_->status().grace;
  auto effects = core_->request(session, request, now());
  if (sends_away(effects, session)) {
    world_.note("lockd {}: session {:x} asks {} (kind {}), and is sent away", index_,
                session.value & 0xffff, request.number.value, request.command.index());
    return perform(std::move(effects));
  }
  heard(session, grace);
  const auto* lock = std::get_if<LockRequest>(&request.command);
  const bool holder =
      lock != nullptr && judge_.holds(session, lock->owner, {file_of(lock->file), lock->space});
  const bool fresh = queue_.arrived(session, request, holder, grace, now());
  world_.note("lockd {}: session {:x} asks {} (kind {}){}", index_, session.value & 0xffff,
              request.number.value, request.command.index(), fresh ? "" : ", again");
  if (lock != nullptr)
    world_.note("  file {}{} owner {} {} cells {:02x}{}", file_of(lock->file),
                lock->space == LockSpace::kFlock ? " flock" : "", lock->owner.value,
                lock->mode == LockMode::kExclusive ? "X" : "S", mask_of(lock->range),
                lock->wait == Wait::kNo ? "" : ", waits");
  if (const auto* token = std::get_if<TokenRequest>(&request.command); token && fresh)
    judge_.wants_token(session, file_of(token->file));
  if (lock != nullptr && fresh) {
    judge_.wants(session, *lock);
    if (lock->space == LockSpace::kFlock) judge_.released(session, *lock);
  }
  perform(std::move(effects));
}

void LockdNode::handle(const ConnectionPtr& connection, const Renew& renew) {
  const auto at = by_connection_.find(connection->id);
  if (at == by_connection_.end()) return;
  const SessionId session = at->second;
  const bool grace = core_->status().grace;
  auto effects = core_->renew(session, renew, now());
  if (!sends_away(effects, session)) heard(session, grace);
  perform(std::move(effects));
}

void LockdNode::handle(const ConnectionPtr& connection, const Goodbye&) {
  const auto at = by_connection_.find(connection->id);
  if (at == by_connection_.end()) return;
  judge_.ended(at->second);
  perform(core_->goodbye(at->second, now()));
}

void LockdNode::handle(const ConnectionPtr& connection, const Reclaim& reclaim) {
  const auto at = by_connection_.find(connection->id);
  if (at == by_connection_.end()) return;
  const SessionId session = at->second;
  heard(session, core_->status().grace);
  auto& entry = heard_[session];
  entry.reclaim.insert(entry.reclaim.end(), reclaim.locks.begin(), reclaim.locks.end());
  entry.reclaim_tokens.insert(entry.reclaim_tokens.end(), reclaim.tokens.begin(),
                              reclaim.tokens.end());
  auto effects = core_->reclaim(session, reclaim, now());
  // Renews its lease no more. If it has nothing left of what it was to lose, that is recorded now.
  if (reclaim.last && !sends_away(effects, session)) entry.runs_out = ordered_.erase(session) > 0;
  perform(std::move(effects));
}

template <class Other>
void LockdNode::handle(const ConnectionPtr&, const Other&) {
  world_.violation("protocol", "a mount sends what only admins may");
}

void LockdNode::break_session(std::uint64_t choice, bool one_file) {
  if (core_ == nullptr || frozen() || halted_) return;
  const auto list = core_->list_sessions(now());
  if (list.sessions.empty()) return;
  const SessionId victim = list.sessions[choice % list.sessions.size()].session;
  judge_.broken(victim);
  world_.note("lockd {}: an operator breaks session {:x}", index_, victim.value & 0xffff);
  auto outcome = one_file ? core_->break_file(victim, key_of(choice % scenario_.files), now())
                          : core_->break_session(victim, now());
  perform(std::move(outcome.effects));
  schedule_tick();
}

// ---- Time

void LockdNode::tick() {
  tick_at_ = Time::max();
  perform(core_->tick(now()));
  judge_recalls();
  if (core_ != nullptr) schedule_tick();
}

void LockdNode::schedule_tick() {
  if (core_ == nullptr) return;
  const Instant next = core_->next_deadline();
  Time when = world_.now() + seconds(1);
  const Instant soon = last_look_ - paused_ + seconds(2);
  if (next < soon)
    when = std::min(when, std::max(clock_.when(next + paused_), world_.now() + microseconds(100)));
  if (tick_at_ <= when) return;
  tick_at_ = when;
  const std::uint64_t run = run_;
  world_.at(when, this, [this, run, when] {
    if (run == run_ && core_ != nullptr && !halted_ && tick_at_ == when) tick();
  });
}

}  // namespace holdfast::sim
