// The model of fs/locks.c, the programs made with it, and the stage that compares.

#include "cli/torture/lock_model.h"

#include "cli/torture/lock_program.h"
#include "cli/torture/lock_stage.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <set>

#include <fcntl.h>
#include <gtest/gtest.h>

namespace holdfast::torture {
namespace {

Step open_file(int proc, int fd, int file) {
  return {.op = Op::kOpen,
          .proc = static_cast<std::uint8_t>(proc),
          .fd = static_cast<std::uint8_t>(fd),
          .file = static_cast<std::uint8_t>(file)};
}
Step set(int proc, int fd, LockType type, std::int64_t start, std::int64_t length,
         bool wait = false, bool ofd = false) {
  return {.op = Op::kSet,
          .proc = static_cast<std::uint8_t>(proc),
          .fd = static_cast<std::uint8_t>(fd),
          .type = type,
          .ofd = ofd,
          .wait = wait,
          .start = start,
          .length = length};
}
Step get(int proc, int fd, std::int64_t start, std::int64_t length) {
  auto step = set(proc, fd, LockType::kWrite, start, length);
  step.op = Op::kGet;
  return step;
}
Step flock(int proc, int fd, LockType type, bool wait = false) {
  auto step = set(proc, fd, type, 0, 0, wait);
  step.op = Op::kFlock;
  return step;
}
Step close_fd(int proc, int fd) {
  return {.op = Op::kClose,
          .proc = static_cast<std::uint8_t>(proc),
          .fd = static_cast<std::uint8_t>(fd)};
}

class Model : public ::testing::Test {
 protected:
  Model() : model_(3) {
    for (int proc = 0; proc < 3; ++proc)
      for (int fd = 0; fd < 3; ++fd)
        model_.apply(open_file(proc, fd, fd));
  }
  LockModel model_;
};

TEST_F(Model, UnlockInTheMiddleSplitsAndTouchingRangesMerge) {
  model_.apply(set(0, 0, LockType::kWrite, 0, 4));
  model_.apply(set(0, 0, LockType::kWrite, 4, 4));
  EXPECT_EQ(model_.apply(get(1, 0, 0, 0)).shown,
            (std::vector<LockInfo>{{LockType::kWrite, 0, 8, 0}}));
  model_.apply(set(0, 0, LockType::kUnlock, 3, 2));
  EXPECT_EQ(model_.apply(get(1, 0, 4, 0)).shown,
            (std::vector<LockInfo>{{LockType::kWrite, 5, 3, 0}}));
}

TEST_F(Model, AnyCloseOfTheFileDropsPosixLocksButNotThoseOfTheDescription) {
  model_.apply(open_file(0, 3, 0));
  model_.apply(set(0, 0, LockType::kWrite, 0, 1));
  model_.apply(set(0, 0, LockType::kWrite, 5, 1, false, true));
  model_.apply(close_fd(0, 3));
  EXPECT_EQ(model_.apply(set(1, 0, LockType::kWrite, 0, 1)).error, 0);
  EXPECT_EQ(model_.apply(set(1, 0, LockType::kWrite, 5, 1)).error, EAGAIN);
}

TEST_F(Model, AForkedChildHoldsNoPosixLocksButSharesTheDescription) {
  model_.apply(set(0, 0, LockType::kWrite, 0, 1));
  model_.apply(set(0, 0, LockType::kWrite, 5, 1, false, true));
  model_.apply({.op = Op::kFork, .proc = 0, .proc2 = 4});
  EXPECT_EQ(model_.apply(set(4, 0, LockType::kWrite, 0, 1)).error, EAGAIN);
  EXPECT_EQ(model_.apply(set(4, 0, LockType::kUnlock, 5, 1, false, true)).error, 0);
  EXPECT_EQ(model_.apply(set(1, 0, LockType::kWrite, 5, 1)).error, 0);
}

TEST_F(Model, ThreeProcessesInARingDeadlockAndDescriptionsDoNot) {
  for (const bool ofd : {false, true}) {
    LockModel model(3);
    for (int proc = 0; proc < 3; ++proc) {
      for (int fd = 0; fd < 3; ++fd)
        model.apply(open_file(proc, fd, fd));
      model.apply(set(proc, proc, LockType::kWrite, 0, 1, false, ofd));
    }
    EXPECT_TRUE(model.apply(set(0, 1, LockType::kWrite, 0, 1, true, ofd)).blocks);
    EXPECT_TRUE(model.apply(set(1, 2, LockType::kWrite, 0, 1, true, ofd)).blocks);
    EXPECT_EQ(model.apply(set(2, 0, LockType::kWrite, 0, 1, true, ofd)).error, ofd ? 0 : EDEADLK);
  }
}

TEST_F(Model, ARefusedFlockConversionLosesTheOldLock) {
  model_.apply(flock(0, 0, LockType::kRead));
  model_.apply(flock(1, 0, LockType::kRead));
  EXPECT_EQ(model_.apply(flock(0, 0, LockType::kWrite)).error, EAGAIN);
  EXPECT_EQ(model_.apply(flock(1, 0, LockType::kWrite)).error, 0);
}

TEST_F(Model, TheEndOfTheHolderWakesTheWaiter) {
  model_.apply(set(0, 0, LockType::kWrite, 0, 1));
  EXPECT_TRUE(model_.apply(set(1, 0, LockType::kWrite, 0, 1, true)).blocks);
  EXPECT_FALSE(model_.possible(set(2, 0, LockType::kRead, 0, 0, true)));
  EXPECT_EQ(model_.apply({.op = Op::kKill, .proc = 0}).wakes, std::vector<int>{1});
}

TEST(MakeProgram, IsTheSameForTheSameSeed) {
  const auto text = [](std::uint64_t seed) {
    std::string out;
    for (const auto& step : make_program(seed, 60).steps)
      out += describe(step.step) + "\n";
    return out;
  };
  EXPECT_EQ(text(7), text(7));
  EXPECT_NE(text(7), text(8));
}

TEST(MakeProgram, EveryOutcomeOccurs) {
  std::set<int> errors;
  std::set<Op> ops;
  int waits = 0;
  int wakes = 0;
  int interrupts = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed)
    for (const auto& [step, expected] : make_program(seed, 60).steps) {
      errors.insert(expected.error);
      ops.insert(step.op);
      waits += expected.blocks;
      wakes += static_cast<int>(expected.wakes.size());
      interrupts += expected.interrupts;
    }
  EXPECT_EQ(errors, (std::set<int>{0, EAGAIN, EBADF, EINVAL, EDEADLK}));
  EXPECT_EQ(ops.size(), 11U);
  EXPECT_GT(waits, 100);
  EXPECT_GT(wakes, 50);
  EXPECT_GT(interrupts, 20);
}

class Stage : public ::testing::Test {
 protected:
  void SetUp() override {
    auto text = (std::filesystem::temp_directory_path() / "lock-stage-XXXXXX").string();
    ASSERT_NE(::mkdtemp(text.data()), nullptr);
    dir_ = text;
    place_.views.emplace_back();
    place_.strict_holders = true;
    for (std::size_t i = 0; i < kFiles; ++i) {
      auto& path = place_.views[0][i];
      path = dir_ + "/" + std::to_string(i);
      const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT, 0600));
      ASSERT_TRUE(fd);
    }
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  /// Runs the steps with the model's expectations, the last one replaced.
  std::optional<Mismatch> run(const std::vector<Step>& steps, const Expected& planted) {
    LockModel model(3);
    Program program{.procs = 3, .steps = {}};
    for (const auto& step : steps)
      program.steps.push_back({step, model.apply(step)});
    program.steps.back().expected = planted;
    return LockStage(herd_, place_, 0).run(program);
  }

  std::string dir_;
  Place place_;
  Herd herd_;
};

TEST_F(Stage, FindsAnErrorThatDiffers) {
  const auto found = run({open_file(0, 0, 0), open_file(1, 0, 0), set(0, 0, LockType::kWrite, 0, 1),
                          set(1, 0, LockType::kWrite, 0, 1)},
                         {});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->step, 3U);
  EXPECT_EQ(found->got, "EAGAIN");
}

TEST_F(Stage, FindsAGrantWhereAWaitIsDue) {
  const auto found =
      run({open_file(0, 0, 0), set(0, 0, LockType::kWrite, 0, 1, true)}, {.blocks = true});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->got, "success");
}

TEST_F(Stage, FindsAWrongHolder) {
  const auto found = run(
      {open_file(0, 0, 0), open_file(1, 0, 0), set(0, 0, LockType::kWrite, 0, 1), get(1, 0, 0, 0)},
      {.shown = {{LockType::kWrite, 0, 1, 2}}});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->got, "write [0, +1) of P0");
}

}  // namespace
}  // namespace holdfast::torture
