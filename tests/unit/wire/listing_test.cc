#include "cli/admin/listing.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

std::string text(std::uint64_t start, std::uint64_t end) {
  return range_text(*ByteRange::make(start, end));
}

TEST(Listing, NamesSqlitesLockBytesOnlyWhenTheyMatchExactly) {
  EXPECT_EQ(text(0x40000000, 0x40000001), "PENDING");
  EXPECT_EQ(text(0x40000001, 0x40000002), "RESERVED");
  EXPECT_EQ(text(0x40000002, 0x40000200), "SHARED");
  EXPECT_EQ(text(0x40000002, 0x40000003), "1073741826-1073741826");
  EXPECT_EQ(text(0, 512), "0-511");
  EXPECT_EQ(text(0, ByteRange::kEnd), "0-EOF");
}

TEST(Listing, AgesAreShort) {
  EXPECT_EQ(age_text(250ms), "250ms");
  EXPECT_EQ(age_text(12s), "12s");
  EXPECT_EQ(age_text(184s), "3m04s");
  EXPECT_EQ(age_text(5h + 6min), "5h06m");
  EXPECT_EQ(age_text(51h), "2d03h");
  EXPECT_EQ(age_text(-1s), "0ms");
}

LockInfo a_lock() {
  LockInfo lock;
  lock.session = {0xabc};
  lock.node = "node-a";
  lock.volume_name = "nas:/export";
  lock.file = {.fileid = 77, .handle_hash = 1};
  lock.mode = LockMode::kExclusive;
  lock.range = *ByteRange::make(0x40000000, 0x40000001);
  lock.token = {9};
  lock.pid = 42;
  lock.age = 3s;
  return lock;
}

TEST(Listing, TheTableHasALinePerLock) {
  LockList list;
  EXPECT_EQ(locks_table(list), "no locks\n");
  list.locks.push_back(a_lock());
  EXPECT_EQ(locks_table(list),
            "NODE    PID  STATE  KIND   MODE       RANGE    AGE  FILEID  LOCK  SESSION           "
            "VOLUME\n"
            "node-a  42   held   fcntl  exclusive  PENDING  3s   77      9     0000000000000abc  "
            "nas:/export\n");
  list.truncated = true;
  EXPECT_NE(locks_table(list).find("only the first 1"), std::string::npos);
  list = {.locks = {}, .tokens = 7};
  EXPECT_EQ(locks_table(list),
            "no locks\nmounts hold 7 tokens: locks on files that only one mount uses are decided "
            "there and not shown\n");
}

TEST(Listing, WaitersAreShownWithWhomTheyWaitFor) {
  LockList list;
  EXPECT_EQ(waiters_table(list), "nobody waits\n");
  list.locks = {a_lock(), a_lock(), a_lock()};
  list.locks[1].state = list.locks[2].state = LockState::kWaiting;
  list.locks[1].session = list.locks[2].session = {2};
  list.locks[1].node = list.locks[2].node = "node-b";
  list.locks[1].owner = {1};
  list.locks[2].owner = {2};
  list.locks[1].age = 1s;
  list.locks[2].age = 2s;
  EXPECT_EQ(waiters_table(list),
            "NODE    PID  KIND   MODE       RANGE    SINCE  FILEID  VOLUME       BEHIND\n"
            "node-b  42   fcntl  exclusive  PENDING  2s     77      nas:/export  node-a 42\n"
            "node-b  42   fcntl  exclusive  PENDING  1s     77      nas:/export  node-a 42, node-b "
            "42 (waits too)\n");
  EXPECT_NE(waiters_json({list}).find(R"("behind":[{"state":"held","node":"node-a","pid":42,)"),
            std::string::npos);
}

TEST(Listing, NoNamePlaysWithATerminalOrBreaksTheJson) {
  LockList list;
  list.locks.push_back(a_lock());
  list.locks[0].node = "a\x1b[31m\"\\\xff\xc3\xa9\n";
  EXPECT_EQ(locks_table(list).find('\x1b'), std::string::npos);
  const std::string json = locks_json({list});
  EXPECT_NE(json.find(R"("node":"a\u001b[31m\"\\\ufffd)"
                      "\xc3\xa9"
                      R"(\u000a")"),
            std::string::npos)
      << json;
}

TEST(Listing, JsonOfAnOpenEndedRangeHasNoEnd) {
  LockList list;
  list.locks.push_back(a_lock());
  list.locks[0].range = ByteRange::whole_file();
  EXPECT_NE(locks_json({list}).find(R"("start":0,"end":null,"range":"0-EOF")"), std::string::npos);
  SessionList sessions;
  EXPECT_EQ(sessions_json({sessions}),
            "{\"sessions\":[],\"truncated\":false,\"lockds\":[{\"epoch\":0,\"grace\":false,"
            "\"grace_left_ms\":0,\"stale\":false}]}\n");
}

}  // namespace
}  // namespace holdfast::cli
