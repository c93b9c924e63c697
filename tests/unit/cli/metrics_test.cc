// Which mounts `holdfast metrics` knows, and what it tells of them.
#include "cli/metrics/exposition.h"
#include "cli/metrics/mounts.h"
#include "fs/counters/counters.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;
using fs::counters::Counters;
using ::testing::HasSubstr;
using ::testing::Not;

class MetricsTest : public ::testing::Test {
 protected:
  MetricsTest() {
    ::mkdtemp(directory_.data());
    options_.directories = {directory_};
    options_.mountinfo = directory_ + "/mountinfo";
  }
  ~MetricsTest() override { std::filesystem::remove_all(directory_); }

  void table(const std::string& lines) const { std::ofstream(options_.mountinfo) << lines; }
  static std::string mount(unsigned connection, const std::string& path,
                           const std::string& type = "fuse.holdfast", uid_t user = ::geteuid()) {
    return fmt::format(
        "90 1 0:{} / {} rw,nosuid - {} nas:/export rw,user_id={},group_id=0,allow_other\n",
        connection, path, type, user);
  }
  [[nodiscard]] std::string told(Instant now = Instant(100s)) const {
    return mounts_as_metrics(known_mounts(options_), now);
  }

  std::string directory_ = "/tmp/holdfast-metrics-XXXXXX";
  MetricsOptions options_;
};

TEST_F(MetricsTest, AMountWhoseProcessIsDeadIsDown) {
  Counters alive(directory_);
  ASSERT_TRUE(alive.publish("51"));
  table(mount(51, "/mnt/a") + mount(51, "/pods/bound") + mount(52, "/mnt/b") +
        mount(53, "/mnt/c", "fuse.sshfs"));
  const std::string text = told();
  EXPECT_THAT(text, HasSubstr("holdfast_mount_up{connection=\"51\",mount=\"/mnt/a\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("holdfast_mount_up{connection=\"52\",mount=\"/mnt/b\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("/pods/bound"))) << "one mount, however often it is bound";
  EXPECT_THAT(text, Not(HasSubstr("/mnt/c")));
}

TEST_F(MetricsTest, MountsOfOtherUsersAreNotTakenForDead) {
  table(mount(51, "/home/them", "fuse.holdfast", ::geteuid() + 1));
  EXPECT_THAT(told(), Not(HasSubstr("/home/them")));
}

TEST_F(MetricsTest, InAContainerPagesCountWithoutTheTable) {
  Counters alive(directory_);
  ASSERT_TRUE(alive.publish("51"));
  EXPECT_THAT(told(), HasSubstr("holdfast_mount_up{connection=\"51\",mount=\"\"} 1\n"));
}

TEST_F(MetricsTest, WhatIsLeftOfTheLeaseIsReckonedByTheReader) {
  Counters page(directory_);
  ASSERT_TRUE(page.publish("51"));
  EXPECT_THAT(told(), Not(HasSubstr("holdfast_mount_lease_margin_seconds{"))) << "it has none yet";
  page.gauge("lease.deadline_ns").set(static_cast<std::uint64_t>(Duration(108s).count()));
  EXPECT_THAT(told(), HasSubstr("lease_margin_seconds{connection=\"51\",mount=\"\"} 8\n"));
  EXPECT_THAT(told(Instant(110s)),
              HasSubstr("lease_margin_seconds{connection=\"51\",mount=\"\"} -2\n"));
  page.counter("lease.suspended_us").add(500'000);
  page.gauge("lease.suspended_ns").set(static_cast<std::uint64_t>(Duration(108s).count()));
  EXPECT_THAT(told(Instant(110s)),
              HasSubstr("suspended_seconds_total{connection=\"51\",mount=\"\"} 2.5\n"))
      << "what was, and what is going on";
}

TEST_F(MetricsTest, CellsBecomeLabels) {
  Counters page(directory_);
  ASSERT_TRUE(page.publish("51"));
  page.counter("nfs.READ").add(3);
  page.counter("nfs.repeated").add(1);
  page.counter("nfs.bytes_written").add(7);
  page.timing("nfs.READ").add(2ms);
  page.timing("ld.lock").add(2ms);
  const std::string text = told();
  EXPECT_THAT(text,
              HasSubstr("nfs_calls_total{connection=\"51\",mount=\"\",procedure=\"READ\"} 3"));
  EXPECT_THAT(text, HasSubstr("nfs_repeated_total{connection=\"51\",mount=\"\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("bytes_total{connection=\"51\",mount=\"\",kind=\"nfs_written\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("mount=\"\",procedure=\"READ\",le=\"0.005\"} 1\n"));
  EXPECT_THAT(
      text,
      HasSubstr("lock_call_seconds_count{connection=\"51\",mount=\"\",message=\"lock\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("procedure=\"repeated\"")));
  EXPECT_THAT(text, Not(HasSubstr("procedure=\"bytes_written\"")));
}

}  // namespace
}  // namespace holdfast::cli
