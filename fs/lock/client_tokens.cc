// With tokens: what is asked for, given up and told to lockd. The rules of one file are
// TokenAgent's; here is what they have to do with locks and with the connection.

#include "fs/lock/client_command.h"
#include "fs/lock/client_core.h"
#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"

#include <algorithm>
#include <utility>

namespace holdfast::fs {
void ClientCore::append(TokenEffects said, ClientEffects& effects) {
  for (const auto& one : said) {
    if (const auto* drain = std::get_if<Drain>(&one)) {
      effects.emplace_back(*drain);
    } else if (const auto* pinned = std::get_if<TokenPinned>(&one)) {
      effects.emplace_back(*pinned);
    } else {
      const auto& refused = std::get<TokenRefused>(one);
      effects.emplace_back(CompleteCall{refused.call, Refused{LockErrc::kLockLost}});
    }
  }
}

// ---- The shell's side

std::optional<TokenMode> ClientCore::try_pin(const FileKey& file, TokenUse use, Urgency urgency,
                                             Instant now, ClientEffects& effects) {
  see(now);
  if (!decides_here()) return std::nullopt;
  const auto mode = agent_->try_pin(file, use, urgency, now_);
  if (!agent_->wanted().empty()) go_on(effects);
  return mode;
}

CallId ClientCore::acquire(const FileKey& file, TokenUse use, Urgency urgency, Instant now,
                           ClientEffects& effects) {
  see(now);
  const CallId id{++last_call_};
  agent_->acquire(id, file, use, urgency);
  go_on(effects);
  return id;
}

ClientEffects ClientCore::unpin(const FileKey& file, Instant now) {
  ClientEffects effects;
  TokenEffects said;
  see(now);
  agent_->unpin(file, said);
  append(std::move(said), effects);
  go_on(effects);
  return effects;
}

ClientEffects ClientCore::drained(const FileKey& file, std::uint64_t round, bool in_use,
                                  Instant now) {
  ClientEffects effects;
  TokenEffects said;
  see(now);
  agent_->drained(file, round, in_use, said);
  append(std::move(said), effects);
  go_on(effects);
  return effects;
}

void ClientCore::created(const FileKey& directory, const FileKey& file) {
  agent_->created(directory, file);
}

std::optional<FileKey> ClientCore::cover(const FileKey& file) const {
  const auto cover = agent_->cover(file);
  if (mutated(Mutation::kCoverKept)) return std::nullopt;
  return cover == kVolumeKey ? std::nullopt : cover;
}

ClientEffects ClientCore::give_up(const FileKey& file, Instant now) {
  ClientEffects effects;
  TokenEffects said;
  see(now);
  agent_->come_down(file, TokenMode::kExclusive, said);
  append(std::move(said), effects);
  go_on(effects);
  return effects;
}

ClientEffects ClientCore::forgotten(const FileKey& file, Instant now) {
  ClientEffects effects;
  see(now);
  agent_->forgotten(file, locks_of(file));
  go_on(effects);
  return effects;
}

std::uint64_t ClientCore::token_generation(const FileKey& file) const {
  return agent_->generation(file);
}

// ---- After each event

// One thing makes another possible: a grant lets locks be decided, a release lets them go to lockd.
void ClientCore::go_on(ClientEffects& effects) {
  if (!agent_) return;
  const bool here = decides_here();
  if (here && !std::exchange(decided_here_, here)) {
    for (const auto& [file, lane] : lanes_)
      lanes_due_.insert(file);
  }
  decided_here_ = here;
  if (here) agent_->want_volume(now_);
  do {
    for (const FileKey& file : std::exchange(lanes_due_, {}))
      run_lane(file, effects);
    TokenEffects said;
    if (here) agent_->admit(now_, said);
    for (const FileKey& file : std::exchange(granted_, {}))
      agent_->settled(file, said);
    append(std::move(said), effects);
    release_ready(effects);
    ask_wanted(effects);
    // What stays after all lets in who waited for the next token.
  } while (!lanes_due_.empty() || (here && agent_->may_admit()));
  pump(effects);
}

bool ClientCore::open_at_lockd(const FileKey& file) const {
  const auto is_it = [&](const Call& call) {
    const auto* lock = std::get_if<LockRequest>(&call.command);
    if (lock != nullptr && lock->wal_database == file) return true;
    return is_about_locks(call.command) && *file_of(call.command) == file;
  };
  return settling_.contains(file) || std::any_of(unsent_.begin(), unsent_.end(), is_it) ||
         std::any_of(sent_.begin(), sent_.end(),
                     [&](const auto& entry) { return is_it(entry.second); });
}

// The rest is decided here, and told when its token goes.
bool ClientCore::lockd_knows_locks_of(const FileKey& file) const {
  if (!agent_) return true;
  const TokenMode mode = agent_->known_mode(file);
  return mode != TokenMode::kRead && mode != TokenMode::kExclusive;
}

TokenAgent::Locks ClientCore::locks_of(const FileKey& file) const {
  TokenAgent::Locks locks;
  locks.any = held_.any(file) || lanes_.contains(file) || open_at_lockd(file);
  locks.exclusive =
      held_.any_exclusive(file) || held_.claimed(file) || !held_.tied_to(file).empty();
  const auto lane = lanes_.find(file);
  if (lane == lanes_.end()) return locks;
  for (const Call& call : lane->second) {
    const auto* lock = std::get_if<LockRequest>(&call.command);
    locks.exclusive = locks.exclusive || (lock != nullptr && lock->mode == LockMode::kExclusive);
  }
  return locks;
}

// ---- Giving up

void ClientCore::release_ready(ClientEffects& effects) {
  if (link_ != Link::kUp) return;
  for (const FileKey& file : std::set<FileKey>(agent_->ready())) {
    TokenEffects said;
    bool tied = false;
    for (const FileKey& index : held_.tied_to(file)) {
      if (lockd_knows_locks_of(index)) continue;
      agent_->come_down(index, TokenMode::kShared, said);
      tied = true;
    }
    const auto keep = tied ? std::nullopt : agent_->keep(file, locks_of(file), said);
    append(std::move(said), effects);
    if (keep) release(file, *keep, effects);
  }
}

void ClientCore::release(const FileKey& file, TokenMode keep, ClientEffects& effects) {
  const TokenMode had = agent_->known_mode(file);
  const auto cover = agent_->cover(file);
  lanes_due_.insert(file);
  // lockd never heard of it, and need not.
  if (cover && keep == TokenMode::kNone) return agent_->released(file, keep, now_);
  if (cover) assert_tokens(*cover, {{file, TokenMode::kExclusive}}, effects);
  assert_tokens(file, agent_->implied_by(file), effects);
  const bool tells =
      keep == TokenMode::kShared && had != TokenMode::kShared && had != TokenMode::kNone;
  const TokenRelease release{file, agent_->name(file), keep};
  if (tells && !mutated(Mutation::kLocksAfterToken)) push_locks(file, effects);
  send_background(release, effects);
  if (tells && mutated(Mutation::kLocksAfterToken)) push_locks(file, effects);
  agent_->released(file, keep, now_);
}

void ClientCore::push_locks(const FileKey& file, ClientEffects& effects) {
  const std::vector<HeldLock> locks = held_.locks_of(file);
  for (std::size_t done = 0; done < locks.size(); done += kPushLocksMax) {
    PushLocks push{file, agent_->name(file), {}};
    const std::size_t end = std::min(locks.size(), done + kPushLocksMax);
    push.locks.assign(locks.begin() + static_cast<std::ptrdiff_t>(done),
                      locks.begin() + static_cast<std::ptrdiff_t>(end));
    send_background(std::move(push), effects);
  }
  // Locks of its wal-index, if there are any, have told lockd already.
  if (held_.claimed(file) && held_.tied_to(file).empty()) {
    send_background(ClaimWalRequest{file}, effects);
  }
}

void ClientCore::assert_tokens(const FileKey& cover, const std::vector<HeldToken>& tokens,
                               ClientEffects& effects) {
  for (std::size_t done = 0; done < tokens.size(); done += kTokenAssertMax) {
    TokenAssert part{cover, agent_->name(cover), {}};
    const std::size_t end = std::min(tokens.size(), done + kTokenAssertMax);
    part.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(done),
                       tokens.begin() + static_cast<std::ptrdiff_t>(end));
    const std::vector<HeldToken> named = part.tokens;
    send_background(std::move(part), effects);
    agent_->asserted(named, RequestNumber{last_number_});
  }
}

