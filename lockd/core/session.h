#pragma once
/// A session of the coordinator: who it is, how long it lives, what it was told, what it holds.

#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"
#include "lockd/core/kept_replies.h"
#include "lockd/core/lock_objects.h"

#include <list>
#include <unordered_map>

namespace holdfast::lockd {

struct Session {
  Session(const Hello& from, SessionId session, const SessionSecret& proof, Instant until,
          std::uint32_t in_flight_max)
      : hello(from), secret(proof), lease_until(until), replies(in_flight_max) {
    locks.id = session;
    locks.volume = from.volume;
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] SessionId id() const { return locks.id; }

  Hello hello;
  SessionSecret secret{};
  Instant lease_until;
  bool connected = true;
  KeptReplies replies;
  SessionLocks locks;
};

/// The sessions, found by id and ordered by lease. All leases are equally long and time does not go
/// backwards, so whoever renewed last ends last: a list, no heap.
class Sessions {
 public:
  using Place = std::list<Session>::iterator;

  [[nodiscard]] std::size_t size() const { return by_id_.size(); }
  [[nodiscard]] Session* find(SessionId id) const {
    const auto at = by_id_.find(id);
    return at == by_id_.end() ? nullptr : &*at->second;
  }
  /// The one whose lease ends first, or null.
  [[nodiscard]] Session* first() { return by_lease_.empty() ? nullptr : &by_lease_.front(); }
  [[nodiscard]] const std::list<Session>& by_lease() const { return by_lease_; }

  /// `until` is not earlier than any other lease's end.
  Session& open(const Hello& hello, SessionId id, const SessionSecret& secret, Instant until,
                std::uint32_t in_flight_max) {
    by_lease_.emplace_back(hello, id, secret, until, in_flight_max);
    by_id_.emplace(id, std::prev(by_lease_.end()));
    return by_lease_.back();
  }
  void renew(Session& session, Instant until) {
    session.lease_until = until;
    by_lease_.splice(by_lease_.end(), by_lease_, by_id_.at(session.id()));
  }
  void erase(Session& session) {
    const auto at = by_id_.find(session.id());
    const Place place = at->second;
    by_id_.erase(at);
    by_lease_.erase(place);
  }

 private:
  std::list<Session> by_lease_;
  std::unordered_map<SessionId, Place> by_id_;
};

}  // namespace holdfast::lockd
