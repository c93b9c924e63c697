// Who may go on under which token, and what is asked for.
#include "fs/token/agent.h"

#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"

#include <algorithm>

namespace holdfast::fs {
namespace {

// Entries looked at for one that can go.
constexpr std::size_t kEvictionLook = 16;

bool suffices(TokenMode mode, TokenUse use) {
  switch (mode) {
    case TokenMode::kNone:
      return false;
    case TokenMode::kRead:
      return use == TokenUse::kRead;
    case TokenMode::kShared:
    case TokenMode::kExclusive:
      return true;
  }
  return false;
}

// Writing needs more than reading, and reading more than going through.
TokenUse stronger(TokenUse one, TokenUse other) {
  if (one == TokenUse::kWrite || other == TokenUse::kWrite) return TokenUse::kWrite;
  return one == TokenUse::kRead || other == TokenUse::kRead ? TokenUse::kRead : TokenUse::kThrough;
}

}  // namespace

// ---- Entries

TokenMode TokenAgent::usable(const File& file) {
  return file.parked ? TokenMode::kNone : file.mode;
}

const TokenAgent::File* TokenAgent::find(const FileKey& key) const {
  const auto at = files_.find(key);
  return at == files_.end() ? nullptr : &at->second;
}
TokenAgent::File* TokenAgent::find(const FileKey& key) {
  const auto at = files_.find(key);
  return at == files_.end() ? nullptr : &at->second;
}

// Finds what the volume's token implies for it.
TokenAgent::File& TokenAgent::touch(const FileKey& key) {
  const auto [at, fresh] = files_.try_emplace(key);
  File& file = at->second;
  if (fresh) {
    file.age = ages_.insert(ages_.end(), key);
  } else {
    ages_.splice(ages_.end(), ages_, file.age);
  }
  const bool bare = file.mode == TokenMode::kNone && !file.ask && key != kVolumeKey;
  if (bare && known_mode(kVolumeKey) == TokenMode::kExclusive && !uncovered_.contains(key)) {
    imply(key, file, kVolumeKey);
  }
  return file;
}

void TokenAgent::imply(const FileKey& key, File& file, const FileKey& cover) {
  file.cover = cover;
  implied_[cover].insert(key);
  set_mode(file, TokenMode::kExclusive);
  admissible_.insert(key);
}

void TokenAgent::uncover(const FileKey& key, File& file) {
  if (!file.cover) return;
  const auto at = implied_.find(*file.cover);
  at->second.erase(key);
  if (at->second.empty()) implied_.erase(at);
  file.cover.reset();
}

void TokenAgent::set_mode(File& file, TokenMode mode) {
  const bool keeps = mode == TokenMode::kRead || mode == TokenMode::kExclusive;
  if (!keeps) file.generation = 0;
  if (keeps && file.generation == 0) file.generation = ++last_generation_;
  file.mode = mode;
  file.parked = false;
}

// An entry that says nothing goes.
void TokenAgent::tidy(const FileKey& key) {
  const auto at = files_.find(key);
  if (at == files_.end()) return;
  const File& file = at->second;
  const bool says_something = file.mode != TokenMode::kNone || file.ask || file.down ||
                              file.pins > 0 || !file.waiting.empty() || key == kVolumeKey;
  if (says_something) return;
  ages_.erase(file.age);
  admissible_.erase(key);
  files_.erase(at);
}

// ---- Operations

bool TokenAgent::admits(const File& file, TokenUse use, Urgency urgency) {
  if (!suffices(usable(file), use)) return false;
  const bool within = urgency == Urgency::kWithin && !mutated(Mutation::kWithinWaits);
  if (!file.down || within) return true;
  const Descent& down = *file.down;
  if (urgency != Urgency::kKernelWaits || down.last) return false;
  const bool pages_awaited = down.round != 0 && !down.drained;
  return pages_awaited || down.urgent < kUrgentPinsMax;
}

void TokenAgent::pin(const FileKey& key, File& file, Urgency urgency) {
  ++file.pins;
  if (!file.down) return;
  ready_.erase(key);
  if (urgency == Urgency::kWithin) return;
  ++file.down->urgent;
  file.down->used = true;
}

std::optional<TokenMode> TokenAgent::try_pin(const FileKey& key, TokenUse use, Urgency urgency,
                                             Instant now) {
  File& file = touch(key);
  if (!admits(file, use, urgency)) {
    tidy(key);
    return std::nullopt;
  }
  consider(key, use, now);
  pin(key, file, urgency);
  return usable(file);
}

void TokenAgent::acquire(CallId call, const FileKey& key, TokenUse use, Urgency urgency) {
  touch(key).waiting.push_back({call, use, urgency});
  acquires_.emplace(call, key);
  admissible_.insert(key);
  want(key, use);
}

bool TokenAgent::cancel(CallId call) {
  const auto at = acquires_.find(call);
  if (at == acquires_.end()) return false;
  const FileKey key = at->second;
  acquires_.erase(at);
  auto& waiting = files_.at(key).waiting;
  std::erase_if(waiting, [&](const Waiting& one) { return one.call == call; });
  tidy(key);
  return true;
}

std::vector<CallId> TokenAgent::cancel_all() {
  std::vector<CallId> calls;
  for (const auto& [call, key] : acquires_)
    calls.push_back(call);
  for (const CallId call : calls)
    cancel(call);
  return calls;
}

void TokenAgent::unpin(const FileKey& key, TokenEffects& effects) {
  File* file = find(key);
  HOLDFAST_ASSERT(file != nullptr && file->pins > 0, "who unpins has pinned");
  if (--file->pins == 0 && file->down) look(key, *file, effects);
  tidy(key);
  evict(effects);
}

void TokenAgent::created(const FileKey& directory, const FileKey& key) {
  const File* parent = find(directory);
  if (parent == nullptr || parent->mode != TokenMode::kExclusive) return;
  // What implies the directory's token implies the file's: lockd knows only that one.
  const FileKey cover = parent->cover.value_or(directory);
  File& file = touch(key);
  if (file.mode == TokenMode::kNone && !file.ask) imply(key, file, cover);
}

void TokenAgent::admit(Instant now, TokenEffects& effects) {
  now_ = std::max(now_, now);
  for (const FileKey& key : std::exchange(admissible_, {})) {
    File* file = find(key);
    if (file == nullptr || file->waiting.empty()) continue;
    std::vector<Waiting> left;
    for (const Waiting& one : std::exchange(file->waiting, {})) {
      if (!admits(*file, one.use, one.urgency)) {
        if (one.urgency == Urgency::kWithin && !mutated(Mutation::kWithinWaits)) {
          acquires_.erase(one.call);
          effects.emplace_back(TokenRefused{one.call});
        } else {
          left.push_back(one);
        }
        continue;
      }
      consider(key, one.use, now);
      pin(key, *file, one.urgency);
      acquires_.erase(one.call);
      effects.emplace_back(TokenPinned{one.call, usable(*file)});
    }
    file->waiting = std::move(left);
    if (file->waiting.empty()) continue;
    unblock(key, *file, effects);
    TokenUse most = TokenUse::kThrough;
    for (const Waiting& one : file->waiting)
      most = stronger(most, one.use);
    want(key, most);
  }
  evict(effects);
}

// ---- Asking

void TokenAgent::ask(const FileKey& key, File& file, TokenUse use) {
  if (limits_.through) use = TokenUse::kThrough;
  if (file.ask) {
    if (!file.ask->queued) file.ask->use = stronger(file.ask->use, use);
    return;
  }
  file.ask = Ask{.use = use};
  wanted_.insert(key);
}

void TokenAgent::want(const FileKey& key, TokenUse use) {
  File& file = touch(key);
  // What comes down is asked for when it is down; what is parked becomes CW by itself.
  if (suffices(usable(file), use) || file.down || file.parked) return;
  ask(key, file, use);
}

void TokenAgent::consider(const FileKey& key, TokenUse use, Instant now) {
  File* file = find(key);
  if (file == nullptr || usable(*file) != TokenMode::kShared || use == TokenUse::kThrough ||
      limits_.through || file->down || file->ask || now < file->ask_again) {
    return;
  }
  ask(key, *file, use);
}

TokenUse TokenAgent::wanted_use(const FileKey& key) const {
  const File* file = find(key);
  return file != nullptr && file->ask ? file->ask->use : TokenUse::kThrough;
}

void TokenAgent::do_not_ask(const FileKey& key) {
  wanted_.erase(key);
  if (File* file = find(key)) file->ask.reset();
}

void TokenAgent::asked(const FileKey& key) {
  wanted_.erase(key);
  files_.at(key).ask->queued = true;
}

void TokenAgent::numbered(const FileKey& key, RequestNumber number) {
  files_.at(key).ask->number = number;
}

void TokenAgent::want_volume(Instant now) {
  if (limits_.through) return;
  File& volume = touch(kVolumeKey);
  const bool enough = volume.mode == TokenMode::kExclusive || volume.ask || volume.down;
  if (enough || now < volume.ask_again) return;
  ask(kVolumeKey, volume, TokenUse::kWrite);
}

// ---- Looking

TokenMode TokenAgent::known_mode(const FileKey& key) const {
  const File* file = find(key);
  return file == nullptr ? TokenMode::kNone : usable(*file);
}

TokenMode TokenAgent::mode(const FileKey& key) {
  const TokenMode mode = usable(touch(key));
  tidy(key);
  return mode;
}

RequestNumber TokenAgent::name(const FileKey& key) const {
  const File* file = find(key);
  return file == nullptr ? RequestNumber{} : file->token;
}

bool TokenAgent::known_to_lockd(const FileKey& key) const {
  const File* file = find(key);
  return file != nullptr && file->mode != TokenMode::kNone && !file->cover;
}

std::optional<FileKey> TokenAgent::cover(const FileKey& key) const {
  const File* file = find(key);
  return file == nullptr ? std::nullopt : file->cover;
}

bool TokenAgent::asking(const FileKey& key) const {
  const File* file = find(key);
  return file != nullptr && file->ask && file->ask->queued;
}

bool TokenAgent::coming_down(const FileKey& key) const {
  const File* file = find(key);
  return file != nullptr && file->down;
}

std::uint64_t TokenAgent::generation(const FileKey& key) const {
  const File* file = find(key);
  if (file == nullptr) return 0;
  const bool goes = file->down && !stays_read(*file);
  return goes ? 0 : file->generation;
}

// ---- Room

void TokenAgent::forgotten(const FileKey& key, Locks locks) {
  File* file = find(key);
  if (file == nullptr || file->pins > 0 || file->down || file->ask || !file->waiting.empty()) {
    return;
  }
  if (file->cover && !locks.any && !implied_.contains(key)) {
    strip(key, *file);
    return tidy(key);
  }
  file->in_use_until = {};
  ages_.splice(ages_.begin(), ages_, file->age);
}

void TokenAgent::evict(TokenEffects& effects) {
  for (std::size_t looked = 0; looked < kEvictionLook; ++looked) {
    if (files_.size() <= limits_.tokens_max + evictions_ || evictions_ >= kEvictionsMax) return;
    const FileKey key = ages_.front();
    File& file = files_.at(key);
    ages_.splice(ages_.end(), ages_, file.age);
    const bool idle = usable(file) != TokenMode::kNone && file.pins == 0 && !file.down &&
                      !file.ask && file.waiting.empty() && key != kVolumeKey &&
                      file.in_use_until <= now_;
    if (!idle) continue;
    ++evictions_;
    descend(key, file, TokenMode::kExclusive, effects);
    if (file.down) file.down->evicted = true;
  }
}

}  // namespace holdfast::fs
