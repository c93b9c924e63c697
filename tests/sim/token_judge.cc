#include "tests/sim/token_judge.h"

namespace holdfast::sim {
namespace {

const char* text(TokenMode mode) {
  switch (mode) {
    case TokenMode::kNone:
      return "NL";
    case TokenMode::kRead:
      return "PR";
    case TokenMode::kShared:
      return "CW";
    case TokenMode::kExclusive:
      return "EX";
  }
  return "?";
}

// May who holds one come down to the other? From PR to CW too: that is the answer of who uses it.
bool allows(TokenMode held, TokenMode keep) {
  return held == TokenMode::kExclusive || keep == TokenMode::kNone || held == keep ||
         (held == TokenMode::kRead && keep == TokenMode::kShared);
}

}  // namespace

// ---- What lockd does

TokenMode TokenJudge::held(SessionId session, const FileKey& file) const {
  const auto of_file = held_.find(file);
  if (of_file != held_.end()) {
    const auto at = of_file->second.find(session);
    if (at != of_file->second.end()) return at->second.mode;
  }
  for (const auto& [at, files] : implied_) {
    if (at.first != session || !files.contains(file_of(file))) continue;
    if (held(session, key_of(at.second)) == TokenMode::kExclusive) return TokenMode::kExclusive;
  }
  if (file == kVolumeKey) return TokenMode::kNone;
  return held(session, kVolumeKey) == TokenMode::kExclusive ? TokenMode::kExclusive
                                                            : TokenMode::kNone;
}

bool TokenJudge::holds_anything(SessionId session) const {
  for (const auto& [file, holders] : held_)
    if (holders.contains(session) && !judge_.was_lost(session, file)) return true;
  return false;
}

// From here on nothing that `from` still writes there may take effect.
void TokenJudge::take(SessionId from, const FileKey& file) {
  held_[file].erase(from);
  const std::size_t index = file_of(file);
  if (index == kNoFile) return;
  world_.note("judge: session {:x} has lost the token of file {}", from.value & 0xffff, index);
  judge_.take_file(from, index);
  if (const auto mount = judge_.mount_of(from)) freshness_.lost(*mount, index);
  const auto implied = implied_.find({from, index});
  if (implied == implied_.end()) return;
  const auto files = implied->second;
  implied_.erase(implied);
  for (const std::size_t one : files)
    take(from, key_of(one));
}

void TokenJudge::take_in_the_way(SessionId session, const FileKey& file, TokenMode mode) {
  std::set<SessionId> others;
  for (const auto& [one, holder] : held_[file])
    if (one != session && !compatible(holder.mode, mode)) others.insert(one);
  if (file == kVolumeKey && mode == TokenMode::kExclusive) {
    for (std::size_t index = 0; index < files_; ++index)
      take_in_the_way(session, key_of(index), mode);
    return;
  }
  // Of the volume's token only this file is lost (T9).
  if (file != kVolumeKey)
    for (const auto& [one, holder] : held_[kVolumeKey])
      if (one != session && !compatible(held(one, file), mode)) others.insert(one);
  for (const SessionId other : others)
    take(other, file);
}

// It has a name of its own from now on, and does not go with what implied it.
void TokenJudge::hold(SessionId session, const FileKey& file, const Held& token) {
  held_[file][session] = token;
  for (auto& [cover, files] : implied_)
    if (cover.first == session) files.erase(file_of(file));
}

void TokenJudge::granted(SessionId session, const FileKey& file, RequestNumber name,
                         TokenMode mode) {
  world_.note("lockd: session {:x} has {} of file {}", session.value & 0xffff, text(mode),
              static_cast<std::int64_t>(file_of(file)));
  if (mode == TokenMode::kNone) {
    held_[file].erase(session);
    return;
  }
  take_in_the_way(session, file, mode);
  hold(session, file, {name, mode});
  if (file == kVolumeKey) judge_.grant_volume(session, volume_asked_[session]);
  if (file_of(file) == kNoFile) return;
  judge_.grant_file(session, file_of(file));
  if (mode != TokenMode::kShared) judge_.decided_by_mount(session, file_of(file));
}

void TokenJudge::lock_granted(SessionId session, std::size_t file) {
  take_in_the_way(session, key_of(file), TokenMode::kShared);
  judge_.grant_file(session, file);
}

void TokenJudge::give_up(SessionId session, const FileKey& file, TokenMode keep) {
  if (file_of(file) != kNoFile) implied_.erase({session, file_of(file)});
  if (keep == TokenMode::kNone) {
    held_[file].erase(session);
  } else {
    held_[file][session].mode = keep;
  }
}

void TokenJudge::done(SessionId session, RequestNumber number, const Command& command) {
  if (const auto* release = std::get_if<TokenRelease>(&command)) {
    const auto& holders = held_[release->file];
    const auto at = holders.find(session);
    if (at == holders.end() || at->second.name != release->token) return;
    if (!allows(at->second.mode, release->keep)) return;
    world_.note("lockd: session {:x} gives up file {}, keeps {}", session.value & 0xffff,
                static_cast<std::int64_t>(file_of(release->file)), text(release->keep));
    give_up(session, release->file, release->keep);
  } else if (const auto* asserted = std::get_if<TokenAssert>(&command)) {
    if (held(session, asserted->cover) != TokenMode::kExclusive) return;
    for (const HeldToken& token : asserted->tokens)
      if (held_[token.file].find(session) == held_[token.file].end() &&
          allows(held(session, token.file), token.mode))
        hold(session, token.file, {number, token.mode});
  } else if (const auto* push = std::get_if<PushLocks>(&command)) {
    const auto& holders = held_[push->file];
    const auto at = holders.find(session);
    if (at == holders.end() || at->second.name != push->token) return;  // of the past
    if (at->second.mode == TokenMode::kShared) return;
    judge_.pushed(session, push->locks);
  }
}

void TokenJudge::session_ended(SessionId session) {
  for (std::size_t index = 0; index < files_; ++index)
    if (held(session, key_of(index)) != TokenMode::kNone) take(session, key_of(index));
  held_[kVolumeKey].erase(session);
}

void TokenJudge::reclaimed(SessionId session, const std::vector<HeldToken>& tokens) {
  for (const HeldToken& token : tokens) {
    const TokenMode had = held(session, token.file);
    if (allows(had, token.mode)) continue;
    world_.violation(
        "I7 reclaim",
        fmt::format("session {:x} reclaims {} of file {}, where it had {}", session.value & 0xffff,
                    text(token.mode), static_cast<std::int64_t>(file_of(token.file)), text(had)));
    return;
  }
  for (auto& [file, holders] : held_)
    holders.erase(session);
  for (const HeldToken& token : tokens)
    hold(session, token.file, {RequestNumber{}, token.mode});
}

// ---- What mounts do and are told

void TokenJudge::told_granted(std::size_t mount, SessionId session, const FileKey& file,
                              RequestNumber name, TokenMode mode, bool deposed) {
  if (deposed && held(session, file) != mode) {
    // A grant that no judge saw given. Whoever was in its way has given it up, and the deposed
    // leader had heard of it; or T1 is broken, which is judged by what mounts believe.
    for (auto& [other, holder] : held_[file]) {
      const auto its = judge_.mount_of(other);
      if (other != session && !compatible(holder.mode, mode) && its &&
          compatible(believed(*its, file), mode))
        holder.mode = TokenMode::kNone;
    }
    held_[file][session] = {name, mode};
    if (file_of(file) != kNoFile) judge_.grant_file(session, file_of(file));
  }
  check(mount, file);
  if (file == kVolumeKey) became_entitled(mount);
}

void TokenJudge::told_session_lost(SessionId session) {
  for (auto& [file, holders] : held_)
    holders.erase(session);
  std::erase_if(implied_, [&](const auto& entry) { return entry.first.first == session; });
}

void TokenJudge::became_entitled(std::size_t mount) {
  for (std::size_t file = 0; file < files_; ++file)
    check(mount, key_of(file));
}

void TokenJudge::check(std::size_t mount, const FileKey& file) {
  const TokenMode mine = believed(mount, file);
  if (mine == TokenMode::kNone) return;
  for (std::size_t other = 0; other < judge_.mounts(); ++other) {
    if (other == mount) continue;
    const TokenMode theirs = believed(other, file);
    if (compatible(mine, theirs)) continue;
    world_.violation("T1 compatible",
                     fmt::format("file {}: mount {} has {}, mount {} has {}, both entitled",
                                 static_cast<std::int64_t>(file_of(file)), mount, text(mine), other,
                                 text(theirs)));
    return;
  }
}

}  // namespace holdfast::sim
