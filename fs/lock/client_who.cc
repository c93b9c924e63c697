// Who has a lock: what this mount says about its own programs, and what it asks lockd.

#include "fs/lock/client_core.h"

#include <algorithm>

namespace holdfast::fs {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

namespace {

bool waits_for_lock(const Command& command) {
  const auto* lock = std::get_if<LockRequest>(&command);
  return lock != nullptr && lock->wait == Wait::kYes;
}

}  // namespace

std::vector<ToldLock> ClientCore::told_of(std::uint64_t fileid, std::size_t count) const {
  std::vector<ToldLock> all;
  for (const HeldLocks::Told& told : held_.told_of(fileid, count)) {
    const HeldLock& lock = told.lock;
    all.push_back({.state = ToldState::kHeld,
                   .file = lock.file,
                   .space = lock.space,
                   .mode = lock.mode,
                   .range = lock.range,
                   .owner = lock.owner,
                   .pid = lock.pid,
                   .age = duration_cast<milliseconds>(now_ - told.since),
                   .here = !lockd_knows_locks_of(lock.file),
                   .process = {}});
  }
  const auto add = [&](const Call& call, bool here) {
    if (!is_wait(call) || all.size() >= count) return;
    ToldLock told = wait_of(call, here);
    if (told.file.fileid == fileid) all.push_back(std::move(told));
  };
  for (const auto& [number, call] : sent_)
    add(call, false);
  for (auto lane = lanes_.lower_bound({.fileid = fileid, .handle_hash = 0});
       lane != lanes_.end() && lane->first.fileid == fileid; ++lane) {
    for (const Call& call : lane->second)
      add(call, true);
  }
  return all;
}

std::vector<ToldLock> ClientCore::waits(std::size_t count) const {
  std::vector<ToldLock> all;
  const auto add = [&](const Call& call, bool here) {
    if (is_wait(call)) all.push_back(wait_of(call, here));
  };
  for (const auto& [number, call] : sent_)
    add(call, false);
  for (const auto& [file, lane] : lanes_)
    for (const Call& call : lane)
      add(call, true);
  std::stable_sort(all.begin(), all.end(),
                   [](const ToldLock& a, const ToldLock& b) { return a.age > b.age; });
  if (all.size() > count) all.resize(count);
  return all;
}

bool ClientCore::is_wait(const Call& call) {
  return !call.background && !call.answered && waits_for_lock(call.command);
}

ToldLock ClientCore::wait_of(const Call& call, bool here) const {
  const auto& lock = std::get<LockRequest>(call.command);
  return {.state = ToldState::kWaiting,
          .file = lock.file,
          .space = lock.space,
          .mode = lock.mode,
          .range = lock.range,
          .owner = lock.owner,
          .pid = lock.pid,
          .age = duration_cast<milliseconds>(now_ - call.since),
          .here = here,
          .process = {}};
}

ClientEffects ClientCore::ask_who(const AskWho& question) {
  ClientEffects effects;
  if (can_ask_who()) effects.emplace_back(SendMessage{ClientMessage(question)});
  return effects;
}

void ClientCore::on(const TellWho& asked, Instant, ClientEffects& effects) {
  ToldWho told{.question = asked.question, .locks = {}, .truncated = false};
  told.locks = told_of(asked.fileid, kToldLocksMax + 1);
  told.truncated = told.locks.size() > kToldLocksMax;
  if (told.truncated) told.locks.resize(kToldLocksMax);
  effects.emplace_back(TellOfOurs{std::move(told)});
}

void ClientCore::on(const WhoAnswer& answer, Instant, ClientEffects& effects) {
  effects.emplace_back(WhoAnswered{answer});
}

}  // namespace holdfast::fs