// ---- Asking

void ClientCore::ask_wanted(ClientEffects& effects) {
  if (link_ != Link::kUp) return;
  for (const FileKey& file : std::set<FileKey>(agent_->wanted()))
    try_to_ask(file, effects);
}

// The grant makes us the judge of the locks that lockd has of us: so all about them is answered
// before, and nothing is in doubt.
void ClientCore::try_to_ask(const FileKey& file, ClientEffects& effects) {
  if (link_ != Link::kUp) return;
  if (last_number_ - acknowledged().value >= window(*session_)) return make_room(effects);
  const bool open = open_at_lockd(file);
  const auto database = held_.database_of(file);
  const bool doubt = held_.any_uncertain(file) ||
                     (database && agent_->known_mode(*database) != TokenMode::kExclusive);
  if (agent_->known_mode(file) == TokenMode::kShared && (open || doubt)) {
    return agent_->do_not_ask(file);
  }
  if (open) return;
  TokenUse use = agent_->wanted_use(file);
  if (use == TokenUse::kRead && locks_of(file).exclusive) use = TokenUse::kWrite;
  if (doubt) use = TokenUse::kThrough;
  agent_->asked(file);
  send_background(TokenRequest{file, use}, effects);
  agent_->numbered(file, RequestNumber{last_number_});
}

