// Which effects wait for which records; everything else leaves at once.
#include "lockd/core/effect_queue.h"

#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::lockd {
namespace {

class EffectQueueTest : public ::testing::Test {
 protected:
  static SessionRecord session(std::uint64_t id) {
    SessionRecord record;
    record.session = {id};
    return record;
  }
  static Effect say(std::uint64_t to, std::uint64_t what) {
    return SendReply{{to}, {RequestNumber{what}, Done{}}};
  }
  static Effect welcome(std::uint64_t to) {
    Welcome welcome;
    welcome.session = {to};
    return Greet{ConnectionId{to}, welcome};
  }
  static Effect refuse(std::uint64_t connection) {
    return Greet{ConnectionId{connection}, HelloRefused{}};
  }
  static Effect opens(std::uint64_t id) { return Record{{PutSession{session(id)}}}; }
  static Effect drops(std::uint64_t id) { return Record{{DropSession{{id}}}}; }
  static Effect loses(std::uint64_t id) { return Record{{PutLoss{{id}, {{1}, {1, 1}}}}}; }
  static Effect ends(std::uint64_t id) { return Record{{EndSessionRecord{{id}}}}; }

  /// Request numbers of replies, and 1000 + connection of greetings, in the order they leave.
  std::vector<std::uint64_t> leaving() {
    std::vector<std::uint64_t> out;
    while (const auto effect = queue.next()) {
      if (const auto* reply = std::get_if<SendReply>(&*effect))
        out.push_back(reply->reply.number.value);
      if (const auto* greet = std::get_if<Greet>(&*effect))
        out.push_back(1000 + greet->connection.value);
    }
    return out;
  }
  void write(std::size_t records_max = SIZE_MAX) {
    EXPECT_FALSE(queue.take_changes(records_max).empty());
    queue.written();
  }
  EffectQueue queue;
  using Ids = std::vector<std::uint64_t>;
};

TEST_F(EffectQueueTest, WithoutRecordsEverythingLeavesAtOnceInItsOrder) {
  queue.add({say(1, 1), say(2, 2), refuse(3)});
  queue.add({say(1, 4)});
  EXPECT_FALSE(queue.has_changes());
  EXPECT_EQ(leaving(), (Ids{1, 2, 1003, 4}));
}

TEST_F(EffectQueueTest, AWelcomeWaitsForItsSessionAndWhatFollowsStaysBehindIt) {
  queue.add({opens(7), welcome(7), say(7, 1)});
  queue.add({say(7, 2)});
  EXPECT_EQ(leaving(), Ids{});
  EXPECT_EQ(queue.take_changes().size(), 1u);
  EXPECT_EQ(leaving(), Ids{}) << "being written is not written";
  queue.written();
  EXPECT_EQ(leaving(), (Ids{1007, 1, 2}));
  EXPECT_EQ(queue.waiting(), 0u);
}

// A slow disk used to slow all locks behind the opening of a session.
TEST_F(EffectQueueTest, OthersPassASessionThatOpensOrGoes) {
  queue.add({opens(7), welcome(7)});
  queue.add({drops(8), say(1, 1)});
  queue.add({Record{{Settled{}}}, Record{{DropLosses{{1}, {3}}}}, say(1, 2), refuse(2)});
  EXPECT_EQ(leaving(), (Ids{1, 2, 1002}));
}

TEST_F(EffectQueueTest, NothingPassesALossOrAnEnd) {
  for (const Effect& record : {loses(8), ends(8)}) {
    queue.add({say(1, 1), record, say(1, 2)});
    queue.add({refuse(3)});
    EXPECT_EQ(leaving(), Ids{1});
    queue.add({opens(9), welcome(9), say(2, 4)});
    write(1);
    EXPECT_EQ(leaving(), (Ids{2, 1003, 4}));
    write();
    EXPECT_EQ(leaving(), Ids{1009});
  }
}

TEST_F(EffectQueueTest, NobodyWaitsForALossOfASessionThatIsRecordedAsEnded) {
  queue.add({ends(8), loses(8), say(1, 1), loses(9), say(1, 2)});
  write(1);
  EXPECT_EQ(leaving(), Ids{1});
  queue.add({loses(8), say(2, 3)});
  EXPECT_EQ(leaving(), Ids{}) << "that of another session";
  write(2);
  EXPECT_EQ(leaving(), (Ids{2, 3}));
  queue.add({loses(8), say(1, 4)});
  EXPECT_EQ(leaving(), Ids{4});
}

TEST_F(EffectQueueTest, WhoIsBackAfterItsEndWasRecordedLosesNothingUnrecorded) {
  queue.add({ends(8), loses(8)});
  write();
  queue.add({loses(8), opens(8), welcome(8), say(1, 1)});
  EXPECT_EQ(leaving(), Ids{1});
  write(1);
  EXPECT_EQ(leaving(), Ids{}) << "its Welcome waits for its losses and for its return";
  write();
  EXPECT_EQ(leaving(), Ids{1008});
  queue.add({loses(8), say(1, 2)});
  EXPECT_EQ(leaving(), Ids{});
  write();
  EXPECT_EQ(leaving(), Ids{2});
}

TEST_F(EffectQueueTest, AWelcomeBehindALossStaysBeforeWhatFollowsIt) {
  queue.add({opens(7), welcome(7), loses(8), say(7, 1), say(2, 2)});
  write(1);
  EXPECT_EQ(leaving(), Ids{1007});
  write();
  EXPECT_EQ(leaving(), (Ids{1, 2}));
}

TEST_F(EffectQueueTest, RecordsThatComeDuringAWriteAreWrittenTogetherAfterIt) {
  queue.add({opens(7)});
  EXPECT_EQ(queue.take_changes().size(), 1u);
  queue.add({opens(8), welcome(8)});
  queue.add({opens(9), welcome(9)});
  queue.written();
  EXPECT_EQ(leaving(), Ids{});
  EXPECT_EQ(queue.take_changes().size(), 2u);
  queue.written();
  EXPECT_EQ(leaving(), (Ids{1008, 1009}));
}

TEST_F(EffectQueueTest, AnAnswerToAnAdministratorWaitsForItsSession) {
  queue.add({opens(7), Tell{ConnectionId{1}, {7}, SessionEnded{}}, say(7, 1)});
  EXPECT_EQ(leaving(), Ids{1});
  EXPECT_EQ(queue.waiting(), 1u);
  write();
  EXPECT_TRUE(queue.has_next());
}

TEST_F(EffectQueueTest, ARecordOfNothingHoldsNothingUp) {
  queue.add({Record{}, welcome(1)});
  EXPECT_FALSE(queue.has_changes());
  EXPECT_EQ(leaving(), Ids{1001});
}

}  // namespace
}  // namespace holdfast::lockd
