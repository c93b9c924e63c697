#include "fs/counters/counters.h"

#include "fs/counters/reading.h"

#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::fs::counters {
namespace {

class CountersTest : public ::testing::Test {
 protected:
  CountersTest() { ::mkdtemp(directory_.data()); }
  ~CountersTest() override { std::filesystem::remove_all(directory_); }
  [[nodiscard]] std::size_t files() const {
    const std::filesystem::directory_iterator all(directory_);
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }
  std::string directory_ = std::filesystem::temp_directory_path() / "holdfast-counters.XXXXXX";
};

TEST_F(CountersTest, OneNameIsOneCounter) {
  Counters counters(directory_);
  counters.counter("nfs.READ").add();
  counters.counter("nfs.READ").add(2);
  (void)counters.counter("nfs.WRITE");
  EXPECT_EQ(counters.text(), "nfs.READ=3");
}

TEST_F(CountersTest, ReadersSeeThemWhileTheWriterLives) {
  auto counters = std::make_unique<Counters>(directory_);
  Counter reads = counters->counter("nfs.READ");
  ASSERT_TRUE(counters->publish("4711"));
  const auto reading = Reading::open(file_of(directory_, "4711"));
  ASSERT_TRUE(reading);
  EXPECT_TRUE(reading->counts().empty());
  reads.add(5);
  EXPECT_EQ(reading->counts(), (Counts{{"nfs.READ", 5}}));
  counters.reset();
  EXPECT_EQ(files(), 0U);
  EXPECT_EQ(reading->counts().at("nfs.READ"), 5U) << "a reader keeps what it has mapped";
}

TEST_F(CountersTest, ThoseOfADeadWriterAreNotTakenForLive) {
  const pid_t writer = ::fork();
  if (writer == 0) {
    Counters counters(directory_);
    ::_exit(counters.publish("4711") ? 0 : 1);  // as if killed: nothing is cleaned up
  }
  int status = -1;
  ASSERT_EQ(::waitpid(writer, &status, 0), writer);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(files(), 1U);
  EXPECT_FALSE(Reading::open(file_of(directory_, "4711")));
  Counters next(directory_);
  ASSERT_TRUE(next.publish("4711")) << "the next mount of that number takes its place";
  EXPECT_TRUE(Reading::open(file_of(directory_, "4711")));
  EXPECT_EQ(files(), 1U);
}

TEST_F(CountersTest, CountsForItselfWhereNothingCanBeWritten) {
  Counters counters(directory_ + "/missing");
  counters.counter("nfs.READ").add();
  EXPECT_EQ(counters.text(), "nfs.READ=1");
  const auto published = counters.publish("4711");
  ASSERT_FALSE(published);
  EXPECT_EQ(published.error(), errno_code(ENOENT));
}

TEST_F(CountersTest, TooManyOrTooLongNamesDoNoHarm) {
  Counters counters(directory_);
  const std::string name(100, 'x');
  counters.counter(name).add();
  EXPECT_EQ(counters.text(), std::string(23, 'x') + "=1");
  for (std::size_t i = 0; i < 2 * kCountersMax; ++i)
    counters.counter("n" + std::to_string(i)).add();
  EXPECT_NE(counters.text().find(fmt::format("n{}=1", kCountersMax - 2)), std::string::npos);
  EXPECT_EQ(counters.text().find(fmt::format("n{}=", kCountersMax - 1)), std::string::npos);
  Counter nowhere;
  nowhere.add();
}

TEST_F(CountersTest, GaugesAndTimingsAreNoCounts) {
  using namespace std::chrono_literals;
  Counters counters(directory_);
  ASSERT_TRUE(counters.publish("4711"));
  counters.counter("nfs.READ").add();
  Gauge gauge = counters.gauge("lease.deadline_ns");
  gauge.set(5);
  gauge.up();
  gauge.down();
  Timing timing = counters.timing("fuse.READDIRPLUS");
  timing.add(50us);
  timing.add(2s);
  timing.add(1h);
  const auto reading = Reading::open(file_of(directory_, "4711"));
  ASSERT_TRUE(reading);
  EXPECT_EQ(reading->counts(), (Counts{{"nfs.READ", 1}}));
  EXPECT_EQ(counters.text(), "nfs.READ=1");
  EXPECT_EQ(reading->gauges(), (Gauges{{"lease.deadline_ns", 5}}));
  const Timings timings = reading->timings();
  ASSERT_EQ(timings.size(), 1U);
  Histogram expected;
  expected.add(50us);
  expected.add(2s);
  expected.add(1h);
  EXPECT_EQ(timings.at("fuse.READDIRPLUS").buckets, expected.buckets);
  EXPECT_EQ(timings.at("fuse.READDIRPLUS").sum, expected.sum);
}

TEST_F(CountersTest, OtherFilesAreNotRead) {
  EXPECT_FALSE(Reading::open(directory_));
  EXPECT_FALSE(Reading::open("/dev/zero"));
  EXPECT_FALSE(Reading::of(directory_, {directory_})) << "no Holdfast mount";
}

}  // namespace
}  // namespace holdfast::fs::counters
