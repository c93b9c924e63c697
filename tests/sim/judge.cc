#include "tests/sim/judge.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

std::string text(const Cells& cells) {
  std::string out;
  for (unsigned i = 0; i < kCells; ++i)
    out += (cells.exclusive >> i & 1U) != 0 ? 'X' : (cells.shared >> i & 1U) != 0 ? 'S' : '.';
  return out;
}

Lane lane_at(std::size_t index) {
  return {index / 2, index % 2 == 0 ? LockSpace::kRange : LockSpace::kFlock};
}

/// Under which it was made: of two directories, if a file moves.
std::array<std::size_t, 2> lanes_of(const WriteStamp& stamp) {
  const bool moves = stamp.kind == WriteStamp::Kind::kRename;
  const Lane to{moves ? std::size_t{stamp.to_file} : stamp.lane.file, stamp.lane.space};
  return {stamp.lane.index(), to.index()};
}

}  // namespace

// ---- What applications believe

Judge::Belief& Judge::belief_entry(std::size_t mount, OwnerId owner, Lane lane) {
  auto& all = beliefs_[lane.index()];
  const auto at = std::find_if(all.begin(), all.end(), [&](const Belief& one) {
    return one.mount == mount && one.owner == owner;
  });
  if (at != all.end()) return *at;
  return all.emplace_back(Belief{mount, owner, {}});
}

const Cells& Judge::belief(std::size_t mount, OwnerId owner, Lane lane) {
  return belief_entry(mount, owner, lane).cells;
}

void Judge::believe(std::size_t mount, OwnerId owner, Lane lane, const Cells& cells) {
  Belief& belief = belief_entry(mount, owner, lane);
  belief.cells = cells;
  check_exclusion(belief, lane.index());
}

void Judge::check_exclusion(const Belief& belief, std::size_t lane) {
  if (belief.cells.held() == 0 || !entitled(belief.mount)) return;
  for (const Belief& other : beliefs_[lane]) {
    if (&other == &belief || !belief.cells.conflicts(other.cells)) continue;
    if (!entitled(other.mount)) continue;
    world_.violation(
        "I1 exclusion",
        fmt::format("file {} {}: mount {} owner {} has {}, mount {} owner {} has {}, both entitled",
                    lane / 2, lane % 2 == 0 ? "range" : "flock", belief.mount, belief.owner.value,
                    text(belief.cells), other.mount, other.owner.value, text(other.cells)));
    return;
  }
}

void Judge::became_entitled(std::size_t mount) {
  for (std::size_t lane = 0; lane < beliefs_.size(); ++lane)
    for (const Belief& belief : beliefs_[lane])
      if (belief.mount == mount) check_exclusion(belief, lane);
}

bool Judge::believes_in(std::size_t mount, std::size_t file) const {
  for (const std::size_t lane : {file * 2, file * 2 + 1})
    for (const Belief& belief : beliefs_[lane])
      if (belief.mount == mount && belief.cells.held() != 0) return true;
  return false;
}

void Judge::forget_file(std::size_t mount, std::size_t file) {
  for (const std::size_t lane : {file * 2, file * 2 + 1})
    std::erase_if(beliefs_[lane], [&](const Belief& one) { return one.mount == mount; });
}

void Judge::forget_mount(std::size_t mount) {
  for (std::size_t file = 0; file < counters_.size(); ++file)
    forget_file(mount, file);
}

// ---- What lockd does

Judge::Held& Judge::held_entry(SessionId session, OwnerId owner, std::size_t lane) {
  auto& all = held_[lane];
  const auto at = std::find_if(all.begin(), all.end(), [&](const Held& one) {
    return one.session == session && one.owner == owner;
  });
  if (at != all.end()) return *at;
  return all.emplace_back(Held{session, owner, {}});
}

