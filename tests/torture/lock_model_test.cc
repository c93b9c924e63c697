// The model of fs/locks.c, the programs made with it, and the stage that compares.

#include "cli/torture/lock_model.h"

#include "cli/torture/lock_program.h"
#include "cli/torture/lock_stage.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <thread>

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

// What a step does not mean it does not carry: an F_GETLK that "waits" was never tried again.
TEST(MakeProgram, OnlyLockCallsWait) {
  for (std::uint64_t seed = 0; seed < 300; ++seed)
    for (const auto& [step, expected] : make_program(seed, 60).steps)
      ASSERT_TRUE(!step.wait || step.op == Op::kSet || step.op == Op::kFlock) << describe(step);
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

// A RELEASE through another mount that arrives late, played by a lock of our own.
class LateRelease : public Stage {
 protected:
  void SetUp() override {
    Stage::SetUp();
    place_.views.push_back(place_.views[0]);
    late_.reset(::open(place_.views[0][0].c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(set_late(F_WRLCK), 0);
  }
  /// The workers share the description, so only an unlock frees it.
  [[nodiscard]] int set_late(short type) const {
    struct flock request {};
    request.l_type = type;
    request.l_whence = SEEK_SET;
    return ::fcntl(late_.get(), F_OFD_SETLK, &request);
  }
  /// `look` of P0 after P1, of the other view, closed the file.
  std::optional<Mismatch> look_after_close(const Step& look) {
    return run({open_file(0, 0, 0), open_file(1, 0, 0), close_fd(1, 0), look}, {.shown = {{}}});
  }
  UniqueFd late_;
};

TEST_F(LateRelease, WhatIsSeenTooEarlyIsLookedAtAgain) {
  for (const bool stray : {false, true}) {  // wait means nothing for F_GETLK
    ASSERT_EQ(set_late(F_WRLCK), 0);
    auto look = get(0, 0, 0, 0);
    look.wait = stray;
    std::jthread release([this] {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      EXPECT_EQ(set_late(F_UNLCK), 0);
    });
    const auto found = look_after_close(look);
    EXPECT_FALSE(found) << found->got;
  }
}

TEST_F(LateRelease, WhatStaysIsReported) {
  const auto found = look_after_close(get(0, 0, 0, 0));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->got.rfind("write [0, +0) of a description (the last of ", 0), 0U) << found->got;
}

TEST_F(LateRelease, OnTheSameViewItCountsAtOnce) {
  const auto found = run({open_file(0, 0, 0), open_file(2, 0, 0), close_fd(2, 0), get(0, 0, 0, 0)},
                         {.shown = {{}}});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->got, "write [0, +0) of a description");
}

}  // namespace
}  // namespace holdfast::torture
