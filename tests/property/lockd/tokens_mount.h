#pragma once
/// A mount as the rules for tokens demand it (docs/tokens.md), in the simplest way: what it
/// believes to have, what it decides itself, and how it comes down. Its messages arrive late.

#include "lockd/core/token_objects.h"
#include "tests/unit/lockd/driver.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

namespace holdfast::lockd::test {

struct Believed {
  TokenMode mode = TokenMode::kNone;
  RequestNumber number;
  friend bool operator==(const Believed&, const Believed&) = default;
};

inline std::optional<FileKey> file_of(const Command& command) {
  if (const auto* request = std::get_if<TokenRequest>(&command)) return request->file;
  if (const auto* release = std::get_if<TokenRelease>(&command)) return release->file;
  if (const auto* request = std::get_if<LockRequest>(&command)) return request->file;
  return std::nullopt;
}

struct Mount {
  SessionId session;
  Instant lease;  ///< it is entitled until then
  std::uint64_t last = 0;
  std::map<std::uint64_t, Command> unanswered;
  std::map<FileKey, Believed> tokens;
  /// Decided by itself under EX or PR, by lockd otherwise.
  std::vector<HeldLock> locks;
  std::set<std::uint64_t> void_answers;  ///< of requests from before a loss
  std::map<FileKey, Recall> recalls;     ///< to be answered, or of a grant that is on its way
  std::set<FileKey> bare;                ///< lost while it had the volume's
  std::deque<std::variant<Reply, Recall>> inbox;
  bool away = false;  ///< it has to say Hello before anything else
  LossNumber losses_seen;

