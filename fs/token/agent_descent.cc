// How a token is given up: rounds of draining, until nothing that it allowed is left.
#include "fs/token/agent.h"
#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"

#include <algorithm>

namespace holdfast::fs {

void TokenAgent::come_down(const FileKey& key, TokenMode wanted, TokenEffects& effects) {
  if (File* file = find(key)) descend(key, *file, wanted, effects);
}

void TokenAgent::descend(const FileKey& key, File& file, TokenMode wanted, TokenEffects& effects) {
  // What is parked is on its way down.
  if (file.mode == TokenMode::kNone || file.parked) return;
  if (file.down) {
    Descent& down = *file.down;
    // For more than one reason: what is compatible with all of them.
    if (down.wanted != wanted) down.wanted = TokenMode::kExclusive;
    if (down.evicted) --evictions_;
    down.evicted = false;
    return;
  }
  file.down = Descent{.wanted = wanted};
  // Nothing is kept of the volume itself; what it implies goes on under names of its own.
  if (key == kVolumeKey) {
    ready_.insert(key);
    return;
  }
  look(key, file, effects);
}

// As far as we know: locks may still decide otherwise.
bool TokenAgent::stays_read(const File& file) {
  return file.down->wanted == TokenMode::kRead && !file.down->strict &&
         file.mode != TokenMode::kShared;
}

bool TokenAgent::kernel_waits(const File& file) {
  return std::any_of(file.waiting.begin(), file.waiting.end(),
                     [](const Waiting& one) { return one.urgency == Urgency::kKernelWaits; });
}

// The round that is being drained waits for the pages of somebody who waits for another token.
void TokenAgent::unblock(const FileKey& key, File& file, TokenEffects& effects) {
  if (!file.down || file.down->last || file.down->round == 0 || file.down->drained) return;
  if (file.pins == 0 && kernel_waits(file)) say_round(key, file, effects);
}

void TokenAgent::say_round(const FileKey& key, File& file, TokenEffects& effects) {
  Descent& down = *file.down;
  ++down.rounds;
  const bool enough = down.urgent >= kUrgentPinsMax;
  // What was unlocked while PR was to stay was not published, and the last round waits for no page:
  // so everything is dropped once with waiting before. A WRITE under PR waits for more than PR;
  // what has its page locked cannot be waited for, and under PR there is nothing to publish.
  down.last = kernel_waits(file) || (down.round != 0 && down.level == TokenMode::kNone &&
                                     (enough || down.rounds >= kDrainRoundsMax));
  down.last = down.last && !mutated(Mutation::kNoLastRound);
  down.strict = down.strict || down.last || enough || down.rounds + 1 >= kDrainRoundsMax;
  down.round = ++last_round_;
  down.drained = mutated(Mutation::kReleaseBeforeFlush);
  down.used = false;
  down.level = stays_read(file) ? TokenMode::kRead : TokenMode::kNone;
  const auto pages = down.last ? DropPages::kBegun : DropPages::kEnded;
  effects.emplace_back(Drain{key, down.level, down.round, pages});
  if (down.drained) ready_.insert(key);
}

// Something of a descent has happened: an operation has ended, a round is done.
void TokenAgent::look(const FileKey& key, File& file, TokenEffects& effects) {
  const Descent& down = *file.down;
  if (file.pins > 0) return;
  if (key == kVolumeKey) {
    ready_.insert(key);
  } else if (down.round == 0) {
    say_round(key, file, effects);
  } else if (!down.drained) {
    unblock(key, file, effects);
  } else if (down.drained) {
    // What came in under it is dropped in another round.
    if (down.used) return say_round(key, file, effects);
    ready_.insert(key);
  }
}

void TokenAgent::drained(const FileKey& key, std::uint64_t round, bool in_use,
                         TokenEffects& effects) {
  File* file = find(key);
  if (file == nullptr || !file->down || file->down->round != round) return;
  file->down->drained = true;
  file->down->in_use = in_use;
  look(key, *file, effects);
}

void TokenAgent::end_descent(const FileKey& key, File& file) {
  if (file.down && file.down->evicted) --evictions_;
  file.down.reset();
  ready_.erase(key);
  admissible_.insert(key);
}

// It does not go down after all, but what was kept may have been dropped.
void TokenAgent::stay(const FileKey& key, File& file) {
  const bool dropped = file.down->level == TokenMode::kNone;
  end_descent(key, file);
  if (dropped && file.generation != 0) file.generation = ++last_generation_;
}

std::optional<TokenMode> TokenAgent::keep(const FileKey& key, Locks locks, TokenEffects& effects) {
  File& file = files_.at(key);
  HOLDFAST_ASSERT(file.down && file.pins == 0, "what is ready comes down and is not pinned");
  Descent& down = *file.down;
  if (key == kVolumeKey) return TokenMode::kNone;
  const bool wanted_here = down.in_use || locks.any || !file.waiting.empty();
  if (down.evicted && wanted_here) {
    file.in_use_until = now_ + kInUsePause;
    stay(key, file);
    return std::nullopt;
  }
  bool writes = locks.exclusive;
  for (const Waiting& one : file.waiting)
    writes = writes || one.use != TokenUse::kRead;
  if (down.wanted == TokenMode::kRead && file.mode != TokenMode::kShared && !writes) {
    if (file.mode == TokenMode::kExclusive) return TokenMode::kRead;
    stay(key, file);  // it is compatible as it is
    return std::nullopt;
  }
  if (down.level == TokenMode::kRead) {  // more is to be dropped than it was told
    down.strict = true;
    ready_.erase(key);
    say_round(key, file, effects);
    return std::nullopt;
  }
  // Under PR others may have it too, and CW would not be compatible with theirs. Only locks are
  // worth that: lockd must have them.
  if (file.mode == TokenMode::kRead) return locks.any ? TokenMode::kShared : TokenMode::kNone;
  return wanted_here ? TokenMode::kShared : TokenMode::kNone;
}

void TokenAgent::released(const FileKey& key, TokenMode keep, Instant now) {
  File& file = files_.at(key);
  stay(key, file);
  const bool parks = keep == TokenMode::kShared && (file.parked || file.mode == TokenMode::kRead);
  if (keep == TokenMode::kNone) {
    strip(key, file);
  } else {
    set_mode(file, keep);
  }
  file.parked = parks;
  file.ask_again = now + (key == kVolumeKey ? kVolumeAskAgain : kAskAgainUsual);
  if (key == kVolumeKey) uncovered_.clear();
  tidy(key);
}

// Nothing is left of its token.
void TokenAgent::strip(const FileKey& key, File& file) {
  uncover(key, file);
  set_mode(file, TokenMode::kNone);
  file.token = {};
}

}  // namespace holdfast::fs