void Judge::take_away(SessionId from, std::size_t file) {
  for (const std::size_t lane : {file * 2, file * 2 + 1}) {
    for (const Held& held : held_[lane])
      if (held.session == from) fates_[fate_key(from, held.owner, lane)].taken = world_.now();
    std::erase_if(held_[lane], [&](const Held& held) { return held.session == from; });
  }
  world_.note("judge: session {:x} has lost file {}", from.value & 0xffff, file);
}

void Judge::granted(SessionId session, const LockRequest& request) {
  const Lane lane{file_of(request.file), request.space};
  const Mask mask = mask_of(request.range);
  std::vector<SessionId> victims;
  for (const Held& other : held_[lane.index()]) {
    if (other.session == session && other.owner == request.owner) continue;
    if (!other.cells.conflicts(mask, request.mode)) continue;
    if (other.session == session) {
      world_.violation("I1 exclusion", fmt::format("lockd grants file {} to owner {} of the "
                                                   "session whose owner {} holds {}",
                                                   lane.file, request.owner.value,
                                                   other.owner.value, text(other.cells)));
      return;
    }
    victims.push_back(other.session);
  }
  for (const SessionId victim : victims)
    take_away(victim, lane.file);
  held_entry(session, request.owner, lane.index()).cells.set(mask, request.mode, request.handle);
  fates_[fate_key(session, request.owner, lane.index())].granted = world_.now();
  lost_.erase({session, lane.file});
}

void Judge::released(SessionId session, const Command& command) {
  if (const auto* unlock = std::get_if<UnlockRequest>(&command)) {
    const Lane lane{file_of(unlock->file), unlock->space};
    world_.note("  unlocked: file {} owner {} cells {:02x}", lane.file, unlock->owner.value,
                mask_of(unlock->range));
    held_entry(session, unlock->owner, lane.index()).cells.clear(mask_of(unlock->range));
  } else if (const auto* owner = std::get_if<ReleaseOwnerRequest>(&command)) {
    const Lane lane{file_of(owner->file), LockSpace::kRange};
    held_entry(session, owner->owner, lane.index()).cells.clear(kAllCells);
  } else if (const auto* handle = std::get_if<ReleaseHandleRequest>(&command)) {
    const std::size_t file = file_of(handle->file);
    for (const std::size_t lane : {file * 2, file * 2 + 1})
      for (Held& held : held_[lane])
        if (held.session == session) held.cells.clear_handle(handle->handle);
  } else if (const auto* lock = std::get_if<LockRequest>(&command)) {
    // flock drops the old lock before it asks for the new one.
    if (lock->space != LockSpace::kFlock) return;
    const Lane lane{file_of(lock->file), lock->space};
    held_entry(session, lock->owner, lane.index()).cells.clear(kAllCells);
  }
}

void Judge::wants(SessionId session, const LockRequest& request) {
  const Lane lane{file_of(request.file), request.space};
  if (by_file_) wants_token(session, lane.file);
  for (const Held& held : held_[lane.index()])
    if (held.session != session && held.cells.conflicts(mask_of(request.range), request.mode))
      wanted_.insert({held.session, lane.file});
}

void Judge::reclaimed(SessionId session, const std::vector<HeldLock>& locks) {
  std::vector<std::pair<std::size_t, Held>> honoured;
  for (const HeldLock& lock : locks) {
    const Lane lane{file_of(lock.file), lock.space};
    const Mask mask = mask_of(lock.range);
    const Cells had = held_entry(session, lock.owner, lane.index()).cells;
    Mask covered = lock.mode == LockMode::kExclusive ? had.exclusive : had.held();
    // Under a token that lockd has not taken back the mount may have decided what it liked.
    if (by_file_ && may_have_decided(session, lane.file, lock.mode)) covered = kAllCells;
    if ((mask & ~covered) != 0) {
      world_.violation(
          "I7 reclaim",
          fmt::format("session {:x} reclaims cells {:02x} of file {} for owner {}, "
                      "which it had given up or lost (it had {})",
                      session.value & 0xffff, mask, lane.file, lock.owner.value, text(had)));
      return;
    }
    Held back{session, lock.owner, {}};
    back.cells.set(mask, lock.mode, lock.handle);
    honoured.emplace_back(lane.index(), back);
  }
  for (auto& lane : held_)
    std::erase_if(lane, [&](const Held& held) { return held.session == session; });
  for (const HeldLock& lock : locks) {
    const Lane lane{file_of(lock.file), lock.space};
    held_entry(session, lock.owner, lane.index())
        .cells.set(mask_of(lock.range), lock.mode, lock.handle);
  }
}

