#pragma once
/// A session of the coordinator: who it is, how long it lives, what it was told, what it holds.
///
/// Phases and what moves between them (docs/reliability.md):
///   returning  known from a former life, holds we do not know what  -> live (Reclaim), fencing
///   live       its lease runs                                       -> courtesy (lease over)
///   courtesy   lease over, nobody wants what it holds               -> live (resume), fencing
///              quiet once it is recorded that it cannot write any more: then only Hello revives
///   fencing    it must not write any more before we give away       -> fenced, gone
///   fenced     it cannot; what is wanted is given away at once      -> live (resume), gone

#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"
#include "lockd/core/kept_replies.h"
#include "lockd/core/lock_objects.h"
#include "lockd/core/records.h"
#include "lockd/core/token_objects.h"

#include <algorithm>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

namespace holdfast::lockd {

enum class Phase : std::uint8_t { kReturning, kLive, kCourtesy, kFencing, kFenced };

/// An admitted request that is carried out later: after the grace period, or when its session is
/// back.
struct Deferred {
  std::uint64_t arrival = 0;
  Command command;
};

/// Where the fence steps of a session stand.
struct Fencing {
  std::size_t step = 0;       ///< in Options::fence; past its end: waiting to try again
  std::uint64_t attempt = 0;  ///< of the command that runs; 0 = none
};

struct Session {
  Session(SessionRecord from, std::uint32_t in_flight_max, HashSalt salt)
      : record(std::move(from)), replies(in_flight_max), locks(salt) {
    locks.id = record.session;
    locks.volume = record.volume;
    tokens.locks = &locks;
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] SessionId id() const { return locks.id; }
  [[nodiscard]] bool holds_anything() const {
    return locks.range_count > 0 || !locks.wal_databases.empty() || !tokens.held.empty();
  }
  [[nodiscard]] LossNumber last_loss() const {
    return record.losses.empty() ? losses_seen : std::max(losses_seen, record.losses.back().number);
  }
  [[nodiscard]] bool lost(const FileKey& file) const {
    for (const FileLoss& loss : record.losses)
      if (loss.file == file) return true;
    return false;
  }

  /// As it is on stable storage, or will be before anything follows from it, but `ended_in_store`.
  SessionRecord record;
  Phase phase = Phase::kReturning;
  bool connected = false;
  bool former = false;        ///< of a former life, and neither back nor fenced: grace goes on
  bool asking_again = false;  ///< live and former: Reclaim::asks_again
  Instant lease_until;
  Instant due = Instant::max();  ///< of a session that is not live: when something happens to it
  LossNumber losses_seen;
  KeptReplies replies;
  std::map<RequestNumber, Deferred> deferred;
  std::optional<Instant> reclaim_until;  ///< of a returning session that said Hello
  Fencing fencing;
  /// SessionRecord::ended in the store, and not here: it may resume in this life of lockd only.
  bool ended_in_store = false;
  std::set<FileId> losing;  ///< recorded as lost, given away once it is fenced
  SessionLocks locks;
  SessionTokens tokens;
};

/// The sessions: found by id, the live ones ordered by lease, the others by when they are due. All
/// leases are equally long and time does not go backwards, so who renewed last ends last: a list,
/// no heap.
class Sessions {
 public:
  using List = std::list<Session>;

  explicit Sessions(HashSalt salt) : salt_(salt) {}

  [[nodiscard]] std::size_t size() const { return by_id_.size(); }
  [[nodiscard]] Session* find(SessionId id) const {
    const auto at = by_id_.find(id);
    return at == by_id_.end() ? nullptr : &*at->second;
  }
  /// The live one whose lease ends first, or null.
  [[nodiscard]] Session* first_live() { return live_.empty() ? nullptr : &live_.front(); }
  /// The one that is not live and due first, or null.
  [[nodiscard]] Session* first_due() { return due_.empty() ? nullptr : find(due_.begin()->second); }

  Session& add(SessionRecord record, std::uint32_t in_flight_max) {
    const SessionId id = record.session;
    ++volumes_[record.volume];
    if (record.compare_name) ++names_[record.volume_name][record.volume];
    absent_.emplace_back(std::move(record), in_flight_max, salt_);
    by_id_.emplace(id, std::prev(absent_.end()));
    return absent_.back();
  }
  /// Live until `until`, which is not earlier than any other live session's.
  void make_live(Session& session, Instant until) {
    set_due(session, Instant::max());
    session.phase = Phase::kLive;
    session.lease_until = until;
    move_to(live_, session);
  }
  void renew(Session& session, Instant until) {
    session.lease_until = until;
    live_.splice(live_.end(), live_, by_id_.at(session.id()));
  }
  void make_absent(Session& session, Phase phase, Instant due) {
    if (session.phase == Phase::kLive) move_to(absent_, session);
    session.phase = phase;
    set_due(session, due);
  }
  void set_due(Session& session, Instant due) {
    due_.erase({session.due, session.id()});
    session.due = due;
    if (due != Instant::max()) due_.emplace(due, session.id());
  }
  void erase(Session& session) {
    set_due(session, Instant::max());
    List& list = session.phase == Phase::kLive ? live_ : absent_;
    const auto at = by_id_.find(session.id());
    const List::iterator place = at->second;
    forget(session.record);
    by_id_.erase(at);
    list.erase(place);
  }
  [[nodiscard]] std::size_t of_volume(const VolumeId& volume) const {
    const auto at = volumes_.find(volume);
    return at == volumes_.end() ? 0 : at->second;
  }
  /// A session has another volume under this name.
  [[nodiscard]] bool other_volume(const std::string& name, const VolumeId& volume) const {
    const auto at = names_.find(name);
    return at != names_.end() && (at->second.size() > 1 || !at->second.contains(volume));
  }
  /// Live ones first, by lease; then the others, in the order they became so.
  template <class Visitor>
  void for_each(Visitor visit) {
    for (List* list : {&live_, &absent_})
      for (Session& session : *list)
        visit(session);
  }

 private:
  void forget(const SessionRecord& record) {
    const auto all = volumes_.find(record.volume);
    if (--all->second == 0) volumes_.erase(all);
    if (!record.compare_name) return;
    const auto name = names_.find(record.volume_name);
    const auto volume = name->second.find(record.volume);
    if (--volume->second == 0) name->second.erase(volume);
    if (name->second.empty()) names_.erase(name);
  }
  void move_to(List& to, Session& session) {
    const auto place = by_id_.at(session.id());
    to.splice(to.end(), &to == &live_ ? absent_ : live_, place);
  }

  List live_;
  List absent_;
  std::unordered_map<SessionId, List::iterator> by_id_;
  std::set<std::pair<Instant, SessionId>> due_;
  HashSalt salt_;
  std::map<VolumeId, std::size_t> volumes_;  // how many sessions
  /// The same by name for people, of those whose name is compared.
  std::map<std::string, std::map<VolumeId, std::size_t>> names_;
};

}  // namespace holdfast::lockd
