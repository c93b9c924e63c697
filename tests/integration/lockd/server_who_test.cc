// Who has a lock, asked of a real lockd that asks the mounts.
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/raw_peer.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using support::InProcessLockd;
using support::lock_request;
using support::RawPeer;

Hello hello_of(const std::string& node, bool tells, std::uint8_t volume = 1) {
  Hello hello;
  hello.volume[0] = volume;
  hello.node = node;
  hello.tells_who = tells;
  return hello;
}

// A mount of volume 1 that holds file 1.
Welcome open_holder(RawPeer& peer, bool tells) {
  peer.send(hello_of("holder", tells));
  const auto welcome = peer.expect<Welcome>();
  LockRequest request = lock_request(1, LockMode::kExclusive);
  request.pid = 42;
  peer.ask(1, request);
  return welcome;
}

const WhoMount* mount_of(const WhoAnswer& answer, const std::string& node) {
  for (const WhoMount& mount : answer.mounts)
    if (mount.session.node == node) return &mount;
  return nullptr;
}

TEST(ServerWho, RelaysWhatTheHoldersMountTells) {
  InProcessLockd lockd;
  RawPeer holder(lockd.address());
  RawPeer asker(lockd.address());
  open_holder(holder, true);
  asker.send(hello_of("asker", false));
  EXPECT_TRUE(asker.expect<Welcome>().answers_who);
  asker.send(AskWho{.question = 7, .fileid = 1});
  const auto asked = holder.expect<TellWho>();
  EXPECT_EQ(asked.fileid, 1U);
  ToldLock told;
  told.owner = {1};
  told.pid = 42;
  told.process.name = "vaultwarden";
  holder.send(ToldWho{.question = asked.question, .locks = {told}, .more = true});
  told.here = true;
  holder.send(ToldWho{.question = asked.question, .locks = {told}});
  const auto answer = asker.expect<WhoAnswer>();
  EXPECT_EQ(answer.question, 7U);
  EXPECT_TRUE(answer.from_lockd);
  ASSERT_EQ(answer.locks.size(), 1U);
  EXPECT_EQ(answer.locks[0].pid, 42U);
  const WhoMount* mount = mount_of(answer, "holder");
  ASSERT_NE(mount, nullptr);
  EXPECT_TRUE(mount->told);
  ASSERT_EQ(mount->locks.size(), 2U);
  EXPECT_EQ(mount->locks[0].process.name, "vaultwarden");
}

TEST(ServerWho, DoesNotWaitForEverForAMountThatDoesNotTell) {
  InProcessLockd lockd;
  RawPeer silent(lockd.address());
  RawPeer gone(lockd.address());
  RawPeer asker(lockd.address());
  open_holder(silent, true);
  asker.send(hello_of("asker", false));
  asker.expect<Welcome>();
  asker.send(AskWho{.question = 1, .fileid = 1});
  const auto answer = asker.expect<WhoAnswer>();
  EXPECT_EQ(answer.locks.size(), 1U);
  ASSERT_NE(mount_of(answer, "holder"), nullptr);
  EXPECT_FALSE(mount_of(answer, "holder")->told);
}

TEST(ServerWho, AnOlderMountIsNotAsked) {
  InProcessLockd lockd;
  RawPeer older(lockd.address());
  RawPeer asker(lockd.address());
  open_holder(older, false);
  asker.send(hello_of("asker", false));
  asker.expect<Welcome>();
  asker.send(AskWho{.question = 1, .fileid = 1});
  EXPECT_EQ(asker.expect<WhoAnswer>().locks.size(), 1U);
  EXPECT_FALSE(older.receive(std::chrono::milliseconds(200))) << "it would end its connection";
}

TEST(ServerWho, TellsNothingOfOtherVolumesAndNothingToStrangers) {
  InProcessLockd lockd;
  RawPeer holder(lockd.address());
  RawPeer foreign(lockd.address());
  RawPeer stranger(lockd.address());
  open_holder(holder, true);
  foreign.send(hello_of("foreign", false, 2));
  foreign.expect<Welcome>();
  foreign.send(AskWho{.question = 1, .fileid = 1});
  const auto answer = foreign.expect<WhoAnswer>();
  EXPECT_TRUE(answer.locks.empty());
  EXPECT_EQ(mount_of(answer, "holder"), nullptr);
  stranger.send(AskWho{.question = 1, .fileid = 1});
  EXPECT_TRUE(stranger.closed_by_lockd());
  // What nobody asked for is ignored, and harms nobody.
  foreign.send(ToldWho{.question = 99, .locks = {{}}});
  foreign.send(AskWho{.question = 2, .fileid = 1});
  EXPECT_EQ(foreign.expect<WhoAnswer>().question, 2U);
  RawPeer admin(lockd.admin_address());
  admin.send(AskWho{.question = 3, .fileid = 1});
  EXPECT_EQ(admin.expect<WhoAnswer>().locks.size(), 1U);
}

}  // namespace
}  // namespace holdfast
