// What lockd says about tokens, and what it is told.
#include "fs/token/agent.h"
#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"

#include <algorithm>

namespace holdfast::fs {

bool TokenAgent::granted(const FileKey& key, RequestNumber number, const TokenGranted& grant,
                         Instant now) {
  File* file = find(key);
  if (file == nullptr || !file->ask) return false;
  const Ask ask = *std::exchange(file->ask, std::nullopt);
  wanted_.erase(key);
  admissible_.insert(key);
  if (ask.lost) {
    file->early.reset();
    return false;
  }
  uncover(key, *file);
  if (grant.mode == TokenMode::kNone) end_descent(key, *file);
  set_mode(*file, grant.mode);
  file->token = number;
  const Duration pause = grant.ask_again;
  file->ask_again = now + (pause > Duration::zero() ? pause : kAskAgainUsual);
  return true;
}

void TokenAgent::settled(const FileKey& key, TokenEffects& effects) {
  File* file = find(key);
  if (file == nullptr) return;
  const auto early = std::exchange(file->early, std::nullopt);
  if (early && early->token == file->token) descend(key, *file, early->wanted, effects);
  tidy(key);
}

void TokenAgent::refused(const FileKey& key, Instant now) {
  File* file = find(key);
  if (file == nullptr || !file->ask) return;
  file->ask.reset();
  file->early.reset();
  file->ask_again = now + kAskAgainUsual;
  retries_.emplace(file->ask_again, key);
  tidy(key);
}

void TokenAgent::cancelled(const FileKey& key) {
  File* file = find(key);
  if (file == nullptr || !file->ask) return;
  file->ask = Ask{.use = file->ask->use};
  file->early.reset();
  wanted_.insert(key);
}

void TokenAgent::unpark(const FileKey& key, RequestNumber token) {
  File* file = find(key);
  if (file == nullptr || !file->parked || file->token != token) return;
  file->parked = false;
  admissible_.insert(key);
}

void TokenAgent::tick(Instant now) {
  while (!retries_.empty() && retries_.begin()->first <= now) {
    admissible_.insert(retries_.begin()->second);
    retries_.erase(retries_.begin());
  }
  want_volume(now);
}

Instant TokenAgent::next_deadline() const {
  Instant next = retries_.empty() ? Instant::max() : retries_.begin()->first;
  if (limits_.through) return next;
  const File* volume = find(kVolumeKey);
  if (volume == nullptr) return Instant{};
  const bool asks = volume->mode != TokenMode::kExclusive && !volume->ask && !volume->down;
  return asks ? std::min(next, volume->ask_again) : next;
}

void TokenAgent::recalled(const Recall& recall, TokenEffects& effects) {
  File* file = find(recall.file);
  if (file == nullptr) return;
  if (file->ask && file->ask->number == recall.token) {
    file->early = recall;
    return;
  }
  // What is parked has answered already; if more is wanted of it, that is said again.
  const bool names_it = file->mode != TokenMode::kNone && !file->cover && !file->parked &&
                        file->token == recall.token;
  if (!names_it) return;  // of the past
  // Whoever wants nothing in particular wants all of it.
  const bool all = recall.wanted == TokenMode::kNone;
  descend(recall.file, *file, all ? TokenMode::kExclusive : recall.wanted, effects);
}

std::set<FileKey> TokenAgent::lost(const FileKey& key) {
  std::set<FileKey> all{key};
  if (const auto implied = implied_.find(key); implied != implied_.end()) {
    all.insert(implied->second.begin(), implied->second.end());
  }
  // Also if the volume's is on its way: kept replies come after the losses, and may be older.
  const File* volume = find(kVolumeKey);
  const bool under_volume =
      key != kVolumeKey && volume != nullptr &&
      (volume->mode == TokenMode::kExclusive || (volume->ask && volume->ask->queued));
  for (const FileKey& one : all) {
    if (under_volume) uncovered_.insert(one);
    File* file = find(one);
    if (file == nullptr) continue;
    end_descent(one, *file);
    strip(one, *file);
    file->early.reset();
    const bool late = file->ask && file->ask->queued;
    if (late && !mutated(Mutation::kLateGrantHonoured)) file->ask->lost = true;
    tidy(one);
  }
  if (key == kVolumeKey) uncovered_.clear();
  return all;
}

bool TokenAgent::lost_all() {
  bool any = false;
  uncovered_.clear();
  std::vector<FileKey> keys;
  for (auto& [key, file] : files_) {
    any = any || file.mode != TokenMode::kNone;
    end_descent(key, file);
    strip(key, file);
    keys.push_back(key);
  }
  forget_numbers();
  for (const FileKey& key : keys)
    tidy(key);
  return any;
}

void TokenAgent::forget_numbers() {
  for (auto& [key, file] : files_) {
    file.token = {};
    file.early.reset();
    // Nobody knows whether the others' PR were gone: only the locks are told, and it is asked anew.
    if (file.parked) {
      end_descent(key, file);
      strip(key, file);
      if (!file.ask) file.ask = Ask{.use = TokenUse::kThrough};
    }
    if (!file.ask) continue;
    file.ask = Ask{.use = file.ask->use};
    wanted_.insert(key);
  }
}

std::vector<HeldToken> TokenAgent::tokens() const {
  std::vector<HeldToken> all;
  for (const auto& [key, file] : files_) {
    if (file.mode != TokenMode::kNone && !file.cover) all.push_back({key, file.mode});
  }
  return all;
}

std::vector<HeldToken> TokenAgent::implied_by(const FileKey& cover) const {
  std::vector<HeldToken> tokens;
  const auto at = implied_.find(cover);
  if (at == implied_.end()) return tokens;
  tokens.reserve(at->second.size());
  for (const FileKey& key : at->second)
    tokens.push_back({key, TokenMode::kExclusive});
  return tokens;
}

void TokenAgent::asserted(const std::vector<HeldToken>& tokens, RequestNumber number) {
  for (const HeldToken& token : tokens) {
    File& file = files_.at(token.file);
    uncover(token.file, file);
    file.token = number;
  }
}

void TokenAgent::check_invariants() const {
  std::size_t evictions = 0;
  for (const auto& [key, file] : files_) {
    HOLDFAST_ASSERT(!file.cover || file.mode == TokenMode::kExclusive, "a cover implies EX");
    HOLDFAST_ASSERT(!file.cover || implied_.at(*file.cover).contains(key), "covers know them");
    HOLDFAST_ASSERT(!file.down || file.mode != TokenMode::kNone,
                    "what is not held is not given up");
    HOLDFAST_ASSERT(!file.parked || file.mode == TokenMode::kShared, "only CW is parked");
    HOLDFAST_ASSERT((file.generation != 0) ==
                        (file.mode == TokenMode::kRead || file.mode == TokenMode::kExclusive),
                    "PR and EX have a generation");
    HOLDFAST_ASSERT(!ready_.contains(key) || (file.down && file.pins == 0), "ready is unpinned");
    if (file.down && file.down->evicted) ++evictions;
  }
  HOLDFAST_ASSERT(evictions == evictions_ && ages_.size() == files_.size(),
                  "the counters are right");
  for (const auto& [cover, keys] : implied_) {
    HOLDFAST_ASSERT(!keys.empty() && known_mode(cover) == TokenMode::kExclusive,
                    "what implies is EX itself");
  }
}

}  // namespace holdfast::fs