void Judge::loss_recorded(SessionId session, std::size_t file) {
  lost_.insert({session, file});
  if (file == kNoFile) return;
  if (wanted_.contains({session, file}) || broken_.contains(session)) return;
  if (by_file_ && wanted_by_others(session, file)) return;
  bool held = false;
  for (const std::size_t lane : {file * 2, file * 2 + 1})
    for (const Held& one : held_[lane])
      held = held || (one.session == session && one.cells.held() != 0);
  if (!held) return;  // it gave it up in a former life of lockd, or loses only waiters
  world_.violation("I6 courtesy", fmt::format("session {:x} loses file {}, which nobody wanted",
                                              session.value & 0xffff, file));
}

bool Judge::wanted_by_others(SessionId session, std::size_t file) const {
  const auto at = token_wanted_.find(file);
  return at != token_wanted_.end() &&
         std::any_of(at->second.begin(), at->second.end(),
                     [&](SessionId other) { return other != session; });
}

void Judge::grant_volume(SessionId session, Time asked) {
  for (std::size_t file = 0; file < counters_.size(); ++file) {
    const auto at = fates_.find(fate_key(session, OwnerId{}, file * 2));
    if (at == fates_.end()) continue;
    Fate& fate = at->second;
    if (fate.taken <= fate.told && fate.told <= asked) fate.granted = world_.now();
  }
}

void Judge::decided_by_mount(SessionId session, std::size_t file) {
  for (const std::size_t lane : {file * 2, file * 2 + 1})
    std::erase_if(held_[lane], [&](const Held& held) { return held.session == session; });
}

void Judge::pushed(SessionId session, const std::vector<HeldLock>& locks) {
  for (const HeldLock& lock : locks) {
    const Lane lane{file_of(lock.file), lock.space};
    world_.note("  with it: file {} owner {} {} cells {:02x}", lane.file, lock.owner.value,
                lock.mode == LockMode::kExclusive ? "X" : "S", mask_of(lock.range));
    held_entry(session, lock.owner, lane.index())
        .cells.set(mask_of(lock.range), lock.mode, lock.handle);
  }
}

bool Judge::holds_anything(SessionId session) const {
  if (by_file_ && has_tokens(session)) return true;
  for (std::size_t lane = 0; lane < held_.size(); ++lane) {
    if (lost_.contains({session, lane / 2})) continue;
    for (const Held& held : held_[lane])
      if (held.session == session && held.cells.held() != 0) return true;
  }
  return false;
}

bool Judge::holds(SessionId session, OwnerId owner, Lane lane) const {
  const auto& all = held_[lane.index()];
  return std::any_of(all.begin(), all.end(), [&](const Held& held) {
    return held.session == session && held.owner == owner && held.cells.held() != 0;
  });
}

void Judge::dropped(SessionId session) {
  if (!ended_.contains(session) && holds_anything(session))
    world_.violation("I6 courtesy", fmt::format("lockd forgets session {:x}, which holds locks "
                                                "and was not recorded as ended",
                                                session.value & 0xffff));
  ended_.insert(session);
}

void Judge::recorded(SessionId session, lockd::Quiet quiet) {
  if (quiet == lockd::Quiet::kNo) {
    quiet_.erase(session);
    return;
  }
  if (quiet_.emplace(session, world_.now()).second) check_quiet(session);
}

void Judge::check_quiet(SessionId session) {
  const auto at = mounts_.find(session);
  if (at == mounts_.end() || session_of_[at->second] != session || !entitled(at->second)) return;
  world_.violation("I7 quiet", fmt::format("session {:x} is taken for quiet, and mount {} may act",
                                           session.value & 0xffff, at->second));
}

