#pragma once
/// A mount: the real ClientCore in a model of its shell (fs/lock, fs/fuse, fs/backend), and the
/// applications on it.

#include "fs/lock/client_core.h"
#include "tests/sim/clock.h"
#include "tests/sim/judge.h"
#include "tests/sim/network.h"
#include "tests/sim/nfs_model.h"
#include "tests/sim/scenario.h"
#include "tests/sim/token_judge.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>

namespace holdfast::sim {

using fs::CallId;

class MountFiles;
class Worker;

class MountNode final : public Process, public Dialler {
 public:
  MountNode(World& world, const Scenario& scenario, std::size_t index, Network& network,
            NfsModel& storage, Judge& judge, TokenJudge& tokens, Freshness& freshness,
            NodeClock clock);
  ~MountNode() override;

  void start();
  void crash();
  /// Thaws are told: what a guardian process did meanwhile is done first.
  void thawed();
  void interrupt_some();
  void kill_application(std::uint64_t which);
  /// Applications end their current operation and stop.
  void finish();
  [[nodiscard]] bool is_in_use(std::size_t file) const;
  /// Stopped ones take locks, some of them, and keep them.
  void hold();
  [[nodiscard]] bool finished() const;
  /// Every worker has done this many operations since start or the last call with 0.
  [[nodiscard]] std::uint64_t fewest_done() const;
  void count_from_here();
  [[nodiscard]] std::string stuck() const;
  /// Since when whoever waits longest for a token, or for an answer about locks, has waited.
  [[nodiscard]] Time waits_since() const;

  [[nodiscard]] std::size_t index() const { return index_; }
  [[nodiscard]] Instant now() const { return clock_.local(world_.now()); }
  [[nodiscard]] bool entitled() const { return alive() && core_->entitled(now()); }
  [[nodiscard]] const std::optional<SessionId>& session() const { return session_; }

  // ---- For workers
  using Completed = std::function<void(const Outcome&)>;
  CallId call(Command command, Worker& worker, Completed completed);
  void interrupt(CallId call);
  [[nodiscard]] std::optional<std::size_t> fresh_file() { return storage_.fresh_file(); }
  [[nodiscard]] HandleId fresh_handle() { return HandleId{++last_handle_}; }
  enum class Io { kRead, kLook, kWrite, kCommit };
  struct IoResult {
    bool failed = false;
    std::uint64_t value = 0;
    std::uint64_t verifier = 0;
    std::uint64_t serial = 0;
    std::shared_ptr<const Row> row{};
    bool judged = true;  ///< must be fresh
  };
  using IoDone = std::function<void(IoResult)>;
  void io(Io what, Worker& worker, Lane lane, std::size_t counter, std::uint64_t value,
          IoDone done);
  /// With tokens: what there is between applications and the storage.
  [[nodiscard]] MountFiles& files() { return *files_; }

  // ---- For MountFiles
  /// `stamp`: what, and where; the rest is filled in. `worker` is null for what the mount does by
  /// itself.
  void io(Io what, Worker* worker, WriteStamp stamp, IoDone done);
  /// `done` gets nothing if the wait was interrupted; else unpin() follows.
  using Pinned = std::function<void(std::optional<TokenMode>)>;
  void pin(std::size_t file, TokenUse use, fs::Urgency urgency, Pinned done);
  void unpin(std::size_t file);
  void drained(std::size_t file, std::uint64_t round);
  void created(std::size_t directory, std::size_t file);
  /// Which directory implies its token, if one does.
  [[nodiscard]] std::optional<std::size_t> cover(std::size_t file) const;
  void give_up(std::size_t file);
  /// fs/fuse/unstable.cc: as if its locks were lost.
  void give_up_unwritten(std::size_t file) { poison(file); }
  void forgotten(std::size_t file);
  [[nodiscard]] std::uint64_t generation(std::size_t file) const {
    return core_->token_generation(key_of(file));
  }
  /// Entitled or not.
  [[nodiscard]] bool has_write_token(std::size_t file) const;
  /// By its own clock; kNone if not entitled.
  [[nodiscard]] TokenMode mode(const FileKey& file) const;
  [[nodiscard]] const NfsModel& storage() const { return storage_; }
  [[nodiscard]] Freshness& freshness() { return freshness_; }

