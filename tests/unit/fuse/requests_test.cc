// The kernel's requests, counted and shown from their arrival to their answer.
#include "fs/fuse/requests.h"

#include "fs/counters/reading.h"
#include "fs/state/reading.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <unistd.h>

namespace holdfast::fs {
namespace {

class RequestsTest : public ::testing::Test {
 protected:
  RequestsTest() {
    ::mkdtemp(directory_.data());
    counters_ = std::make_unique<counters::Counters>(directory_);
    state_ = std::make_unique<state::State>(directory_);
    EXPECT_TRUE(counters_->publish("53"));
    EXPECT_TRUE(state_->publish("53"));
    requests_ = std::make_unique<Requests>(counters_.get(), state_.get());
  }
  ~RequestsTest() override { std::filesystem::remove_all(directory_); }

  void arrives(std::uint64_t unique, std::uint32_t opcode) {
    fuse_in_header header{};
    header.unique = unique;
    header.opcode = opcode;
    header.pid = 42;
    requests_->arrived(&header, sizeof header);
  }
  void answer(std::uint64_t unique, ssize_t written = sizeof(fuse_out_header)) {
    fuse_out_header header{};
    header.unique = unique;
    const iovec part{&header, sizeof header};
    requests_->answered(&part, 1, written);
  }
  [[nodiscard]] counters::Counts counts() const { return page().counts(); }
  [[nodiscard]] std::uint64_t under_way() const {
    const auto gauges = page().gauges();
    return gauges.contains("fuse.under_way") ? gauges.at("fuse.under_way") : 0;
  }
  [[nodiscard]] std::uint64_t timed(const std::string& operation) const {
    const auto timings = page().timings();
    return timings.contains("fuse." + operation) ? timings.at("fuse." + operation).count() : 0;
  }
  [[nodiscard]] state::Snapshot shown() const {
    return state::Reading::of("53", {directory_})->snapshot();
  }

 private:
  [[nodiscard]] counters::Reading page() const {
    return *counters::Reading::open(counters::file_of(directory_, "53"));
  }
  std::string directory_ = std::filesystem::temp_directory_path() / "holdfast-requests.XXXXXX";
  std::unique_ptr<counters::Counters> counters_;
  std::unique_ptr<state::State> state_;
  std::unique_ptr<Requests> requests_;
};

TEST_F(RequestsTest, OneIsShownUntilItsAnswerAndThenTimed) {
  arrives(2, FUSE_LOOKUP);
  arrives(4, FUSE_READ);
  EXPECT_EQ(under_way(), 2U);
  EXPECT_EQ(shown().requests, 2U);
  ASSERT_EQ(shown().open.size(), 2U);
  EXPECT_EQ(shown().open[0].pid, 42U);
  EXPECT_EQ(timed("READ"), 0U);
  answer(4);
  EXPECT_EQ(under_way(), 1U);
  EXPECT_EQ(timed("READ"), 1U);
  ASSERT_EQ(shown().open.size(), 1U);
  EXPECT_EQ(shown().open[0].operation, "LOOKUP");
  EXPECT_EQ(counts().at("fuse.READ"), 1U);
  EXPECT_EQ(counts().at("fuse.bytes_out"), sizeof(fuse_out_header));
}

TEST_F(RequestsTest, WhatHasNoAnswerIsCountedOnly) {
  for (const std::uint32_t opcode : {FUSE_FORGET, FUSE_BATCH_FORGET, FUSE_INTERRUPT, FUSE_DESTROY})
    arrives(2, opcode);
  EXPECT_EQ(counts().at("fuse.FORGET"), 1U);
  EXPECT_EQ(counts().at("fuse.other"), 1U);
  EXPECT_EQ(under_way(), 0U);
  EXPECT_EQ(shown().requests, 0U);
}

TEST_F(RequestsTest, AnAnswerThatTheKernelDoesNotTakeEndsItAllTheSame) {
  arrives(2, FUSE_READ);
  answer(2, -1);  // the request was aborted
  EXPECT_EQ(under_way(), 0U);
  EXPECT_EQ(shown().requests, 0U);
  EXPECT_EQ(timed("READ"), 0U);
}

TEST_F(RequestsTest, ANotificationOrAStrangeAnswerEndsNothing) {
  arrives(2, FUSE_READ);
  answer(0);
  answer(6);
  EXPECT_EQ(under_way(), 1U);
  EXPECT_EQ(shown().requests, 1U);
}

TEST_F(RequestsTest, AnOperationOfALaterKernelIsCountedAsOther) {
  arrives(2, 4'000);
  EXPECT_EQ(counts().at("fuse.other"), 1U);
  EXPECT_EQ(shown().open.at(0).operation, "?");
  answer(2);
  EXPECT_EQ(under_way(), 0U);
}

}  // namespace
}  // namespace holdfast::fs
