// What lockd does before it gives anything away: records it, runs the fence command, waits.
#include "lockd/store/memory_store.h"
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/raw_peer.h"

#include <atomic>
#include <cerrno>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using lockd::FenceStep;
using support::InProcessLockd;
using support::lock_request;
using support::LockdSetup;
using support::RawPeer;

std::string read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Renews until something other than the renewal comes; nothing if that does not happen in time.
std::optional<Outcome> wait_for_reply(RawPeer& peer, std::chrono::milliseconds within) {
  const auto until = std::chrono::steady_clock::now() + within;
  for (std::uint64_t tick = 1; std::chrono::steady_clock::now() < until; ++tick) {
    peer.send(Renew{tick, {}});
    while (auto message = peer.receive(100ms)) {
      if (const auto* reply = std::get_if<Reply>(&*message)) return reply->outcome;
    }
  }
  return std::nullopt;
}

// A silent holder of file 1 and somebody who wants it.
class LockdFencing : public ::testing::Test {
 protected:
  void begin(std::vector<FenceStep> steps, std::vector<std::string> command,
             std::chrono::milliseconds time_max = 20s, std::chrono::milliseconds delay = 1h) {
    LockdSetup setup;
    setup.lease_ttl = 1s;
    setup.adjust = [=](lockd::ServerOptions& options) {
      options.coordinator.fence = steps;
      options.coordinator.storage_delay = delay;
      options.coordinator.fence_retry = 200ms;
      options.fence_command = {command, time_max};
    };
    lockd.emplace(setup);
    silent.emplace(lockd->address());
    session = silent->open_session();
    silent->ask(1, lock_request(1, LockMode::kExclusive));
    other.emplace(lockd->address());
    other->open_session();
    other->send(Request{{1}, {0}, lock_request(1, LockMode::kExclusive, Wait::kYes)});
  }
  std::string beside(const char* name) { return lockd->admin_path() + name; }
  static bool granted(const std::optional<Outcome>& outcome) {
    return outcome && std::holds_alternative<Granted>(*outcome);
  }

  std::optional<InProcessLockd> lockd;
  std::optional<RawPeer> silent;
  std::optional<RawPeer> other;
  Welcome session;
};

TEST_F(LockdFencing, ACommandThatSucceedsIsEnough) {
  const std::string out = "/tmp/fence-" + std::to_string(::getpid());
  begin({FenceStep::kCommand, FenceStep::kWaitOut},
        {"sh", "-c", "echo \"$1 $2\" > \"$0\"", out, "{address}", "{session}"});
  EXPECT_TRUE(granted(wait_for_reply(*other, 20s))) << "without waiting out an hour";
  EXPECT_EQ(read(out), fmt::format("127.0.0.1 {:016x}\n", session.session.value));
  ::unlink(out.c_str());
  EXPECT_EQ(lockd->probe().fences_run, 1u);
}

TEST_F(LockdFencing, NothingIsGivenAwayWhileTheCommandFails) {
  const std::string go = "/tmp/fence-go-" + std::to_string(::getpid());
  ::unlink(go.c_str());
  begin({FenceStep::kCommand}, {"test", "-e", go});
  EXPECT_FALSE(wait_for_reply(*other, 3s));
  EXPECT_GE(lockd->probe().fences_failed, 2u) << "tried again and again";
  std::ofstream(go) << "x";
  EXPECT_TRUE(granted(wait_for_reply(*other, 20s)));
  ::unlink(go.c_str());
}

TEST_F(LockdFencing, ACommandThatHangsIsKilledAndTheNextStepDecides) {
  begin({FenceStep::kCommand, FenceStep::kWaitOut}, {"sleep", "3600"}, 300ms, 100ms);
  EXPECT_TRUE(granted(wait_for_reply(*other, 20s)));
  EXPECT_EQ(lockd->probe().fences_failed, 1u);
}

TEST_F(LockdFencing, TheFencedMountIsToldWhatItLostAndGoesOn) {
  begin({FenceStep::kCommand}, {"true"});
  silent->ask(2, [] {
    LockRequest request = lock_request(1, LockMode::kExclusive);
    request.file.fileid = 77;
    return request;
  }());
  ASSERT_TRUE(granted(wait_for_reply(*other, 20s)));
  RawPeer again(lockd->address());
  const Welcome back = again.resume_session(session);
  EXPECT_EQ(back.session, session.session);
  EXPECT_FALSE(back.reclaim);
  ASSERT_EQ(back.losses.size(), 1u);
  EXPECT_EQ(back.losses[0].file.fileid, 1u);
}

