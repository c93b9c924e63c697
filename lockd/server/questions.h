#pragma once
/// Questions about who has a lock that wait for what mounts say. Pure.
///
/// A question ends when every mount that was asked has told, is gone, or time is up; then the
/// answer has what came until then (WhoMount::told).
/// Limits: kQuestionsMax at a time; above, questions are answered without asking mounts.

#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"
#include "lockd/core/coordinator.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace holdfast::lockd {

class Questions {
 public:
  static constexpr std::size_t kQuestionsMax = 64;

  struct Answered {
    ConnectionId asker;
    WhoAnswer answer;
  };
  using Answers = std::vector<Answered>;

  [[nodiscard]] bool full() const { return open_.size() >= kQuestionsMax; }
  /// `asked` have been, or are about to be, sent TellWho with the number that is returned.
  std::uint64_t begin(ConnectionId asker, WhoAnswer answer, std::set<SessionId> asked,
                      Instant until);
  /// Answers that nobody asked for, or come too late, change nothing.
  [[nodiscard]] Answers told(SessionId session, ToldWho told);
  [[nodiscard]] Answers gone(SessionId session);
  [[nodiscard]] Answers due(Instant now);
  /// It hung up.
  void forget(ConnectionId asker);

 private:
  struct Open {
    ConnectionId asker;
    WhoAnswer answer;
    std::set<SessionId> missing;
    Instant until;
  };
  Answers take_finished(Instant now);

  std::map<std::uint64_t, Open> open_;
  std::uint64_t last_ = 0;
};

}  // namespace holdfast::lockd
