// What was lost, and what is told to a lockd that lost its memory.
//
// While a request is unanswered we cannot know whether lockd carried it out before it died. What it
// may have freed was perhaps given to somebody else, so it is not reclaimed:
//
//   unlock, release of an owner        their ranges
//   release of a handle                what was set through it, also by a request that is open too
//   fcntl, shared over exclusive       reclaimed as shared
//   fcntl, any other lock              nothing: what the owner has, it keeps while it waits
//   flock, conversion                  all of it: flock(2) frees the old lock first
//   ours, giving back an interrupted   as if carried out: it only gives back
//   grant
//
// An unlock succeeds when it is asked again. A lock request that weakened something may be refused
// then, and its caller believes to hold what was not reclaimed: that file is lost (I6).

#include "fs/lock/client_core.h"
#include "holdfast/base/mutation.h"

#include <algorithm>
#include <set>
#include <utility>

namespace holdfast::fs {
namespace {

constexpr std::size_t kReclaimMax = 4096;  // locks a message: at most 0.5 MB
constexpr int kReclaimBurst = 4;           // messages, until writable()

using HandleOfFile = std::pair<FileKey, HandleId>;

}  // namespace

// ---- Losses

// lockd repeats a loss until it heard that we know; who locked the file anew in between keeps that.
void ClientCore::take_losses(const std::vector<FileLoss>& losses, ClientEffects& effects) {
  const LossNumber seen = losses_seen_;
  std::vector<FileKey> files;
  for (const FileLoss& loss : losses) {
    if (loss.number <= seen) continue;
    losses_seen_ = std::max(losses_seen_, loss.number);
    files.push_back(loss.file);
  }
  lose_files(std::move(files), effects);
}

void ClientCore::lose_files(std::vector<FileKey> files, ClientEffects& effects) {
  if (files.empty()) return;
  std::set<FileKey> gone(files.begin(), files.end());
  if (agent_) {
    // What a cover implied, and lockd may not have heard of, is lost with it.
    const auto with_cover = [&](const Command& command) {
      const auto* asserted = std::get_if<TokenAssert>(&command);
      if (asserted == nullptr || !gone.contains(asserted->cover)) return;
      for (const HeldToken& token : asserted->tokens)
        files.push_back(token.file);
    };
    for (const auto& [number, call] : sent_)
      with_cover(call.command);
    for (const Call& call : unsent_)
      with_cover(call.command);
    gone.insert(files.begin(), files.end());
    for (const FileKey& file : files)
      gone.merge(agent_->lost(file));
    lanes_due_.insert(gone.begin(), gone.end());
  }
  for (const FileKey& file : gone)
    held_.drop(file);
  // The listener runs first: whoever is completed below finds its handles poisoned.
  effects.emplace_back(FilesLost{{gone.begin(), gone.end()}});
  for (auto& [number, call] : sent_) {
    const auto* lock = std::get_if<LockRequest>(&call.command);
    if (lock != nullptr && gone.contains(lock->file)) abandon(call, effects);
  }
  for (auto it = unsent_.begin(); it != unsent_.end();) {
    const auto* lock = std::get_if<LockRequest>(&it->command);
    const bool ends = lock != nullptr && gone.contains(lock->file);
    if (ends && !it->background) {
      effects.emplace_back(CompleteCall{it->id, Refused{LockErrc::kLockLost}});
    }
    it = ends ? unsent_.erase(it) : std::next(it);
  }
  for (const FileKey& file : gone)
    lose_lane(file, effects);
  return_to_lanes();
  // Not while the map is walked: they are requests themselves.
  std::vector<RequestNumber> waiting;
  for (auto& [number, call] : sent_) {
    if (!call.abandoned || std::exchange(call.cancelled, true)) continue;
    if (std::get<LockRequest>(call.command).wait == Wait::kYes) waiting.push_back(number);
  }
  for (const RequestNumber number : waiting)
    send_background(CancelRequest{number}, effects);
}

// It acted on what was lost, or was granted before and that was lost with the rest. A give-back of
// ours would take something now.
void ClientCore::abandon(Call& call, ClientEffects& effects) {
  if (mutated(Mutation::kLateGrantHonoured)) return;
  call.abandoned = true;
  if (std::exchange(call.answered, true)) return;
  ++settling_[std::get<LockRequest>(call.command).file];
  if (!call.background) {
    effects.emplace_back(CompleteCall{call.id, Refused{LockErrc::kLockLost}});
  }
}

// Somebody believes to hold more of `file` than we do: then this mount holds nothing of it.
void ClientCore::forsake(const FileKey& file, ClientEffects& effects) {
  const std::vector<FileKey> files = held_.lost_with(file);
  std::vector<UnlockRequest> unlocks;
  std::vector<TokenRelease> tokens;
  for (const FileKey& one : files) {
    for (const HeldLocks::Agent& agent : held_.holders(one)) {
      unlocks.push_back({one, agent.space, agent.owner, ByteRange::whole_file()});
    }
    if (agent_ && agent_->known_to_lockd(one)) tokens.push_back({one, agent_->name(one)});
  }
  lose_files(files, effects);
  for (const UnlockRequest& unlock : unlocks)
    send_background(unlock, effects);
  for (const TokenRelease& token : tokens)
    send_background(token, effects);
}

// ---- Reclaim

void ClientCore::prepare_reclaim(ClientEffects& effects) {
  forget_what_may_be_free();
  // Whatever an owner in doubt holds: we do not know it, so it is lost, with what it protected.
  std::vector<FileKey> unsure;
  for (const FileKey& file : held_.uncertain_files()) {
    const auto with = held_.lost_with(file);
    unsure.insert(unsure.end(), with.begin(), with.end());
  }
  lose_files(std::move(unsure), effects);
  renumber(effects);
  if (agent_) agent_->forget_numbers();
}

void ClientCore::begin_reclaim(ClientEffects& effects) {
  databases_.clear();
  for (const FileKey& database : held_.wal_databases()) {
    if (lockd_knows_locks_of(database)) databases_.push_back(database);
  }
  if (agent_) {
    const auto tokens = agent_->tokens();
    tokens_.assign(tokens.begin(), tokens.end());
  }
  cursor_ = {};
  told_all_ = false;
  link_ = Link::kReclaiming;
  tell_more(effects);
}

void ClientCore::forget_what_may_be_free() {
  std::set<HandleOfFile> released;
  for (auto& [number, call] : sent_) {
    if (call.abandoned) continue;  // of a file that is lost: nothing there is reclaimed
    const auto* lock = std::get_if<LockRequest>(&call.command);
    if (lock != nullptr && !call.background) {
      call.weakened = held_.weaken(*lock) || call.weakened;
    } else if (call.background || !mutated(Mutation::kReclaimUnansweredUnlock)) {
      if (std::holds_alternative<ClaimWalRequest>(call.command)) continue;  // takes, frees nothing
      held_.apply(call.command);
    }
    const auto* release = std::get_if<ReleaseHandleRequest>(&call.command);
    if (release != nullptr) released.emplace(release->file, release->handle);
  }
  if (released.empty() || mutated(Mutation::kReclaimUnansweredUnlock)) return;
  for (const auto& [number, call] : sent_) {
    const auto* lock = std::get_if<LockRequest>(&call.command);
    if (lock == nullptr || !released.contains({lock->file, lock->handle})) continue;
    held_.apply(UnlockRequest{lock->file, lock->space, lock->owner, lock->range});
  }
}

// The numbers are void. What somebody waits for is asked again, in its old order and before what
// was never asked; cancels and give-backs have nothing left to do.
void ClientCore::renumber(ClientEffects& effects) {
  std::list<Call> again;
  for (auto& [number, call] : sent_) {
    if (!call.background && !call.answered) again.push_back(std::move(call));
  }
  sent_.clear();
  settling_.clear();
  last_number_ = 0;
  unsent_.remove_if([](const Call& call) { return call.background; });
  unsent_.splice(unsent_.begin(), again);
  for (auto it = unsent_.begin(); it != unsent_.end();) {
    it->cancelled = it->make_room = false;
    it->renumbered = true;
    const bool ends = it->user_interrupted && !it->weakened;
    if (ends) effects.emplace_back(CompleteCall{it->id, Refused{LockErrc::kInterrupted}});
    it = ends ? unsent_.erase(it) : std::next(it);
  }
  return_to_lanes();
}

void ClientCore::tell_more(ClientEffects& effects) {
  for (int i = 0; i < kReclaimBurst && has_more_to_say(); ++i) {
    Reclaim message;
    std::size_t room = kReclaimMax;
    for (; room > 0 && !tokens_.empty(); --room) {
      message.tokens.push_back(tokens_.front());
      tokens_.pop_front();
    }
    // Locks under PR and EX are ours to decide: the token tells of them.
    if (room > 0) {
      message.locks = held_.next(
          cursor_, room, [this](const FileKey& file) { return !lockd_knows_locks_of(file); });
    }
    room -= message.locks.size();
    // lockd lets claim only who holds a lock: all locks come first.
    for (; room > 0 && !databases_.empty(); --room) {
      message.wal_databases.push_back(databases_.front());
      databases_.pop_front();
    }
    message.last = room > 0;
    const bool asks = !unsent_.empty() || (agent_ && !agent_->wanted().empty());
    message.asks_again = message.last && asks;
    told_all_ = message.last;
    effects.emplace_back(SendMessage{ClientMessage(std::move(message))});
  }
}

ClientEffects ClientCore::writable() {
  ClientEffects effects;
  tell_more(effects);
  return effects;
}

void ClientCore::on(const Reclaimed& reclaimed, Instant now, ClientEffects& effects) {
  if (link_ != Link::kReclaiming || !told_all_) {
    return drop(DropConnection::Why::kProtocol, {}, effects);
  }
  take_losses(reclaimed.losses, effects);
  link_ = Link::kUp;
  pump(effects);
  go_on(effects);
  renew(now, effects);  // what was asked before is asked again: grace need not wait for us
}

}  // namespace holdfast::fs