  // Dialler
  [[nodiscard]] Process& process() override { return *this; }
  void connected(ConnectionPtr connection) override;
  void unreachable() override;
  void received(const ConnectionPtr& connection, ServerMessage message) override;
  void ended(const ConnectionPtr& connection) override;

 private:
  struct Rpc {
    Io what;
    Worker* worker;
    WriteStamp stamp;
    Time begun{};  // by the application, though it may be sent again
    IoDone done;
    bool parked = false;
    std::uint64_t socket = 0;
  };
  struct Pinning {
    bool interruptible = false;
    Time since{};
    Pinned done;
  };
  struct Asked {
    FileKey file;
    bool lost = false;  // the file was, since: the grant is not believed, and given back
  };
  struct Waiting {
    Worker* worker;
    Time since{};
    Completed completed;
  };

  void dial();
  void dial_in(Duration delay);
  void back_off();
  void perform(fs::ClientEffects effects);
  void perform_one(const fs::SendMessage& effect);
  void perform_one(const fs::CompleteCall& effect);
  void perform_one(const fs::DropConnection& effect);
  void perform_one(const fs::SessionOpened& effect);
  void perform_one(const fs::SessionResumed& effect);
  void perform_one(const fs::LeaseSuspended& effect);
  void perform_one(const fs::LeaseResumed& effect);
  void perform_one(const fs::SessionLost& effect);
  void perform_one(const fs::FilesLost& effect);
  void perform_one(const fs::Drain& effect);
  void perform_one(const fs::TokenPinned& effect);
  void perform_one(const fs::TokensLost& effect);
  void perform_one(const fs::TellOfOurs&) {}  // nobody asks here
  void perform_one(const fs::WhoAnswered&) {}
  void perform_one(const fs::LimitRefusal&) {}  // for people
  void entitled_again();
  void judge_sent(const ClientMessage& message);
  void judge_welcome(const ServerMessage& message);
  void judge_grant(const ServerMessage& message);
  /// Their locks, or their tokens.
  void lose_files(const std::set<std::size_t>& files);
  void lose_all();
  void add_unstable_of_losers(std::set<std::size_t>& dead) const;
  /// Whoever has it open can do nothing more with it; what was written and is not stable is gone.
  void poison(std::size_t file);
  [[nodiscard]] bool has_open(const Worker& worker, std::size_t file) const;
  /// With tokens: nothing that was kept or under way there is good any more.
  void lose_token(std::size_t file);
  void schedule_tick();
  void reset_storage();
  void begin(std::uint64_t rpc);
  void hand_over(std::uint64_t rpc, std::uint64_t socket);
  void answered(std::uint64_t rpc, std::uint64_t socket, NfsModel::Answer answer);
  void end_io(std::uint64_t rpc, IoResult result);
  void unpark();

  World& world_;
  const Scenario& scenario_;
  std::size_t index_;
  Network& network_;
  NfsModel& storage_;
  Judge& judge_;
  TokenJudge& tokens_;
  Freshness& freshness_;
  NodeClock clock_;

  std::unique_ptr<fs::ClientCore> core_;
  std::deque<fs::ClientEffect> effects_;  // to be performed
  bool performing_ = false;
  ConnectionPtr connection_;
  std::size_t lockd_ = 0;  // which address is tried
  bool dialling_ = false;
  std::optional<Duration> drop_delay_;
  Duration backoff_{};
  std::optional<SessionId> session_;
  Time tick_at_{};
  std::unordered_map<CallId, Waiting> calls_;
  std::map<CallId, Pinning> pins_;
  std::unique_ptr<MountFiles> files_;
  std::map<RequestNumber, Asked> asked_;  // for tokens, in this session of this life of lockd
  RequestNumber last_release_;
  std::map<std::uint64_t, Rpc> rpcs_;
  std::uint64_t last_rpc_ = 0;  // over all lives: answers to a former one are recognised
  std::uint64_t socket_ = 1;
  std::uint64_t last_handle_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Worker>> dead_workers_;
};

}  // namespace holdfast::sim
