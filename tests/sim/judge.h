#pragma once
/// Knows everything and judges as things happen.
///
/// Two views are kept: what applications believe to hold (their mounts told them so, and nothing
/// was lost or given up since), and what lockd has granted (as its effects are performed). Against
/// them:
///   I1  entitled mounts never believe in conflicting locks
///   I2  no write takes effect whose lock lockd has given to somebody else
///   I6  who lost a lock is told so before anything succeeds; nobody loses what nobody wanted
///   I7  a reclaim is honoured only for what was held and not given away; who is recorded as quiet
///   is
///       not entitled, and no write of it takes effect any more
///   counters  acknowledged <= final <= acknowledged + unknown
/// I5 is judged by QueueJudge, leaks and liveness at the end of a run.

#include "lockd/core/records.h"
#include "tests/sim/cells.h"
#include "tests/sim/nfs_model.h"

#include <functional>
#include <map>
#include <set>
#include <tuple>

namespace holdfast::sim {

class Judge {
 public:
  /// `by_file`: with tokens a session's locks in a file are given up, given away and got back
  /// together with its token, and so are judged its writes.
  Judge(World& world, std::size_t files, std::size_t mounts, bool by_file)
      : world_(world),
        by_file_(by_file),
        mount_count_(mounts),
        beliefs_(files * 2),
        held_(files * 2),
        counters_(files) {}

  /// Set once: is this mount entitled by its own clock?
  std::function<bool(std::size_t mount)> entitled;

  // ---- What applications believe
  [[nodiscard]] const Cells& belief(std::size_t mount, OwnerId owner, Lane lane);
  void believe(std::size_t mount, OwnerId owner, Lane lane, const Cells& cells);
  void became_entitled(std::size_t mount);
  [[nodiscard]] bool believes_in(std::size_t mount, std::size_t file) const;
  void forget_file(std::size_t mount, std::size_t file);
  void forget_mount(std::size_t mount);

  /// Set once: does this mount decide the locks of the file by itself? And does lockd owe the
  /// session something besides locks?
  std::function<bool(std::size_t mount, std::size_t file)> decides;
  std::function<bool(SessionId session)> has_tokens;
  std::function<bool(SessionId session, std::size_t file, LockMode mode)> may_have_decided;

  // ---- What lockd does
  void granted(SessionId session, const LockRequest& request);
  void released(SessionId session, const Command& command);
  void wants(SessionId session, const LockRequest& request);
  /// It asked for a token of the file, or of the volume: kNoFile.
  void wants_token(SessionId session, std::size_t file) { token_wanted_[file].insert(session); }
  void reclaimed(SessionId session, const std::vector<HeldLock>& locks);
  // With tokens: the file as a whole
  void take_file(SessionId from, std::size_t file) {
    fates_[fate_key(from, OwnerId{}, file * 2)].taken = world_.now();
    take_away(from, file);
  }
  void grant_file(SessionId session, std::size_t file) {
    fates_[fate_key(session, OwnerId{}, file * 2)].granted = world_.now();
    lost_.erase({session, file});
  }
  /// The volume's token, which the mount asked for at `asked`: it implies what the mount did not
  /// lose, or had been told of before that it lost it (T8).
  void grant_volume(SessionId session, Time asked);
  /// The mount decides the locks of the session there, and knows them; lockd does not any more.
  void decided_by_mount(SessionId session, std::size_t file);
  void pushed(SessionId session, const std::vector<HeldLock>& locks);
  /// Nothing if it has another session by now.
  [[nodiscard]] std::optional<std::size_t> mount_of(SessionId session) const {
    const auto at = mounts_.find(session);
    if (at == mounts_.end() || session_of_.at(at->second) != session) return std::nullopt;
    return at->second;
  }
  [[nodiscard]] std::size_t mounts() const { return mount_count_; }
  [[nodiscard]] bool was_lost(SessionId session, const FileKey& file) const {
    return lost_.contains({session, file_of(file)});
  }
  void loss_recorded(SessionId session, std::size_t file);
  /// A grant has left that was decided before the loss.
  void lost_since(SessionId session, std::size_t file) { lost_.insert({session, file}); }
  void ended(SessionId session) { ended_.insert(session); }
  /// It was recorded as ended, or not, and is so no more.
  void goes_on(SessionId session) { ended_.erase(session); }
  void broken(SessionId session) { broken_.insert(session); }
  void dropping(SessionId session) { dropped_.insert(session); }
  void dropped(SessionId session);
  void store_erased() {
    amnesia_ = true;
    quiet_.clear();
  }
  /// It is on stable storage that the session cannot write any more, or that it may again.
  void recorded(SessionId session, lockd::Quiet quiet);
  /// The store says that it is quiet. If its mount may act all the same, that is a violation.
  [[nodiscard]] bool is_quiet(SessionId session) {
    if (!quiet_.contains(session)) return false;
    check_quiet(session);
    return true;
  }
  /// But for files that it is recorded to have lost.
  [[nodiscard]] bool holds_anything(SessionId session) const;
  [[nodiscard]] bool holds(SessionId session, OwnerId owner, Lane lane) const;
  [[nodiscard]] bool was_broken(SessionId session) const { return broken_.contains(session); }