// ---- What mounts are told

void Judge::told_granted(SessionId session, const LockRequest& request) {
  const Lane lane{file_of(request.file), request.space};
  const Mask mask = mask_of(request.range);
  std::vector<SessionId> victims;
  for (Held& other : held_[lane.index()]) {
    if (other.session == session && other.owner == request.owner) continue;
    if (!other.cells.conflicts(mask, request.mode)) continue;
    // The deposed leader had recorded it, and the mount may not know yet. If it was too early, I1
    // is judged as below, and I2 and I7 are by what is taken here.
    const bool lost = lost_.contains({other.session, lane.file}) || ended_.contains(other.session);
    if (lost && other.session != session) {
      victims.push_back(other.session);
      continue;
    }
    const Cells& believed = belief(mounts_[other.session], other.owner, lane);
    if (believed.conflicts(mask, request.mode)) return;  // I1 is judged by who is entitled
    other.cells.clear(mask);  // given up, and the deposed leader had heard of it
  }
  for (const SessionId victim : victims)
    take_away(victim, lane.file);
  held_entry(session, request.owner, lane.index()).cells.set(mask, request.mode, request.handle);
}

void Judge::told_file_lost(std::size_t mount, SessionId session, std::size_t file) {
  for (const std::size_t lane : {file * 2, file * 2 + 1})
    std::erase_if(held_[lane], [&](const Held& held) { return held.session == session; });
  if (by_file_) fates_[fate_key(session, OwnerId{}, file * 2)].told = world_.now();
  forget_file(mount, file);
}

void Judge::told_session_lost(std::size_t mount, SessionId session) {
  bool held = false;
  // lockd may forget who has nothing left, without recording it as ended: that it has lost what the
  // mount still believes to hold was recorded file by file.
  for (std::size_t lane = 0; lane < beliefs_.size(); ++lane)
    for (const Belief& belief : beliefs_[lane])
      held = held || (belief.mount == mount && belief.cells.held() != 0 &&
                      !lost_.contains({session, lane / 2}));
  const bool gone = ended_.contains(session) || dropped_.contains(session);
  if (held && !gone && !broken_.contains(session) && !amnesia_)
    world_.violation("I6 courtesy", fmt::format("mount {} loses its session {:x} with its locks, "
                                                "which lockd has never ended",
                                                mount, session.value & 0xffff));
  for (auto& lane : held_)
    std::erase_if(lane, [&](const Held& one) { return one.session == session; });
  forget_mount(mount);
}

// ---- Storage

const Judge::Fate* Judge::taken(const WriteStamp& stamp, std::size_t lane) const {
  const auto at = fates_.find(fate_key(stamp.session, stamp.owner, lane));
  return at == fates_.end() || at->second.taken < Time::zero() ? nullptr : &at->second;
}

bool Judge::gone(const WriteStamp& stamp) const {
  const auto lanes = lanes_of(stamp);
  return std::any_of(lanes.begin(), lanes.end(), [&](std::size_t lane) {
    const Fate* fate = taken(stamp, lane);
    return fate != nullptr && (stamp.issued <= fate->taken || fate->granted < fate->taken);
  });
}

bool Judge::is_of_quiet(const WriteStamp& stamp) const {
  const auto at = quiet_.find(stamp.session);
  return at != quiet_.end() && stamp.issued <= at->second;
}

void Judge::write_takes_effect(const WriteStamp& stamp) {
  const bool of_quiet = is_of_quiet(stamp);
  if (!gone(stamp) && !of_quiet) return;
  if (paused_machines.contains(stamp.mount)) {
    ++residual;
    return;
  }
  if (of_quiet)
    return world_.violation("I7 quiet", fmt::format("a write of mount {} takes effect after it was "
                                                    "recorded that its session cannot write",
                                                    stamp.mount));
  world_.violation("I2 fencing",
                   fmt::format("a write of mount {} owner {} to file {} takes effect after lockd "
                               "gave its lock to somebody else",
                               stamp.mount, stamp.owner.value, stamp.lane.file));
}