// A store whose writes fail while it is told so.
struct Switch {
  std::atomic<bool> failing{false};
};
class FailingStore final : public lockd::Store {
 public:
  FailingStore(std::shared_ptr<lockd::Contents> contents, std::shared_ptr<Switch> control)
      : real_(std::move(contents), 0), control_(std::move(control)) {}
  boost::asio::awaitable<Opened> open(std::chrono::milliseconds lease_ttl) override {
    return real_.open(lease_ttl);
  }
  boost::asio::awaitable<Result<void>> write(lockd::StoreChanges changes) override {
    if (control_->failing) co_return errno_code(ENOSPC);
    co_return co_await real_.write(std::move(changes));
  }
  boost::asio::awaitable<void> close() override { return real_.close(); }

 private:
  lockd::MemoryStore real_;
  std::shared_ptr<Switch> control_;
};

TEST(LockdFailingStore, NothingUnrecordedLeavesWhileRenewalsGoOn) {
  const auto control = std::make_shared<Switch>();
  LockdSetup setup;
  setup.lease_ttl = 1s;
  setup.store = [&](auto contents) { return std::make_unique<FailingStore>(contents, control); };
  InProcessLockd lockd(setup);
  RawPeer old(lockd.address());
  old.open_session();
  control->failing = true;
  RawPeer fresh(lockd.address());
  fresh.send(Hello{});
  EXPECT_FALSE(fresh.receive(300ms)) << "no Welcome that a restart would not know of";
  for (std::uint64_t tick = 1; tick < 15; ++tick) {
    old.send(Renew{tick, {}});
    ASSERT_EQ(old.expect<Renewed>().tick, tick);
    EXPECT_FALSE(old.receive(100ms));
  }
  EXPECT_GE(lockd.probe().store_failures, 1u);
  control->failing = false;
  RawPeer later(lockd.address());
  later.open_session();  // behind the record that failed
  EXPECT_TRUE(std::holds_alternative<Granted>(old.ask(1, lock_request(1, LockMode::kShared))))
      << "its lease never ended";
}

TEST(LockdRestart, KeepsSessionsTakesBackTheirLocksAndGivesNoneAwayBefore) {
  InProcessLockd lockd;
  RawPeer holder(lockd.address());
  const Welcome welcome = holder.open_session();
  holder.ask(1, lock_request(1, LockMode::kExclusive));
  lockd.kill();
  lockd.start();
  RawPeer other(lockd.address());
  other.open_session();
  other.send(Request{{1}, {0}, lock_request(1, LockMode::kExclusive)});
  EXPECT_FALSE(other.receive(300ms)) << "grace: the holder has not told yet what it holds";
  RawPeer back(lockd.address());
  const Welcome again = back.resume_session(welcome);
  EXPECT_TRUE(again.reclaim);
  EXPECT_GT(again.epoch, welcome.epoch);
  Reclaim reclaim;
  HeldLock& held = reclaim.locks.emplace_back();
  held.file = lock_request(1, LockMode::kExclusive).file;
  held.owner = {1};
  held.handle = {1};
  held.mode = LockMode::kExclusive;
  reclaim.last = true;
  back.send(reclaim);
  EXPECT_TRUE(back.expect<Reclaimed>().losses.empty());
  EXPECT_EQ(std::get<Refused>(other.expect<Reply>().outcome).errc, LockErrc::kWouldBlock)
      << "grace ended with the last one back, long before its time";
  EXPECT_TRUE(std::holds_alternative<Done>(back.ask(1, support::unlock_request(1))));
}

TEST(LockdRestart, AFormerSessionThatLostEverythingMayNotResume) {
  InProcessLockd lockd;
  RawPeer peer(lockd.address());
  const Welcome welcome = peer.open_session();
  lockd.kill();
  lockd.forget();
  lockd.start();
  RawPeer back(lockd.address());
  Hello hello;
  hello.resume = ResumeSession{welcome.session, welcome.secret, {}};
  back.send(hello);
  EXPECT_EQ(back.expect<HelloRefused>().errc, LockErrc::kSessionLost);
}

}  // namespace
}  // namespace holdfast