// ---- What lockd answers

bool ClientCore::is_about_tokens(const Call& call, const Reply& reply, Instant now,
                                 ClientEffects& effects) {
  if (const FileKey* file = file_of(call.command)) lanes_due_.insert(*file);
  const bool refused = std::holds_alternative<Refused>(reply.outcome);
  if (const auto* push = std::get_if<PushLocks>(&call.command)) {
    if (refused) forsake(push->file, effects);  // lockd does not have them
    return true;
  }
  if (const auto* asserted = std::get_if<TokenAssert>(&call.command)) {
    std::vector<FileKey> files;
    for (const HeldToken& token : asserted->tokens)
      files.push_back(token.file);
    if (refused) lose_files(std::move(files), effects);
    return true;
  }
  if (const auto* release = std::get_if<TokenRelease>(&call.command)) {
    const bool to_shared = release->keep == TokenMode::kShared;
    if (!refused && to_shared) agent_->unpark(release->file, release->token);
    return true;
  }
  const auto* asked = std::get_if<TokenRequest>(&call.command);
  if (asked == nullptr) return false;
  const auto* grant = std::get_if<TokenGranted>(&reply.outcome);
  if (grant == nullptr && call.make_room) {
    agent_->cancelled(asked->file);
  } else if (grant == nullptr) {
    agent_->refused(asked->file, now);
    lanes_due_.erase(asked->file);  // tick() tries again
  } else if (agent_->granted(asked->file, reply.number, *grant, now)) {
    granted_.push_back(asked->file);
  } else {
    send_background(TokenRelease{asked->file, reply.number, TokenMode::kNone}, effects);
  }
  return true;
}

void ClientCore::on(const Recall& recall, Instant, ClientEffects& effects) {
  if (!agent_) return drop(DropConnection::Why::kProtocol, {}, effects);
  TokenEffects said;
  agent_->recalled(recall, said);
  append(std::move(said), effects);
}

}  // namespace holdfast::fs
