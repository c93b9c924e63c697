#pragma once
/// The requests that one life of a lockd has taken and not answered, and I5: nobody is granted over
/// an earlier waiter that conflicts. The exceptions are those of docs/locks.md: whoever holds
/// something in the file already, and patience.

#include "tests/sim/cells.h"
#include "tests/sim/world.h"

#include <functional>
#include <map>
#include <optional>

namespace holdfast::sim {

class QueueJudge {
 public:
  QueueJudge(World& world, Duration patience) : world_(world), patience_(patience) {}

  /// `holder`: its owner holds something in the file. `grace`: nobody is granted anything yet, so a
  /// place of a former life counts.
  /// False: it came before.
  bool arrived(SessionId session, const Request& request, bool holder, bool grace, Instant now);
  void queued(SessionId session, const Queued& queued);
  [[nodiscard]] const Command* pending(SessionId session, RequestNumber number) const;
  void answered(SessionId session, RequestNumber number);
  /// It is decided that the session loses the file: a grant that is still to leave was before.
  void loses(SessionId session, const FileKey& file);
  [[nodiscard]] bool lost(SessionId session, RequestNumber number) const;
  /// Its waiters were withdrawn; they come again with new places, or not at all.
  void withdrawn(SessionId session);
  void gone(SessionId session) {
    pending_.erase(session);
    seen_.erase(session);
  }
  void clear() {
    pending_.clear();
    seen_.clear();
  }
  /// `absent`: sessions whose lease is over have no place.
  void granted(SessionId session, RequestNumber number, bool holder, Instant now,
               const std::function<bool(SessionId)>& absent);
  /// Who is to give way must not wait while somebody waits for what it holds. `list`: what lockd
  /// says of itself, with nothing decided that it has not told.
  void check_ways(const LockList& list) const;
  [[nodiscard]] bool anybody_gives_way() const;
  void each_lock(const std::function<void(SessionId, const LockRequest&)>& look) const;

 private:
  struct Pending {
    Command command;
    Instant since;
    bool converts = false;  ///< and has not been made to wait
    bool lost = false;      ///< the session has lost the file since it was asked
    std::optional<QueuePlace> place{};
  };
  [[nodiscard]] const Pending* find(SessionId session, RequestNumber number) const;

  World& world_;
  Duration patience_;
  std::map<SessionId, std::map<RequestNumber, Pending>> pending_;
  std::map<SessionId, RequestNumber> seen_;  ///< what comes again is not new
};

}  // namespace holdfast::sim
