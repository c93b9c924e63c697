// The status page's JSON and lockd's metrics, over HTTP from the real process.
#include "holdfast/http/server.h"
#include "lockd/status/service.h"
#include "tests/integration/lockd/status_scene.h"

#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

bool told(const std::string& metrics, const std::string& line) {
  return ("\n" + metrics).find("\n" + line + "\n") != std::string::npos;
}

TEST(Status, TellsSessionsLocksAndWaits) {
  StatusScene scene;
  scene.fill();
  const std::string answer = http(scene.port, "/status.json");
  EXPECT_THAT(answer, HasSubstr("Content-Type: application/json"));
  const std::string json = body_of(answer);
  EXPECT_THAT(json, HasSubstr(R"("state":"active")"));
  EXPECT_THAT(json, HasSubstr(R"("node":"pi-2")"));
  EXPECT_THAT(json, HasSubstr(R"("held":15,"waiting":4)"));
  EXPECT_THAT(json, HasSubstr(R"("file":"4711","kind":"fcntl","mode":"exclusive")"));
  EXPECT_THAT(json, HasSubstr(R"("live":5)"));
  EXPECT_THAT(json, HasSubstr(R"(<img src=x onerror=\"document.title='owned'\">)"))
      << "quotes of a name end no string";
}

TEST(Status, MetricsMoveWithWhatHappens) {
  StatusScene scene;
  scene.fill();
  std::string text = body_of(http(scene.port, "/metrics"));
  EXPECT_TRUE(told(text, "holdfast_lockd_active 1"));
  EXPECT_TRUE(told(text, "holdfast_lockd_locks_held 15"));
  EXPECT_TRUE(told(text, "holdfast_lockd_locks_waiting 4"));
  EXPECT_TRUE(told(text, "holdfast_lockd_grants_total 15"));
  EXPECT_TRUE(told(text, "holdfast_lockd_sessions{phase=\"live\"} 5"));
  EXPECT_TRUE(told(text, "holdfast_lockd_handling_seconds_count{message=\"lock\"} 19"));
  EXPECT_FALSE(told(text, "holdfast_lockd_store_writes_total 0"));
  scene.mounts[0]->ask(3, UnlockRequest{.file = {.fileid = 4711, .handle_hash = 4711},
                                        .space = LockSpace::kRange,
                                        .owner = {812},
                                        .range = ByteRange::whole_file()});
  std::this_thread::sleep_for(lockd::status::Service::kFresh);
  text = body_of(http(scene.port, "/metrics"));
  EXPECT_TRUE(told(text, "holdfast_lockd_locks_waiting 3"));
  EXPECT_TRUE(told(text, "holdfast_lockd_lock_wait_seconds_count 1"));
}

// docs/metrics.md has a row for each, and none for what is not there.
TEST(Status, EachMetricIsDocumented) {
  const StatusScene scene;
  std::istringstream lines(body_of(http(scene.port, "/metrics")));
  std::set<std::string> told;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("# TYPE ")) told.insert(line.substr(7, line.rfind(' ') - 7));
  EXPECT_GT(told.size(), 40u);
  std::istringstream page(text_of(HOLDFAST_METRICS_PAGE));
  std::set<std::string> documented;
  for (std::string line; std::getline(page, line);)
    if (line.starts_with("| `holdfast_lockd_"))
      documented.insert(line.substr(3, line.find('`', 3) - 3));
  EXPECT_EQ(told, documented);
}

TEST(Status, AHangingLoopIsToldAndNotWaitedFor) {
  boost::asio::io_context loop;  // never runs
  lockd::status::Service service(loop, {.address = "127.0.0.1", .port = 0, .names = {}},
                                 [] { return lockd::status::Moment{}; });
  ASSERT_TRUE(service.open());
  const std::string address = service.listening();
  const auto port = static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
  EXPECT_THAT(status_of(http(port, "/healthz")), HasSubstr("503"));
  EXPECT_THAT(status_of(http(port, "/")), HasSubstr("200")) << "the page itself needs no loop";
}

TEST(Status, AStandbySaysSo) {
  boost::asio::io_context loop;
  lockd::status::Service service(loop, {.address = "127.0.0.1", .port = 0, .names = {}}, [] {
    lockd::status::Moment moment;
    moment.waits_for = "standby: another one is active";
    return moment;
  });
  ASSERT_TRUE(service.open());
  const auto work = boost::asio::make_work_guard(loop);
  std::jthread runner([&] { loop.run(); });
  const std::string address = service.listening();
  const auto port = static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
  EXPECT_THAT(body_of(http(port, "/status.json")), HasSubstr("another one is active"));
  const std::string text = body_of(http(port, "/metrics"));
  EXPECT_THAT(text, HasSubstr("holdfast_lockd_active 0\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE holdfast_lockd_grants_total counter\n"));
  EXPECT_THAT(text, Not(HasSubstr("\nholdfast_lockd_grants_total ")));
  loop.stop();
  runner.join();
}

}  // namespace
}  // namespace holdfast::test
