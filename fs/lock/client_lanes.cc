// With tokens: the calls about the locks of one file, each in its turn.
//
//   the mode of the token      what happens to the first call of the lane
//   EX                         decided here; if it has to wait, the token comes down to CW first
//   PR                         decided here if it is about shared locks, else more is asked for
//   CW                         goes to lockd, unless more than CW is asked for just then
//   none                       a token is asked for
//
// A release does not stay behind a lock that waits: both calls are under way, so either may come
// first, and a FLUSH must not wait for a token that comes down (T10). A release of a file where
// nothing is held, and lockd has no request of ours, is done: nobody needs to hear of it.

#include "fs/lock/client_command.h"
#include "fs/lock/client_core.h"
#include "fs/lock/local_locks.h"

#include <algorithm>
#include <utility>

namespace holdfast::fs {
namespace {

// What a token must at least be asked for.
TokenUse use_for(const Command& command) {
  const auto* lock = std::get_if<LockRequest>(&command);
  const auto* query = std::get_if<QueryRequest>(&command);
  const bool exclusive =
      std::holds_alternative<ClaimWalRequest>(command) ||
      (lock != nullptr && (lock->mode == LockMode::kExclusive || lock->wal_database)) ||
      (query != nullptr && query->mode == LockMode::kExclusive);
  return exclusive ? TokenUse::kWrite : TokenUse::kRead;
}

}  // namespace

void ClientCore::complete(const Call& call, const Outcome& outcome, ClientEffects& effects) {
  if (call.background || call.answered) return;
  effects.emplace_back(CompleteCall{call.id, outcome});
}

void ClientCore::run_lane(const FileKey& file, ClientEffects& effects) {
  if (const auto behind = behind_database_.extract(file)) lanes_due_.merge(behind.mapped());
  const auto at = lanes_.find(file);
  if (at == lanes_.end()) return;
  std::list<Call>& lane = at->second;
  do {
    while (!lane.empty() && take_turn(lane.front(), effects)) {
      lane.pop_front();
      --lane_calls_;
    }
  } while (free_past_waiters(lane, effects));
  if (lane.empty()) lanes_.erase(at);
}

// True: the call has left the lane.
bool ClientCore::take_turn(Call& call, ClientEffects& effects) {
  const FileKey file = *file_of(call.command);
  const bool here = decides_here();
  const TokenMode mode = agent_->mode(file);
  if (here && frees(call.command) && !held_.any(file) && !open_at_lockd(file)) {
    complete(call, Done{}, effects);
    return true;
  }
  if (mode != TokenMode::kNone && !database_allows(call)) return false;
  switch (mode) {
    case TokenMode::kNone:
      agent_->want(file, use_for(call.command));
      return false;
    case TokenMode::kShared:
      if (here) {
        agent_->consider(file, use_for(call.command), now_);
        if (agent_->wanted().contains(file)) try_to_ask(file, effects);
      }
      if (agent_->asking(file)) return false;
      unsent_.push_back(std::move(call));
      return true;
    case TokenMode::kRead:
    case TokenMode::kExclusive:
      return here && decide(call, mode, effects);
  }
  return false;
}

// A lock of a wal-index makes this mount own it: not while others may keep the database.
bool ClientCore::database_allows(const Call& call) {
  const auto* lock = std::get_if<LockRequest>(&call.command);
  if (lock == nullptr || !lock->wal_database || *lock->wal_database == lock->file) return true;
  const TokenMode mode = agent_->mode(*lock->wal_database);
  if (mode == TokenMode::kShared || mode == TokenMode::kExclusive) return true;
  agent_->want(*lock->wal_database, TokenUse::kWrite);
  behind_database_[*lock->wal_database].insert(lock->file);
  return false;
}

// As decide_here(), but a lock of a wal-index is lockd's unless its database is ours, too.
LocalDecision ClientCore::decide_alone(const Command& command, TokenMode mode) {
  const auto* lock = std::get_if<LockRequest>(&command);
  const bool of_wal_index =
      lock != nullptr && lock->wal_database && *lock->wal_database != lock->file;
  if (of_wal_index && mode == TokenMode::kExclusive &&
      agent_->mode(*lock->wal_database) != TokenMode::kExclusive) {
    return MustWait{};
  }
  return decide_here(command, mode, held_);
}

// Most calls: nothing is before them, and they need no more than is here. They come to what they
// would in their lane.
std::optional<Outcome> ClientCore::decide_first(const Command& command, ClientEffects& effects) {
  const FileKey& file = *file_of(command);
  if (!decides_here() || lanes_.contains(file) || behind_database_.contains(file)) return {};
  const TokenMode mode = agent_->mode(file);
  if (mode != TokenMode::kRead && mode != TokenMode::kExclusive) return {};
  const LocalDecision decision = decide_alone(command, mode);
  const auto* outcome = std::get_if<Outcome>(&decision);
  if (outcome == nullptr) return {};
  if (const auto* refused = std::get_if<Refused>(outcome))
    note_limit(command, *refused, LimitRefusal::By::kMount, effects);
  return *outcome;
}

std::optional<Outcome> ClientCore::decide_now(const Command& command, Instant now,
                                              ClientEffects& effects) {
  see(now);
  const auto outcome = agent_ ? decide_first(command, effects) : std::nullopt;
  if (outcome) go_on(effects);
  return outcome;
}

bool ClientCore::decide(Call& call, TokenMode mode, ClientEffects& effects) {
  const FileKey file = *file_of(call.command);
  const auto come_down = [&] {
    TokenEffects said;
    agent_->come_down(file, TokenMode::kShared, said);
    append(std::move(said), effects);
    return false;
  };
  const LocalDecision decision = decide_alone(call.command, mode);
  if (std::holds_alternative<MustWait>(decision)) return come_down();
  if (std::holds_alternative<NeedsMore>(decision)) {
    agent_->want(file, TokenUse::kWrite);
    return false;
  }
  const auto& outcome = std::get<Outcome>(decision);
  if (const auto* refused = std::get_if<Refused>(&outcome))
    note_limit(call, *refused, LimitRefusal::By::kMount, effects);
  complete(call, outcome, effects);
  return true;
}

// True: something has become free, perhaps for the first of the lane.
bool ClientCore::free_past_waiters(std::list<Call>& lane, ClientEffects& effects) {
  if (lane.size() < 2 || !decides_here()) return false;
  const TokenMode mode = agent_->mode(*file_of(lane.front().command));
  if (mode != TokenMode::kRead && mode != TokenMode::kExclusive) return false;
  bool freed = false;
  for (auto it = std::next(lane.begin()); it != lane.end();) {
    if (!frees(it->command)) {
      ++it;
      continue;
    }
    const Call call = std::move(*it);
    it = lane.erase(it);
    --lane_calls_;
    freed = true;
    complete(call, std::get<Outcome>(decide_here(call.command, mode, held_)), effects);
    const auto* release = std::get_if<ReleaseHandleRequest>(&call.command);
    if (release == nullptr) continue;
    // It cancels who waits through the handle, as at lockd.
    for (auto waiter = lane.begin(); waiter != it;) {
      const auto* lock = std::get_if<LockRequest>(&waiter->command);
      const bool ends =
          lock != nullptr && lock->wait == Wait::kYes && lock->handle == release->handle;
      if (ends) complete(*waiter, Refused{LockErrc::kInterrupted}, effects);
      if (ends) --lane_calls_;
      waiter = ends ? lane.erase(waiter) : std::next(waiter);
    }
  }
  return freed;
}

bool ClientCore::interrupt_in_lane(CallId call, ClientEffects& effects) {
  if (agent_->cancel(call)) {
    effects.emplace_back(CompleteCall{call, Refused{LockErrc::kInterrupted}});
    go_on(effects);
    return true;
  }
  for (auto& [file, lane] : lanes_) {
    const auto at = std::find_if(lane.begin(), lane.end(), [&](const Call& one) {
      return one.id == call && std::holds_alternative<LockRequest>(one.command);
    });
    if (at == lane.end()) continue;
    complete(*at, Refused{LockErrc::kInterrupted}, effects);
    if (!goes_on_as_unlock(*at)) {
      lane.erase(at);
      --lane_calls_;
    }
    lanes_due_.insert(file);
    go_on(effects);
    return true;
  }
  return false;
}

// After a loss: what has not left, and no longer may go to lockd without a token.
void ClientCore::return_to_lanes() {
  if (!agent_) return;
  for (auto it = unsent_.end(); it != unsent_.begin();) {
    --it;
    const bool stays = it->background || !is_about_locks(it->command) ||
                       agent_->known_mode(*file_of(it->command)) == TokenMode::kShared;
    if (stays) continue;
    const FileKey file = *file_of(it->command);
    std::list<Call>& lane = lanes_[file];
    const auto call = it++;
    lane.splice(lane.begin(), unsent_, call);
    ++lane_calls_;
    lanes_due_.insert(file);
  }
}

// Requests for locks of a lost file end with it.
void ClientCore::lose_lane(const FileKey& file, ClientEffects& effects) {
  const auto at = lanes_.find(file);
  if (at == lanes_.end()) return;
  std::list<Call>& lane = at->second;
  for (auto it = lane.begin(); it != lane.end();) {
    const bool ends = std::holds_alternative<LockRequest>(it->command);
    if (ends) complete(*it, Refused{LockErrc::kLockLost}, effects);
    if (ends) --lane_calls_;
    it = ends ? lane.erase(it) : std::next(it);
  }
  if (lane.empty()) lanes_.erase(at);
}

void ClientCore::end_lanes(LockErrc errc, ClientEffects& effects) {
  for (auto& [file, lane] : std::exchange(lanes_, {})) {
    for (const Call& call : lane)
      complete(call, Refused{errc}, effects);
  }
  lane_calls_ = 0;
  lanes_due_.clear();
  behind_database_.clear();
}

}  // namespace holdfast::fs