  [[nodiscard]] bool entitled(Instant now) const { return now < lease; }
  [[nodiscard]] bool talks(Instant now) const { return entitled(now) && !away; }
  [[nodiscard]] RequestNumber acknowledged() const {
    return {unanswered.empty() ? last : unanswered.begin()->first - 1};
  }
  [[nodiscard]] TokenMode mode(FileKey file) const {
    const auto at = tokens.find(file);
    if (at != tokens.end()) return at->second.mode;
    return tokens.contains(kVolumeKey) && file != kVolumeKey && !bare.contains(file)
               ? TokenMode::kExclusive
               : TokenMode::kNone;
  }
  [[nodiscard]] bool waits(FileKey file) const {
    return std::any_of(unanswered.begin(), unanswered.end(), [&](const auto& one) {
      const auto* request = std::get_if<TokenRequest>(&one.second);
      return request != nullptr && request->file == file;
    });
  }
  [[nodiscard]] bool releases(FileKey file) const {
    return std::any_of(unanswered.begin(), unanswered.end(), [&](const auto& one) {
      const auto* release = std::get_if<TokenRelease>(&one.second);
      return release != nullptr && release->file == file;
    });
  }
  /// A lock that is asked for, or freed, and not answered.
  [[nodiscard]] bool locking(FileKey file) const {
    return std::any_of(unanswered.begin(), unanswered.end(), [&](const auto& one) {
      const auto* request = std::get_if<LockRequest>(&one.second);
      const auto* freed = std::get_if<UnlockRequest>(&one.second);
      return (request != nullptr && request->file == file) ||
             (freed != nullptr && freed->file == file);
    });
  }
  [[nodiscard]] bool asks_for(const HeldLock& lock) const {
    return std::any_of(unanswered.begin(), unanswered.end(), [&](const auto& one) {
      const auto* request = std::get_if<LockRequest>(&one.second);
      return request != nullptr && request->file == lock.file && request->owner == lock.owner &&
             request->range == lock.range;
    });
  }
  [[nodiscard]] std::vector<HeldLock> locks_of(FileKey file) const {
    std::vector<HeldLock> found;
    for (const HeldLock& lock : locks)
      if (lock.file == file) found.push_back(lock);
    return found;
  }
  [[nodiscard]] bool has_exclusive(FileKey file) const {
    return std::any_of(locks.begin(), locks.end(), [&](const HeldLock& lock) {
      return lock.file == file && lock.mode == LockMode::kExclusive;
    });
  }
  void drop_locks(FileKey file) {
    std::erase_if(locks, [&](const HeldLock& lock) { return lock.file == file; });
  }
  /// Another of its owners is in the way.
  [[nodiscard]] bool conflicts(const HeldLock& wanted) const {
    return std::any_of(locks.begin(), locks.end(), [&](const HeldLock& lock) {
      return lock.file == wanted.file && lock.owner != wanted.owner && lock.range == wanted.range &&
             (lock.mode == LockMode::kExclusive || wanted.mode == LockMode::kExclusive);
    });
  }
  void add(const HeldLock& lock) {
    std::erase_if(locks, [&](const HeldLock& other) {
      return other.file == lock.file && other.owner == lock.owner && other.range == lock.range;
    });
    locks.push_back(lock);
  }
  void lose(FileKey file) {
    for (const auto& [number, command] : unanswered)
      if (file == kVolumeKey || file_of(command) == file) void_answers.insert(number);
    if (file == kVolumeKey) {
      tokens.erase(file);
      recalls.erase(file);
      bare.clear();
      std::erase_if(locks, [&](const HeldLock& lock) { return !tokens.contains(lock.file); });
      return;
    }
    if (tokens.contains(kVolumeKey)) bare.insert(file);
    tokens.erase(file);
    recalls.erase(file);
    drop_locks(file);
  }
};

/// T1, of two mounts that are entitled.
inline void judge_tokens(const Mount& one, const Mount& other, std::uint64_t files) {
  for (std::uint64_t i = 0; i <= files; ++i) {
    const FileKey file{i, 0};
    ASSERT_TRUE(compatible(one.mode(file), other.mode(file)))
        << "T1: file " << i << " of " << one.session.value << " and " << other.session.value;
  }
}
/// T2 and T4: whoever decided them, locks exclude each other.
inline void judge_locks(const Mount& one, const Mount& other) {
  for (const HeldLock& lock : one.locks)
    for (const HeldLock& with : other.locks)
      ASSERT_FALSE(lock.file == with.file && lock.range == with.range &&
                   (lock.mode == kX || with.mode == kX))
          << "exclusion";
}

/// That something has happened at all.
struct Tally {
  std::uint64_t grants = 0, recalls = 0, losses = 0, restarts = 0, pushes = 0, covers = 0;
};

/// What lockd's records amount to.
class StoreModel {
 public:
  void apply(const Record& record) {
    for (const StoreChange& change : record.changes) {
      if (const auto* put = std::get_if<PutSession>(&change)) {
        SessionRecord& known = sessions_[put->record.session];
        auto losses = std::move(known.losses);
        known = put->record;
        known.losses = std::move(losses);
      } else if (const auto* ended = std::get_if<EndSessionRecord>(&change)) {
        sessions_.at(ended->session).ended = true;
      } else if (const auto* dropped = std::get_if<DropSession>(&change)) {
        sessions_.erase(dropped->session);
      } else if (const auto* loss = std::get_if<PutLoss>(&change)) {
        sessions_.at(loss->session).losses.push_back(loss->loss);
      } else if (const auto* seen = std::get_if<DropLosses>(&change)) {
        std::erase_if(sessions_.at(seen->session).losses,
                      [&](const FileLoss& one) { return one.number <= seen->upto; });
      }
    }
  }
  [[nodiscard]] Recovered recovered(Epoch epoch) const {
    Recovered result{.epoch = epoch, .empty = false, .lease_ttl_max = 10s, .sessions = {}};
    for (const auto& [id, record] : sessions_)
      result.sessions.push_back(record);
    return result;
  }

 private:
  std::map<SessionId, SessionRecord> sessions_;
};

}  // namespace holdfast::lockd::test
