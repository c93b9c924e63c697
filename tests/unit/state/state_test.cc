#include "fs/state/state.h"

#include "fs/state/reading.h"

#include <filesystem>
#include <vector>

#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::fs::state {
namespace {

RequestCell* begin(State& state, std::uint64_t unique, std::uint32_t opcode, std::uint32_t pid) {
  return state.begin({.unique = unique, .opcode = opcode, .node = 1, .pid = pid}, boot_time_now());
}

class StateTest : public ::testing::Test {
 protected:
  StateTest() { ::mkdtemp(directory_.data()); }
  ~StateTest() override { std::filesystem::remove_all(directory_); }
  std::string directory_ = std::filesystem::temp_directory_path() / "holdfast-state.XXXXXX";
};

TEST_F(StateTest, ReadersSeeWhatIsGoingOn) {
  auto state = std::make_unique<State>(directory_);
  state->identify({"nas:/export", "/mnt", "l:7680", "n", {}});
  ASSERT_TRUE(state->publish("4711"));
  begin(*state, 2, FUSE_LOOKUP, 42);
  begin(*state, 4, FUSE_SETLKW, 43);
  state->end(begin(*state, 6, FUSE_READ, 0));
  const auto reading = Reading::of("4711", {"/nowhere", directory_});
  ASSERT_TRUE(reading);
  {
    const State::Call call(state.get(), 3);
    const State::Call later(state.get(), 21);
    const Snapshot seen = reading->snapshot();
    EXPECT_EQ(seen.storage_calls, 2U);
    EXPECT_EQ(seen.storage_procedure, "LOOKUP");
  }
  Snapshot seen = reading->snapshot();
  EXPECT_TRUE(seen.alive);
  EXPECT_EQ(seen.source, "nas:/export");
  EXPECT_EQ(seen.mountpoint, "/mnt");
  EXPECT_EQ(seen.storage_procedure, "");
  EXPECT_EQ(seen.requests, 2U);
  ASSERT_EQ(seen.open.size(), 2U);
  EXPECT_EQ(seen.open[0].operation, "LOOKUP");
  EXPECT_EQ(seen.open[0].pid, 42U);
  EXPECT_EQ(seen.open[1].operation, "SETLKW");
  state.reset();
  EXPECT_FALSE(Reading::of("4711", {directory_})) << "a mount that ended takes it away";
}

TEST_F(StateTest, ThatOfAKilledMountIsReadAndKnownForIt) {
  const pid_t writer = ::fork();
  if (writer == 0) {
    State state(directory_);
    begin(state, 2, FUSE_LOOKUP, 42);
    ::_exit(state.publish("4711") ? 0 : 1);  // as if killed: nothing is cleaned up
  }
  int status = -1;
  ASSERT_EQ(::waitpid(writer, &status, 0), writer);
  ASSERT_EQ(status, 0);
  const auto reading = Reading::of("4711", {directory_});
  ASSERT_TRUE(reading);
  EXPECT_FALSE(reading->snapshot().alive);
  EXPECT_EQ(reading->snapshot().open.size(), 1U);
  State next(directory_);
  ASSERT_TRUE(next.publish("4711"));
  EXPECT_TRUE(Reading::of("4711", {directory_})->snapshot().alive);
}

TEST_F(StateTest, MoreRequestsThanFitAreCounted) {
  State state(directory_);
  ASSERT_TRUE(state.publish("4711"));
  constexpr std::uint64_t kMany = 10 * kRequestsMax;
  std::vector<RequestCell*> shown;
  for (std::uint64_t i = 1; i <= kMany; ++i)
    shown.push_back(begin(state, 2 * i, FUSE_SETLKW, 1));
  const auto reading = Reading::of("4711", {directory_});
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->snapshot().requests, kMany);
  EXPECT_EQ(reading->snapshot().open.size(), kRequestsMax);
  for (RequestCell* cell : shown)
    state.end(cell);
  EXPECT_EQ(reading->snapshot().requests, 0U);
  EXPECT_TRUE(reading->snapshot().open.empty());
}

TEST_F(StateTest, TellsItselfAloneWhereNothingCanBeWritten) {
  State state(directory_ + "/missing");
  begin(state, 2, FUSE_LOOKUP, 42);
  state.identify({std::string(5'000, 'x'), "", "", "", {}});
  EXPECT_EQ(state.page().requests, 1U);
  EXPECT_FALSE(state.publish("4711"));
}

TEST_F(StateTest, OtherFilesAreNotRead) {
  EXPECT_FALSE(Reading::open(directory_));
  EXPECT_FALSE(Reading::open("/dev/zero"));
}

}  // namespace
}  // namespace holdfast::fs::state
