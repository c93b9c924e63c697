#pragma once
/// A holdfast-lockd: the real Coordinator and the real EffectQueue in a model of its shell
/// (lockd/server).

#include "lockd/core/coordinator.h"
#include "lockd/core/effect_queue.h"
#include "tests/sim/clock.h"
#include "tests/sim/judge.h"
#include "tests/sim/network.h"
#include "tests/sim/queue_judge.h"
#include "tests/sim/scenario.h"
#include "tests/sim/store_model.h"
#include "tests/sim/token_judge.h"

#include <map>
#include <memory>
#include <set>
#include <unordered_map>

namespace holdfast::sim {

class LockdNode final : public Process, public Listener {
 public:
  LockdNode(World& world, const Scenario& scenario, std::size_t index, Network& network,
            StoreModel& store, NfsModel& storage, Judge& judge, TokenJudge& tokens,
            NodeClock clock);

  void start();
  void crash();
  void stop();
  void crash_at_effect(std::uint64_t n) { crash_in_ = n; }
  /// Stands still between deciding and telling.
  void freeze_at_effect(std::uint64_t n, Duration duration);
  /// Neither, if it has not come to that yet.
  void disarm() { crash_in_ = freeze_in_ = 0; }
  void break_session(std::uint64_t choice, bool one_file);
  void wall_jump(std::int64_t by) { wall_offset_ += by; }

  [[nodiscard]] bool serving() const { return core_ != nullptr; }
  [[nodiscard]] const lockd::Coordinator* core() const { return core_.get(); }
  [[nodiscard]] Instant now();

  // Listener
  [[nodiscard]] bool listening() const override;
  [[nodiscard]] Process& process() override { return *this; }
  void received(const ConnectionPtr& connection, ClientMessage message) override;
  void ended(const ConnectionPtr& connection) override;

 private:
  struct Heard {
    Instant last;
    /// It is ordered to lose something (T9, or an operator): what it says renews its lease no more.
    bool runs_out = false;
    bool reclaiming = false;
    std::vector<HeldLock> reclaim;
    std::vector<HeldToken> reclaim_tokens;
  };

  void open();
  void opened(StoreModel::Opened opened);
  void lead();
  void step_down();
  void end_process();

  void handle(const ConnectionPtr& connection, const Hello& hello);
  void handle(const ConnectionPtr& connection, const Request& request);
  void handle(const ConnectionPtr& connection, const Renew& renew);
  void handle(const ConnectionPtr& connection, const Goodbye& goodbye);
  void handle(const ConnectionPtr& connection, const Reclaim& reclaim);
  template <class Other>
  void handle(const ConnectionPtr& connection, const Other&);

  void perform(lockd::Effects effects);
  void drain();
  void perform_one(const lockd::SendReply& effect);
  void perform_one(const lockd::Send& effect);
  void perform_one(const lockd::Greet& effect);
  void perform_one(const lockd::Tell&) {}
  void perform_one(const lockd::EndSession& effect);
  void perform_one(const lockd::Disconnect& effect);
  void perform_one(const lockd::Record& effect);
  void perform_one(const lockd::RunFence& effect);
  [[nodiscard]] bool deposed() const;
  void judge_recalls();
  void judge_decision(const lockd::StoreChanges& changes);
  void judge_record(const lockd::StoreChanges& changes);
  void write_next();
  void write(lockd::StoreChanges changes);

  void heard(SessionId session, bool grace);
  [[nodiscard]] bool absent(SessionId session);
  void tick();
  void schedule_tick();
  [[nodiscard]] ConnectionPtr find(SessionId session) const;
  [[nodiscard]] std::uint64_t mount_of(const std::string& address) const;

  World& world_;
  const Scenario& scenario_;
  std::size_t index_;
  Network& network_;
  StoreModel& store_;
  NfsModel& storage_;
  Judge& judge_;
  TokenJudge& tokens_;
  NodeClock clock_;

  std::unique_ptr<lockd::Coordinator> core_;
  Instant started_{};
  bool halted_ = false;  // about to crash: performs nothing any more
  bool opening_ = false;
  std::uint64_t run_ = 0;  // stale callbacks of a former run are ignored
  std::uint64_t lease_ = 0;
  Instant authority_{};
  std::int64_t wall_offset_ = 0;
  Instant last_look_{};
  Duration paused_{};
  Time tick_at_{};

  lockd::EffectQueue effects_;
  bool writing_ = false;
  std::uint64_t crash_in_ = 0;
  std::uint64_t freeze_in_ = 0;
  Duration freeze_for_{};
  bool draining_ = false;

  std::map<std::uint64_t, ConnectionPtr> greeting_;
  std::unordered_map<SessionId, ConnectionPtr> by_session_;
  std::unordered_map<std::uint64_t, SessionId> by_connection_;
  std::map<SessionId, Heard> heard_;
  std::set<SessionId> ordered_;  // by a former life, to lose something
  QueueJudge queue_;
  std::uint64_t overtakes_ = 0;
  std::uint64_t recalls_unmet_ = 0;
};

}  // namespace holdfast::sim