void Judge::io_succeeded(const WriteStamp& stamp, Time begun) {
  const auto lanes = lanes_of(stamp);
  const bool silent = std::any_of(lanes.begin(), lanes.end(), [&](std::size_t lane) {
    const Fate* fate = taken(stamp, lane);
    return fate != nullptr && begun > fate->taken && fate->granted < fate->taken;
  });
  if (!silent) return;
  world_.violation("I6 silent loss",
                   fmt::format("an operation of mount {} owner {} on file {} succeeds, which was "
                               "begun after its lock was given to somebody else",
                               stamp.mount, stamp.owner.value, stamp.lane.file));
}

void Judge::check_counters(const NfsModel& storage, std::size_t end, std::size_t created) {
  for (std::size_t file = 0; file < counters_.size(); ++file) {
    if (file >= end && file < created) continue;
    for (std::size_t i = 0; i < kCounters; ++i) {
      const Counter& counter = counters_[file][i];
      const std::uint64_t value = storage.value(file, i);
      if (counter.acknowledged <= value && value <= counter.acknowledged + counter.unknown)
        continue;
      world_.violation("counters",
                       fmt::format("file {} counter {} is {}, acknowledged {}, unknown {}", file, i,
                                   value, counter.acknowledged, counter.unknown));
    }
  }
}

void Judge::check_leaks(const LockList& list, const std::map<SessionId, std::size_t>& mounts) {
  std::vector<std::vector<Belief>> listed(beliefs_.size());
  for (const LockInfo& lock : list.locks) {
    const Lane lane{file_of(lock.file), lock.space};
    const auto mount = mounts.find(lock.session);
    if (lock.state != LockState::kHeld || mount == mounts.end()) {
      world_.violation("leaks",
                       fmt::format("lockd has a {} on file {} for owner {} of session {:x}"
                                   ", which nobody knows of",
                                   lock.state == LockState::kHeld ? "lock" : "waiter", lane.file,
                                   lock.owner.value, lock.session.value & 0xffff));
      return;
    }
    auto& all = listed[lane.index()];
    auto at = std::find_if(all.begin(), all.end(), [&](const Belief& one) {
      return one.mount == mount->second && one.owner == lock.owner;
    });
    if (at == all.end()) at = all.insert(all.end(), Belief{mount->second, lock.owner, {}});
    at->cells.set(mask_of(lock.range), lock.mode, HandleId{});
  }
  for (std::size_t lane = 0; lane < beliefs_.size(); ++lane) {
    const auto differ = [&](const Belief& one, const Cells& mine, const Cells& theirs) {
      world_.violation(
          "leaks",
          fmt::format("file {} {}: owner {} of mount {} believes to hold {}, "
                      "lockd lists {}",
                      lane / 2, lane_at(lane).space == LockSpace::kRange ? "range" : "flock",
                      one.owner.value, one.mount, text(mine), text(theirs)));
    };
    for (const Belief& mine : beliefs_[lane]) {
      if (by_file_ && decides(mine.mount, lane / 2)) continue;
      Cells theirs;
      for (const Belief& one : listed[lane])
        if (one.mount == mine.mount && one.owner == mine.owner) theirs = one.cells;
      if (!same_modes(mine.cells, theirs)) return differ(mine, mine.cells, theirs);
    }
    for (const Belief& theirs : listed[lane]) {
      if (by_file_ && decides(theirs.mount, lane / 2))
        return world_.violation("T2 one judge",
                                fmt::format("lockd lists locks of file {}, which mount {} decides",
                                            lane / 2, theirs.mount));
      const Cells& mine = belief(theirs.mount, theirs.owner, lane_at(lane));
      if (!same_modes(mine, theirs.cells)) return differ(theirs, mine, theirs.cells);
    }
  }
}

}  // namespace holdfast::sim