  // ---- What mounts are told
  /// A grant that no judge saw given: a deposed leader said it.
  void told_granted(SessionId session, const LockRequest& request);
  void session_opened(SessionId session, std::size_t mount) {
    mounts_[session] = mount;
    session_of_[mount] = session;
  }
  void told_file_lost(std::size_t mount, SessionId session, std::size_t file);
  void told_session_lost(std::size_t mount, SessionId session);

  // ---- Storage
  void write_takes_effect(const WriteStamp& stamp);
  /// An application was told that an operation it began then under this lock succeeded.
  void io_succeeded(const WriteStamp& stamp, Time begun);
  void write_issued(std::size_t file, std::size_t counter) { ++counters_[file][counter].unknown; }
  void write_acknowledged(std::size_t file, std::size_t counter) {
    --counters_[file][counter].unknown;
    ++counters_[file][counter].acknowledged;
  }
  /// Of the files before `end` that hold counters, and from `created` on.
  void check_counters(const NfsModel& storage, std::size_t end, std::size_t created);
  /// Against what lockd lists as held, by session.
  void check_leaks(const LockList& list, const std::map<SessionId, std::size_t>& mounts);
  /// Writes of a node that stood still as a whole: the published residual.
  std::uint64_t residual = 0;
  std::set<std::size_t> paused_machines;

 private:
  struct Belief {
    std::size_t mount;
    OwnerId owner;
    Cells cells;
  };
  struct Held {
    SessionId session;
    OwnerId owner;
    Cells cells;
  };
  struct Fate {
    Time taken{-1};
    Time granted{-1};
    Time told{-1};  ///< the mount knows that it was taken
  };
  struct Counter {
    std::uint64_t acknowledged = 0;
    std::uint64_t unknown = 0;
  };
  using FateKey = std::tuple<SessionId, OwnerId, std::size_t>;

  Belief& belief_entry(std::size_t mount, OwnerId owner, Lane lane);
  Held& held_entry(SessionId session, OwnerId owner, std::size_t lane);
  [[nodiscard]] FateKey fate_key(SessionId session, OwnerId owner, std::size_t lane) const {
    return by_file_ ? FateKey{session, OwnerId{}, lane & ~std::size_t{1}}
                    : FateKey{session, owner, lane};
  }
  [[nodiscard]] bool wanted_by_others(SessionId session, std::size_t file) const;
  void check_exclusion(const Belief& belief, std::size_t lane);
  void take_away(SessionId from, std::size_t file);
  [[nodiscard]] const Fate* taken(const WriteStamp& stamp, std::size_t lane) const;
  /// Lockd gave the lock or token under which this was handed over to somebody else.
  [[nodiscard]] bool gone(const WriteStamp& stamp) const;
  void check_quiet(SessionId session);
  [[nodiscard]] bool is_of_quiet(const WriteStamp& stamp) const;

  World& world_;
  bool by_file_;
  std::size_t mount_count_;
  std::map<std::size_t, std::set<SessionId>> token_wanted_;  ///< by whom, by file
  std::vector<std::vector<Belief>> beliefs_;                 ///< by lane
  std::vector<std::vector<Held>> held_;                      ///< by lane
  std::map<FateKey, Fate> fates_;
  std::map<SessionId, std::size_t> mounts_;
  std::map<std::size_t, SessionId> session_of_;  ///< the last one
  std::map<SessionId, Time> quiet_;              ///< since when
  std::set<std::pair<SessionId, std::size_t>> wanted_;
  std::set<std::pair<SessionId, std::size_t>> lost_;
  std::set<SessionId> ended_;
  std::set<SessionId> dropped_;
  std::set<SessionId> broken_;
  bool amnesia_ = false;
  std::vector<std::array<Counter, kCounters>> counters_;
};

}  // namespace holdfast::sim
