// A mount that meets a limit of lockd: the error is the one of before, and its log names the limit.
#include "tests/integration/wire/lock_client_fixture.h"

namespace holdfast {
namespace {

using support::DrivenLoop;
using support::InProcessLockd;

support::LockdSetup one_range_each() {
  return {.adjust = [](lockd::ServerOptions& options) {
    options.coordinator.limits.ranges_per_session_max = 1;
  }};
}

TEST(LockClientLimits, TheMountsLogNamesTheLimitWhatItMeansAndWhatToDo) {
  InProcessLockd lockd(one_range_each());
  DrivenLoop loop;
  TestMount mount(loop, lockd.address(), Tokens::kNo);
  ::testing::internal::CaptureStderr();
  ASSERT_TRUE(loop.finish(mount.lock(1, LockMode::kShared)));
  for (std::uint64_t owner = 2; owner <= 4; ++owner) {
    const auto refused = loop.finish(mount.lock(owner, LockMode::kShared));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), LockErrc::kTooManyRanges);
  }
  const std::string said = ::testing::internal::GetCapturedStderr();
  const std::string line = "limit.met limit=ranges_of_session max=1 by=";
  const std::size_t at = said.find(line);
  ASSERT_NE(at, std::string::npos) << said;
  EXPECT_EQ(said.find(line, at + 1), std::string::npos) << "once, not for each call: " << said;
  EXPECT_NE(said.find("told ENOLCK; nothing is lost", at), std::string::npos) << said;
  EXPECT_NE(said.find("--limit ranges_of_session=NUMBER", at), std::string::npos) << said;
}

TEST(LockClientLimits, AMountThatIsNotLetInIsToldWhichLimitAndWhichOption) {
  InProcessLockd lockd({.adjust = [](lockd::ServerOptions& options) {
    options.coordinator.limits.sessions_max = 1;
  }});
  DrivenLoop loop;
  TestMount mount(loop, lockd.address(), Tokens::kNo);
  fs::LockClientOptions options;
  options.addresses = {lockd.address()};
  fs::LockClient second(loop.executor(), options);
  const auto started = loop.run(second.start());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, LockErrc::kTooManySessions);
  EXPECT_NE(started.error().what.find("(limit sessions, 1)"), std::string::npos)
      << started.error().what;
  EXPECT_NE(started.error().hint.find("holdfast-lockd --limit sessions=NUMBER"), std::string::npos)
      << started.error().hint;
}

}  // namespace
}  // namespace holdfast
