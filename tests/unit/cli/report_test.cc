#include "cli/mount/report.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  UniqueFd read;
  UniqueFd write;
};

TEST(Report, SuccessIsExitZero) {
  Pipe pipe;
  Reporter reporter(std::move(pipe.write));
  reporter.progress("waiting");
  reporter.succeeded();
  EXPECT_EQ(wait_for_report(pipe.read.get()), kExitOk);
}

TEST(Report, FailureCarriesItsExitCodeAndBothLines) {
  Pipe pipe;
  Reporter reporter(std::move(pipe.write));
  reporter.failed({kExitSystem, "something\nbroke", "mend it"});
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(wait_for_report(pipe.read.get()), kExitSystem);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "holdfast: something broke\n  hint: mend it\n");
}

TEST(Report, ASilentDeathIsAFailure) {
  Pipe pipe;
  pipe.write.reset();
  EXPECT_EQ(wait_for_report(pipe.read.get()), kExitMount);
}

}  // namespace
}  // namespace holdfast::cli
