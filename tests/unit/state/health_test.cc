// How a mount is, in words: a state in, a sentence out.
#include "fs/state/health.h"

#include <gtest/gtest.h>

namespace holdfast::fs::state {
namespace {

constexpr std::uint64_t kNow = 10'000'000;

Snapshot serving() {
  Snapshot state;
  state.alive = true;
  state.pid = 4711;
  state.lockd = "nas:7680";
  state.beat = kNow - 50;
  state.session = 1;
  state.entitled_until = kNow + 8'000;
  state.connected_since = 1;
  return state;
}

OpenRequest request(std::uint64_t age, const std::string& operation) {
  return {.since = kNow - age, .operation = operation, .node = 1, .pid = 42};
}

std::string words(const Snapshot& state) {
  const Verdict verdict = judge(state, kNow);
  return std::string(name_of(verdict.health)) + ": " + verdict.words;
}

TEST(Health, AMountThatServesSaysSo) {
  EXPECT_EQ(words(serving()), "serving: serving");
  Snapshot state = serving();
  state.open = {request(93'000, "SETLKW")};
  EXPECT_EQ(words(state), "serving: serving; 1 waits for a lock") << "locks may take for ever";
}

TEST(Health, WithoutALeaseItWaitsForLockd) {
  Snapshot state = serving();
  state.entitled_until = kNow - 41'000;
  state.suspended_since = kNow - 41'000;
  state.connected_since = 0;
  state.lockd_error = 111;
  state.open = {request(40'000, "WRITE")};
  EXPECT_EQ(words(state),
            "waiting-for-lockd: waiting for lockd at nas:7680 since 41s: it cannot be reached "
            "(Connection refused); programs wait, nothing is written, and all goes on when it is "
            "back; oldest request 40s WRITE of process 42");
}

TEST(Health, ALostConnectionWithinTheLeaseIsAWarning) {
  Snapshot state = serving();
  state.connected_since = 0;
  state.disconnected_since = kNow - 3'000;
  EXPECT_EQ(words(state),
            "uneasy: serving, but lockd at nas:7680 is not connected since 3s: everything waits "
            "from 8s on");
}

TEST(Health, ASilentServerIsNamed) {
  Snapshot state = serving();
  state.storage_calls = 4;
  state.storage_oldest = kNow - 93'000;
  state.storage_procedure = "LOOKUP";
  state.open = {request(93'000, "LOOKUP")};
  EXPECT_EQ(words(state),
            "waiting-for-storage: waiting for NFS since 1m33s: LOOKUP of 4 calls is the oldest "
            "without an answer; programs wait, and all goes on when the server is back; oldest "
            "request 1m33s LOOKUP of process 42");
}

TEST(Health, ARequestThatWaitsForNothingThatIsKnownHangs) {
  Snapshot state = serving();
  state.open = {request(93'000, "SETLKW"), request(20'000, "OPEN")};
  EXPECT_EQ(judge(state, kNow).health, Health::kHanging);
  EXPECT_NE(words(state).find("oldest request 20s OPEN of process 42"), std::string::npos);
}

TEST(Health, AProcessThatDoesNotRunIsNotTrusted) {
  Snapshot state = serving();
  state.beat = kNow - 12'000;
  EXPECT_NE(words(state).find("hanging: its process (4711) has not run for 12s"),
            std::string::npos);
  state.alive = false;
  EXPECT_EQ(judge(state, kNow).health, Health::kDead);
}

}  // namespace
}  // namespace holdfast::fs::state
