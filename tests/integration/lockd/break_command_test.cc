// holdfast break, as a function, against a real lockd.
#include "cli/admin/break.h"
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/raw_peer.h"

#include <atomic>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using support::InProcessLockd;
using support::lock_request;
using support::LockdSetup;
using support::RawPeer;
using ::testing::HasSubstr;

LockdSetup quick() {
  LockdSetup setup;
  setup.lease_ttl = 1s;
  setup.adjust = [](lockd::ServerOptions& options) { options.coordinator.storage_delay = 100ms; };
  return setup;
}

class BreakCommand : public ::testing::Test {
 protected:
  BreakCommand() : holder(lockd.address()) {
    Hello hello;
    hello.node = "node-a";
    hello.mountpoint = "/mnt/a";
    hello.pid = 42;
    holder.send(hello);
    session = holder.expect<Welcome>();
    token = std::get<Granted>(holder.ask(1, lock_request(1, LockMode::kExclusive))).token;
  }
  // The holder is alive and renews all the time.
  int run(std::string what, bool yes, bool json = false) {
    cli::BreakOptions options;
    options.admin = {.sockets = {lockd.admin_path()}, .json = json};
    options.what = std::move(what);
    options.yes = yes;
    options.look = 50ms;
    std::atomic<bool> done{false};
    std::thread renewing([&] {
      for (std::uint64_t tick = 1; !done; ++tick) {
        holder.send(Renew{tick, {}});
        while (holder.receive(50ms)) {
        }
      }
    });
    out.str({});
    errors.str({});
    const int code = cli::run_break(options, out, errors);
    done = true;
    renewing.join();
    return code;
  }
  std::string session_text() const { return fmt::format("{:016x}", session.session.value); }

  InProcessLockd lockd{quick()};
  RawPeer holder;
  Welcome session;
  FencingToken token;
  std::ostringstream out;
  std::ostringstream errors;
};

TEST_F(BreakCommand, WithoutYesItSaysWhatWouldHappenAndDoesNothing) {
  EXPECT_EQ(run(session_text(), false), cli::kBreakNotConfirmed);
  EXPECT_THAT(errors.str(), HasSubstr("mount /mnt/a on node node-a (pid 42"));
  EXPECT_THAT(errors.str(), HasSubstr("I/O errors"));
  EXPECT_THAT(errors.str(), HasSubstr("--yes"));
  EXPECT_TRUE(std::holds_alternative<Done>(holder.ask(2, support::unlock_request(1))));
}

TEST_F(BreakCommand, ALockGoesToItsWaiterAndTheSessionLives) {
  RawPeer waiter(lockd.address());
  waiter.open_session();
  EXPECT_EQ(run(std::to_string(token.value), true), cli::kAdminOk) << errors.str();
  EXPECT_THAT(out.str(), HasSubstr("done"));
  EXPECT_THAT(errors.str(), HasSubstr("its lease ends in"));
  RawPeer later(lockd.address());
  later.open_session();
  EXPECT_TRUE(std::holds_alternative<Granted>(later.ask(1, lock_request(1, LockMode::kExclusive))));
  RawPeer back(lockd.address());
  const Welcome again = back.resume_session(session);
  ASSERT_EQ(again.losses.size(), 1u) << "it is told";
  EXPECT_EQ(again.losses[0].file, lock_request(1, LockMode::kShared).file);
}

TEST_F(BreakCommand, ASessionIsGoneForGood) {
  EXPECT_EQ(run(session_text(), true, true), cli::kAdminOk) << errors.str();
  EXPECT_THAT(out.str(), HasSubstr("\"result\":\"done\""));
  RawPeer back(lockd.address());
  Hello hello;
  hello.resume = ResumeSession{session.session, session.secret, {}};
  back.send(hello);
  EXPECT_EQ(back.expect<HelloRefused>().errc, LockErrc::kSessionLost);
}

TEST_F(BreakCommand, WhatIsNotThereIsRefused) {
  EXPECT_EQ(run("00000000000000ff", true), cli::kBreakRefused);
  EXPECT_EQ(run("4711", true), cli::kBreakRefused);
  EXPECT_EQ(run("nonsense", true), cli::kBreakRefused);
  EXPECT_THAT(errors.str(), HasSubstr("no session or held lock 'nonsense'"));
}

TEST_F(BreakCommand, OnlyTheAdminSocketTakesTheOrder) {
  RawPeer stranger(lockd.address());
  stranger.send(Break{session.session, {}});
  EXPECT_TRUE(stranger.closed_by_lockd());
}

}  // namespace
}  // namespace holdfast
