// The pure parts of the RPC transport: records, messages, waiting calls, back-off.

#include "fs/backend/nfs3/rpc/backoff.h"
#include "fs/backend/nfs3/rpc/call_table.h"
#include "fs/backend/nfs3/rpc/message.h"
#include "fs/backend/nfs3/rpc/reader.h"
#include "fs/backend/nfs3/rpc/record.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::fs::nfs3::rpc {
namespace {

using Bytes = std::vector<std::uint8_t>;

void put(Bytes& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out.push_back(static_cast<std::uint8_t>(value >> shift));
}
Bytes fragment(const Bytes& body, bool last) {
  Bytes out;
  put(out, static_cast<std::uint32_t>(body.size()) | (last ? 0x80000000U : 0));
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

/// Feeds `stream` in pieces of at most `step`; false = refused.
bool feed(RecordParser& parser, const Bytes& stream, std::size_t step, std::vector<Bytes>& out) {
  for (std::size_t at = 0; at < stream.size();) {
    const auto space = parser.space();
    const std::size_t size = std::min({step, space.size(), stream.size() - at});
    std::memcpy(space.data(), stream.data() + at, size);
    at += size;
    if (!parser.commit(size)) return false;
    while (auto record = parser.take())
      out.emplace_back(record->bytes().begin(), record->bytes().end());
  }
  return true;
}

TEST(Record, PiecesOfAnySizeGiveTheSameRecords) {
  Bytes big(100'000);
  for (std::size_t i = 0; i < big.size(); ++i)
    big[i] = static_cast<std::uint8_t>(i * 7);
  const Bytes small = {1, 2, 3};
  Bytes stream;
  for (const auto& part :
       {fragment(small, true), fragment(big, true), fragment(small, false), fragment({}, false),
        fragment(big, true), fragment({}, true), fragment(small, true)})
    stream.insert(stream.end(), part.begin(), part.end());
  Bytes joined = small;
  joined.insert(joined.end(), big.begin(), big.end());
  for (const std::size_t step : {1UL, 2UL, 3UL, 5UL, 4096UL, 65'537UL, 1UL << 20}) {
    RecordParser parser;
    std::vector<Bytes> records;
    ASSERT_TRUE(feed(parser, stream, step, records));
    EXPECT_EQ(records, (std::vector<Bytes>{small, big, joined, {}, small})) << step;
  }
}

TEST(Record, TooLargeIsRefusedBeforeItIsAllocated) {
  RecordParser parser;
  std::vector<Bytes> records;
  Bytes stream;
  put(stream, 0xffffffffU);
  EXPECT_FALSE(feed(parser, stream, 4, records));
}

TEST(Record, FragmentsAddUpToTheLimit) {
  RecordParser parser;
  std::vector<Bytes> records;
  const Bytes half(RecordParser::kRecordMax / 2 + 1);
  EXPECT_TRUE(feed(parser, fragment(half, false), 65'536, records));
  Bytes mark;
  put(mark, 0x80000000U | static_cast<std::uint32_t>(half.size()));
  EXPECT_FALSE(feed(parser, mark, 4, records));
}

TEST(Record, EndlessEmptyFragmentsAreRefused) {
  RecordParser parser;
  std::vector<Bytes> records;
  bool good = true;
  for (unsigned i = 0; i <= RecordParser::kFragmentsMax && good; ++i)
    good = feed(parser, fragment({}, false), 4, records);
  EXPECT_FALSE(good);
}

TEST(Reader, NeverPassesTheEnd) {
  const Bytes five = {0, 0, 0, 200, 1};
  Reader counted(five);
  EXPECT_TRUE(counted.bytes(1000).empty());
  EXPECT_FALSE(counted.ok());
  const Bytes huge = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
  Reader wrapping(huge);
  EXPECT_TRUE(wrapping.bytes(~std::size_t{0}).empty());
  EXPECT_FALSE(wrapping.ok());
  Reader word(five);
  EXPECT_EQ(word.u64(), 200ULL << 32);
  EXPECT_FALSE(word.ok());
  EXPECT_EQ(word.u32(), 0U);
}

TEST(Message, CarriesXidProcedureAndCredentials) {
  Credentials who{1000, 100, {}};
  for (std::uint32_t group = 90; group < 120; ++group)
    who.groups.push_back(group);
  MessageWriter writer({.program = 100003, .version = 3, .number = 1}, who, 0);
  auto message = writer.finish();
  message.set_xid(0x01020304);
  EXPECT_EQ(message.xid(), 0x01020304U);
  Reader reader(message.head);
  EXPECT_EQ(reader.u32(), 0x80000000U | (message.head.size() - 4));
  EXPECT_EQ(reader.u32(), 0x01020304U);
  EXPECT_EQ(reader.u32(), 0U);  // CALL
  EXPECT_EQ(reader.u32(), 2U);
  EXPECT_EQ(reader.u32(), 100003U);
  EXPECT_EQ(reader.u32(), 3U);
  EXPECT_EQ(reader.u32(), 1U);
  EXPECT_EQ(reader.u32(), 1U);  // AUTH_SYS
  Reader credentials(reader.bytes(400));
  (void)credentials.u32();
  (void)credentials.string(255);
  EXPECT_EQ(credentials.u32(), 1000U);
  EXPECT_EQ(credentials.u32(), 100U);
  ASSERT_EQ(credentials.u32(), 16U);
  EXPECT_EQ(credentials.u32(), 90U);
  EXPECT_TRUE(credentials.ok());
  const auto groups = groups_for_wire(who);
  EXPECT_EQ(std::count(groups.begin(), groups.end(), 100U), 0) << "the primary group has its field";
  EXPECT_EQ(reader.u64(), 0U);  // AUTH_NONE verifier
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(Message, ReplyHeadersOfEveryOutcomeAreUnderstood) {
  const auto header = [](const std::vector<std::uint32_t>& words, ReplyHeader& out) {
    Bytes bytes;
    for (const std::uint32_t word : words)
      put(bytes, word);
    Reader reader(bytes);
    return read_reply_header(reader, out);
  };
  ReplyHeader out;
  EXPECT_TRUE(header({7, 1, 0, 0, 0, 0}, out));
  EXPECT_EQ(out.outcome, Outcome::kSuccess);
  EXPECT_EQ(out.xid, 7U);
  EXPECT_TRUE(header({7, 1, 0, 0, 0, 1}, out));
  EXPECT_EQ(out.outcome, Outcome::kProgramUnavailable);
  EXPECT_TRUE(header({7, 1, 0, 0, 0, 2, 4, 4}, out));
  EXPECT_EQ(out.outcome, Outcome::kVersionMismatch);
  EXPECT_EQ(out.version_low, 4U);
  EXPECT_TRUE(header({7, 1, 0, 0, 0, 3}, out));
  EXPECT_EQ(out.outcome, Outcome::kProcedureUnavailable);
  EXPECT_TRUE(header({7, 1, 0, 0, 0, 4}, out));
  EXPECT_EQ(out.outcome, Outcome::kGarbageArguments);
  EXPECT_TRUE(header({7, 1, 0, 0, 0, 5}, out));
  EXPECT_EQ(out.outcome, Outcome::kSystemError);
  EXPECT_TRUE(header({7, 1, 1, 0, 2, 2}, out));
  EXPECT_EQ(out.outcome, Outcome::kRpcMismatch);
  EXPECT_TRUE(header({7, 1, 1, 1, 5}, out));
  EXPECT_EQ(out.outcome, Outcome::kAuthError);
  for (const auto& bad : std::vector<std::vector<std::uint32_t>>{{},
                                                                 {7},
                                                                 {7, 0, 0, 0, 0, 0},
                                                                 {7, 1, 2, 0, 0, 0},
                                                                 {7, 1, 0, 0, 0, 6},
                                                                 {7, 1, 0, 0, 0xffffffff, 0},
                                                                 {7, 1, 0, 0, 0, 2, 4},
                                                                 {7, 1, 1, 2}})
    EXPECT_FALSE(header(bad, out));
}

TEST(CallTable, UnansweredCallsAreSentAgainInOrderWithTheirXid) {
  CallTable<int> table(0xfffffffe);  // wraps
  const CallTable<int>::Time now{};
  std::vector<std::uint32_t> xids;
  for (int i = 0; i < 5; ++i)
    xids.push_back(table.add(i).xid);
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(table.send_next(now)->payload, i);
  table.erase(xids[1]);    // answered
  table.abandon(xids[2]);  // on the wire: known until the connection ends
  table.abandon(xids[3]);  // never sent: gone
  EXPECT_NE(table.find(xids[2]), nullptr);
  EXPECT_EQ(table.find(xids[3]), nullptr);
  table.check_invariants();
  table.connection_lost();
  table.check_invariants();
  EXPECT_EQ(table.find(xids[2]), nullptr);
  auto* first = table.send_next(now);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->xid, xids[0]);
  EXPECT_EQ(first->sends, 2U);
  auto* second = table.send_next(now);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->xid, xids[4]);
  EXPECT_EQ(second->sends, 1U) << "no connection has seen it before";
  EXPECT_EQ(table.send_next(now), nullptr);
}

// A server that was busy with the first copy has dropped the second.
TEST(CallTable, RepeatedCallsAreRepeatedUntilTheyAreAnswered) {
  using Table = CallTable<int>;
  Table table(1);
  Table::Time now{};
  const auto nobody = [](std::uint32_t) { return false; };
  const std::uint32_t first = table.add(0).xid;
  ASSERT_NE(table.send_next(now), nullptr);
  table.repeat_due(now + Table::kAgainMax, nobody);
  EXPECT_FALSE(table.anything_to_send()) << "sent once, it waits for as long as it takes";
  table.connection_lost();
  ASSERT_NE(table.send_next(now), nullptr);
  const auto back = now;
  const std::uint32_t second = table.add(1).xid;
  ASSERT_NE(table.send_next(now), nullptr);
  for (auto pause = Table::kAgainMin; pause < Table::kAgainMax; pause *= 2) {
    table.repeat_due(now + pause - std::chrono::milliseconds(1), nobody);
    EXPECT_FALSE(table.anything_to_send());
    now += pause;
    table.repeat_due(now, [first](std::uint32_t xid) { return xid == first; });
    EXPECT_FALSE(table.anything_to_send()) << "it is being sent";
    table.repeat_due(now, nobody);
    const auto* again = table.send_next(now);
    ASSERT_NE(again, nullptr);
    EXPECT_EQ(again->xid, first);
    EXPECT_EQ(table.send_next(now), nullptr) << "the other was sent once only";
  }
  EXPECT_EQ(table.oldest_sent(), back);
  table.repeat_due(now + Table::kAgainMax, nobody);
  table.erase(first);  // answered in the last moment
  table.erase(second);
  table.check_invariants();
  EXPECT_FALSE(table.anything_to_send());
}

TEST(Backoff, DoublesToItsLimitAndIsShortenedByAtMostHalf) {
  Backoff longest;
  EXPECT_EQ(longest.next(0), Backoff::kFirst);
  EXPECT_EQ(longest.next(0), Backoff::kFirst * 2);
  for (int i = 0; i < 20; ++i)
    (void)longest.next(0);
  EXPECT_EQ(longest.next(0), Backoff::kMost);
  EXPECT_EQ(longest.next(0xffffffff), Backoff::kMost / 2);
  longest.reset();
  EXPECT_EQ(longest.next(0xffffffff), Backoff::kFirst / 2);
}

}  // namespace
}  // namespace holdfast::fs::nfs3::rpc
