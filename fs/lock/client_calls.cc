#include "fs/lock/client_command.h"
#include "fs/lock/client_core.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

namespace holdfast::fs {
namespace {

bool asks_for_something(const Command& command) {
  return std::holds_alternative<LockRequest>(command) ||
         std::holds_alternative<QueryRequest>(command) ||
         std::holds_alternative<ClaimWalRequest>(command);
}

// Could `command` change what `owner` holds of `file` in `space`?
bool touches(const Command& command, const FileKey& file, LockSpace space, OwnerId owner) {
  if (const auto* lock = std::get_if<LockRequest>(&command)) {
    return lock->file == file && lock->space == space && lock->owner == owner;
  }
  if (const auto* unlock = std::get_if<UnlockRequest>(&command)) {
    return unlock->file == file && unlock->space == space && unlock->owner == owner;
  }
  if (const auto* release = std::get_if<ReleaseOwnerRequest>(&command)) {
    return release->file == file && space == LockSpace::kRange && release->owner == owner;
  }
  if (const auto* release = std::get_if<ReleaseHandleRequest>(&command)) {
    return release->file == file;
  }
  return false;
}

// Whose locks `command` may change; nothing if of no owner, or of many.
struct OwnerOfFile {
  FileKey file;
  LockSpace space;
  OwnerId owner;
};
std::optional<OwnerOfFile> owner_of(const Command& command) {
  if (const auto* lock = std::get_if<LockRequest>(&command)) {
    return OwnerOfFile{lock->file, lock->space, lock->owner};
  }
  if (const auto* unlock = std::get_if<UnlockRequest>(&command)) {
    return OwnerOfFile{unlock->file, unlock->space, unlock->owner};
  }
  if (const auto* release = std::get_if<ReleaseOwnerRequest>(&command)) {
    return OwnerOfFile{release->file, LockSpace::kRange, release->owner};
  }
  return std::nullopt;
}

// Frees all that its owner holds of the file.
bool frees_all(const Command& command) {
  const auto* unlock = std::get_if<UnlockRequest>(&command);
  return std::holds_alternative<ReleaseOwnerRequest>(command) ||
         (unlock != nullptr && unlock->range == ByteRange::whole_file());
}

// Once it is answered, and nothing else was on its way, we know what its owner holds: nothing.
bool may_clear_doubt(const Command& command, const HeldLocks& held) {
  if (!frees_all(command)) return false;
  const auto owner = owner_of(command);
  return held.uncertain(owner->file, owner->space, owner->owner);
}

void trust_owner(const Command& command, HeldLocks& held) {
  const auto owner = owner_of(command);
  held.trust(owner->file, owner->space, owner->owner);
}

// lockd takes a claim by who holds nothing there for a mistake. After a restart it may be none: the
// lock was being given up at the same time.
Outcome for_caller(const Command& command, bool renumbered, const Outcome& outcome) {
  const auto* refused = std::get_if<Refused>(&outcome);
  const bool void_claim = renumbered && refused != nullptr &&
                          refused->errc == LockErrc::kBadRequest &&
                          std::holds_alternative<ClaimWalRequest>(command);
  return void_claim ? Outcome(Refused{LockErrc::kWalOwnedElsewhere}) : outcome;
}

// What sets the owner back to `before`, after `granted` was.
std::vector<Command> give_back(const LockRequest& granted,
                               const std::vector<HeldLocks::Piece>& before) {
  std::vector<Command> commands;
  const auto unlock = [&](std::uint64_t start, std::uint64_t end) {
    const auto gap = ByteRange::make(start, end);
    if (gap) commands.emplace_back(UnlockRequest{granted.file, granted.space, granted.owner, *gap});
  };
  std::uint64_t done = granted.range.start();
  for (const HeldLocks::Piece& piece : before) {
    unlock(done, piece.range.start());
    LockRequest restore = granted;
    restore.range = piece.range;
    restore.mode = piece.mode;  // the same or weaker, so never in anybody's way
    restore.handle = piece.handle;
    restore.wait = Wait::kNo;
    commands.emplace_back(restore);
    done = piece.range.end();
  }
  unlock(done, granted.range.end());
  return commands;
}

}  // namespace

RequestNumber ClientCore::acknowledged() const {
  return {sent_.empty() ? last_number_ : sent_.begin()->first.value - 1};
}

bool ClientCore::unsettled(const Command& command) const {
  if (settling_.empty()) return false;
  const FileKey* file = file_of(command);
  return file != nullptr && settling_.contains(*file);
}

CallId ClientCore::submit(Command command, Instant now, ClientEffects& effects) {
  see(now);
  return submit(std::move(command), effects);
}

CallId ClientCore::submit(Command command, ClientEffects& effects) {
  const CallId id{++last_call_};
  // Whatever gives something back is never refused: nobody would send it again, and the lock would
  // stay for as long as the session.
  if (unsent_.size() + lane_calls_ >= limits_.unsent_max && asks_for_something(command)) {
    refuse_unsent(Call{.id = id, .command = std::move(command)}, effects);
    return id;
  }
  if (agent_) {
    if (const auto outcome = decide_first(command, effects)) {
      effects.emplace_back(CompleteCall{id, *outcome});
      go_on(effects);
      return id;
    }
    const FileKey file = *file_of(command);
    lanes_[file].push_back(Call{.id = id, .command = std::move(command), .since = now_});
    ++lane_calls_;
    lanes_due_.insert(file);
    go_on(effects);
    return id;
  }
  unsent_.push_back(Call{.id = id, .command = std::move(command), .since = now_});
  pump(effects);
  return id;
}

void ClientCore::pump(ClientEffects& effects) {
  if (link_ != Link::kUp || unsent_.empty()) return;
  for (auto it = unsent_.begin(); it != unsent_.end();) {
    const bool full = last_number_ - acknowledged().value >= window(*session_);
    if (full && !it->background) {
      make_room(effects);
      return;
    }
    if (!it->background && unsettled(it->command)) {
      ++it;
      continue;
    }
    Call call = std::move(*it);
    it = unsent_.erase(it);
    const bool cancel = call.user_interrupted && !ends_by_itself(call);
    send_numbered(std::move(call), effects);
    if (!cancel) continue;
    sent_.rbegin()->second.cancelled = true;
    send_background(CancelRequest{sent_.rbegin()->first}, effects);
  }
}

void ClientCore::send_numbered(Call call, ClientEffects& effects) {
  const RequestNumber acked = acknowledged();
  const RequestNumber number{++last_number_};
  effects.emplace_back(SendMessage{ClientMessage(Request{number, acked, call.command})});
  call.alone = may_clear_doubt(call.command, held_) && !touched_by_another(number, call.command);
  sent_.emplace_hint(sent_.end(), number, std::move(call));
}

void ClientCore::send_background(Command command, ClientEffects& effects) {
  Call call{.id = CallId{++last_call_}, .command = std::move(command), .background = true};
  if (link_ == Link::kUp) return send_numbered(std::move(call), effects);
  unsent_.push_front(std::move(call));
}

// The oldest request waits for a lock or a token and keeps lockd from forgetting what came after
// it. It is cancelled and asked again under a new number. It loses its place among the waiters once
// in kWindowMax requests of its own mount; a session that stands still would be worse.
void ClientCore::make_room(ClientEffects& effects) {
  const auto& [number, oldest] = *sent_.begin();
  const auto* lock = std::get_if<LockRequest>(&oldest.command);
  const bool waits = (lock != nullptr && lock->wait == Wait::kYes) ||
                     std::holds_alternative<TokenRequest>(oldest.command);
  if (!waits || oldest.cancelled) return;
  sent_.begin()->second.cancelled = true;
  sent_.begin()->second.make_room = true;
  send_background(CancelRequest{number}, effects);
}

void ClientCore::resend(ClientEffects& effects) {
  const RequestNumber acked = acknowledged();
  for (const auto& [number, call] : sent_) {
    effects.emplace_back(SendMessage{ClientMessage(Request{number, acked, call.command})});
  }
}

void ClientCore::on(const Reply& reply, Instant now, ClientEffects& effects) {
  const auto found = sent_.find(reply.number);
  if (found == sent_.end()) return;  // a kept reply, sent again
  const auto* refused = std::get_if<Refused>(&reply.outcome);
  if (refused != nullptr && refused->errc == LockErrc::kSessionLost) {
    lose(effects);
    return drop(DropConnection::Why::kLost, {}, effects);
  }
  Call call = std::move(found->second);
  sent_.erase(found);
  if (refused != nullptr) note_limit(call, *refused, LimitRefusal::By::kLockd, effects);
  if (agent_ && is_about_tokens(call, reply, now, effects)) return pump(effects);
  if (refused != nullptr && !call.overtaken) held_.refused(call.command, refused->errc);
  if (agent_ && std::holds_alternative<Granted>(reply.outcome)) note_overtaken(call, reply.number);
  if (call.answered && std::holds_alternative<LockRequest>(call.command)) {
    settle(call, reply.outcome, effects);
  } else if (refused != nullptr && refused->errc == LockErrc::kInterrupted && call.make_room &&
             !call.user_interrupted) {
    call.cancelled = call.make_room = false;
    if (auto* lock = std::get_if<LockRequest>(&call.command)) lock->place.reset();
    unsent_.push_front(std::move(call));
  } else {
    settle_held(call, reply.outcome, effects);
    complete(call, for_caller(call.command, call.renumbered, reply.outcome), effects);
  }
  pump(effects);
}

// A flock that waits has given up what its owner had before; what is granted to the owner by a
// later request meanwhile, it keeps when that wait ends.
void ClientCore::note_overtaken(const Call& granted, RequestNumber number) {
  const auto* lock = std::get_if<LockRequest>(&granted.command);
  if (lock == nullptr || lock->space != LockSpace::kFlock) return;
  for (auto at = sent_.begin(); at != sent_.end() && at->first < number; ++at) {
    if (!std::holds_alternative<LockRequest>(at->second.command)) continue;
    if (touches(at->second.command, lock->file, lock->space, lock->owner)) {
      at->second.overtaken = true;
    }
  }
}

// What a verdict says about the locks of the call's owner.
void ClientCore::settle_held(const Call& call, const Outcome& outcome, ClientEffects& effects) {
  const auto* refused = std::get_if<Refused>(&outcome);
  if (refused == nullptr) {
    held_.apply(call.command);
    if (call.alone) trust_owner(call.command, held_);
    return;
  }
  const auto* request = std::get_if<LockRequest>(&call.command);
  if (request == nullptr || !call.weakened) return;
  // flock(2): a conversion that fails or is interrupted has lost the old lock, the caller knows.
  const bool expected =
      request->space == LockSpace::kFlock &&
      (refused->errc == LockErrc::kWouldBlock || refused->errc == LockErrc::kInterrupted);
  if (!expected) forsake(request->file, effects);
}

void ClientCore::settle(const Call& call, const Outcome& outcome, ClientEffects& effects) {
  const auto& request = std::get<LockRequest>(call.command);
  const auto open = settling_.find(request.file);
  if (--open->second == 0) settling_.erase(open);
  if (call.abandoned) {
    if (!std::holds_alternative<Granted>(outcome)) return;
    const UnlockRequest unlock{request.file, request.space, request.owner, request.range};
    return send_background(unlock, effects);
  }
  if (!std::holds_alternative<Granted>(outcome)) return;
  auto before = held_.within(request.file, request.space, request.owner, request.range);
  if (held_.converts_flock(request)) before.clear();
  held_.apply(call.command);
  for (Command& command : give_back(request, before))
    send_background(std::move(command), effects);
}

bool ClientCore::can_give_back(RequestNumber number, const LockRequest& request) const {
  if (held_.uncertain(request.file, request.space, request.owner)) return false;
  if (touched_by_another(number, Command(request))) return false;
  if (request.mode == LockMode::kExclusive) return true;
  const auto before = held_.within(request.file, request.space, request.owner, request.range);
  return std::none_of(before.begin(), before.end(), [](const HeldLocks::Piece& piece) {
    return piece.mode == LockMode::kExclusive;
  });
}

ClientEffects ClientCore::interrupt(CallId call) {
  ClientEffects effects;
  const auto is_it = [&](const Call& one) {
    return one.id == call && std::holds_alternative<LockRequest>(one.command);
  };
  if (agent_ && interrupt_in_lane(call, effects)) return effects;
  const auto unsent = std::find_if(unsent_.begin(), unsent_.end(), is_it);
  if (unsent != unsent_.end() && unsent->weakened) {
    unsent->user_interrupted = true;  // its verdict matters to what the owner holds
    return effects;
  }
  if (unsent != unsent_.end()) {
    complete(*unsent, Refused{LockErrc::kInterrupted}, effects);
    if (!goes_on_as_unlock(*unsent)) unsent_.erase(unsent);
    go_on(effects);
    return effects;
  }
  const auto sent = std::find_if(sent_.begin(), sent_.end(),
                                 [&](const auto& entry) { return is_it(entry.second); });
  if (sent == sent_.end() || sent->second.user_interrupted) return effects;
  const auto& request = std::get<LockRequest>(sent->second.command);
  sent->second.user_interrupted = true;
  // What was weakened is held as shared since the restart: its verdict matters, as above.
  if (!sent->second.weakened && can_give_back(sent->first, request)) {
    sent->second.answered = true;
    ++settling_[request.file];
    effects.emplace_back(CompleteCall{call, Refused{LockErrc::kInterrupted}});
  }
  if (ends_by_itself(sent->second)) return effects;
  if (!std::exchange(sent->second.cancelled, true)) {
    send_background(CancelRequest{sent->first}, effects);
  }
  return effects;
}

// Linux takes the old lock away before it looks whether the new one is free (flock_lock_inode), so
// its callers have lost it when they hear EINTR. In its place in the order: what another thread
// locks through the same description later is not concerned.
bool ClientCore::goes_on_as_unlock(Call& call) const {
  const auto& request = std::get<LockRequest>(call.command);
  if (!held_.converts_flock(request)) return false;
  call.command = UnlockRequest{request.file, request.space, request.owner, request.range};
  call.answered = true;
  return true;
}

// Only lockd's grace period can hold up a lock that its owner has already, at least shared. To
// cancel it there would cost the file (settle_held), with the locks of everybody on this mount.
bool ClientCore::ends_by_itself(const Call& call) const {
  if (!call.weakened) return false;
  const auto& request = std::get<LockRequest>(call.command);
  if (request.space != LockSpace::kRange) return false;
  std::uint64_t covered = request.range.start();
  for (const auto& piece :
       held_.within(request.file, request.space, request.owner, request.range)) {
    if (piece.range.start() != covered) return false;
    covered = piece.range.end();
  }
  return covered == request.range.end();
}

bool ClientCore::touched_by_another(RequestNumber number, const Command& command) const {
  const auto owner = owner_of(command);
  if (!owner) return true;
  return std::any_of(sent_.begin(), sent_.end(), [&](const auto& entry) {
    return entry.first != number &&
           touches(entry.second.command, owner->file, owner->space, owner->owner);
  });
}

// After a reconnect kept replies come in number order, whatever order lockd acted in. That matters
// only where two requests that change one owner's locks are open.
void ClientCore::mark_uncertain_owners() {
  std::set<std::pair<FileKey, HandleId>> released;
  std::map<std::tuple<FileKey, LockSpace, OwnerId>, unsigned> changes;
  for (auto& [number, call] : sent_) {
    call.alone = false;
    if (const auto* release = std::get_if<ReleaseHandleRequest>(&call.command)) {
      released.emplace(release->file, release->handle);
    } else if (const auto owner = owner_of(call.command)) {
      ++changes[{owner->file, owner->space, owner->owner}];
    }
  }
  const auto is_released = [&](const FileKey& file, HandleId handle) {
    return !released.empty() && released.contains({file, handle});
  };
  for (const auto& [number, call] : sent_) {
    const auto* lock = std::get_if<LockRequest>(&call.command);
    if (lock == nullptr) continue;
    bool doubt = changes[{lock->file, lock->space, lock->owner}] > 1 ||
                 is_released(lock->file, lock->handle);
    if (!doubt && !released.empty()) {
      const auto pieces =
          held_.within(lock->file, lock->space, lock->owner, ByteRange::whole_file());
      doubt = std::any_of(pieces.begin(), pieces.end(), [&](const HeldLocks::Piece& piece) {
        return is_released(lock->file, piece.handle);
      });
    }
    if (doubt) held_.mark_uncertain(lock->file, lock->space, lock->owner);
  }
}

}  // namespace holdfast::fs
