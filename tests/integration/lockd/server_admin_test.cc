// Listings: on the admin socket only, which only its owner may open.
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/raw_peer.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using support::InProcessLockd;
using support::lock_request;
using support::RawPeer;
using support::unlock_request;

TEST(LockdAdmin, ListsWhoHoldsAndWhoWaits) {
  InProcessLockd lockd;
  RawPeer one(lockd.address());
  Hello hello;
  hello.node = "node-a";
  hello.mountpoint = "/mnt";
  one.send(hello);
  const auto welcome = one.expect<Welcome>();
  LockRequest request = lock_request(1, LockMode::kExclusive);
  request.pid = 42;
  one.ask(1, request);
  one.send(Request{{2}, {0}, lock_request(2, LockMode::kShared, Wait::kYes)});
  one.expect<Queued>();

  RawPeer admin(lockd.admin_address());
  admin.send(ListSessions{});
  const auto sessions = admin.expect<SessionList>();
  ASSERT_EQ(sessions.sessions.size(), 1u);
  EXPECT_EQ(sessions.sessions[0].session, welcome.session);
  EXPECT_EQ(sessions.sessions[0].node, "node-a");
  EXPECT_TRUE(sessions.sessions[0].connected);
  EXPECT_EQ(sessions.sessions[0].locks, 1u);
  EXPECT_EQ(sessions.sessions[0].waiters, 1u);
  admin.send(ListLocks{});
  const auto locks = admin.expect<LockList>();
  ASSERT_EQ(locks.locks.size(), 2u);
  const auto is_held = locks.locks[0].state == LockState::kHeld;  // the order is lockd's
  const LockInfo& held = locks.locks[is_held ? 0 : 1];
  const LockInfo& waiting = locks.locks[is_held ? 1 : 0];
  EXPECT_EQ(held.state, LockState::kHeld);
  EXPECT_EQ(held.pid, 42u);
  EXPECT_EQ(waiting.state, LockState::kWaiting);
  EXPECT_EQ(waiting.owner, OwnerId{2});
}

TEST(LockdAdmin, TheSocketBelongsToItsOwnerAndGoesWithTheServer) {
  InProcessLockd lockd;
  struct stat status {};
  ASSERT_EQ(::stat(lockd.admin_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  lockd.kill();
  EXPECT_NE(::stat(lockd.admin_path().c_str(), &status), 0);
}

TEST(LockdAdmin, TakesSessionsToo) {
  InProcessLockd lockd({.lease_ttl = 10s, .adjust = [](auto& options) {
                          options.listen.clear();  // as a mount with lockd=embedded
                        }});
  RawPeer peer(lockd.admin_address());
  peer.open_session();
  EXPECT_TRUE(std::holds_alternative<Granted>(peer.ask(1, lock_request(1, LockMode::kShared))));
}

TEST(LockdAdmin, AListTooLongForAFrameIsCutAndSaysSo) {
  InProcessLockd lockd;
  RawPeer peer(lockd.address());
  Hello hello;
  hello.node = std::string(4000, 'n');
  hello.volume_name = std::string(4000, 'v');
  peer.send(hello);
  peer.expect<Welcome>();
  for (std::uint64_t i = 1; i <= 300; ++i) {
    peer.ask(i, lock_request(1, LockMode::kShared, Wait::kNo, *ByteRange::make(2 * i, 2 * i + 1)));
  }
  RawPeer admin(lockd.admin_address());
  admin.send(ListLocks{});
  const auto list = admin.expect<LockList>();
  EXPECT_TRUE(list.truncated);
  EXPECT_GT(list.locks.size(), 50u);
}

TEST(LockdAdmin, ASocketLeftBehindIsReplacedOneInUseIsNot) {
  InProcessLockd lockd;
  boost::asio::io_context loop;
  const auto second = wire::Acceptor::open(loop.get_executor(), lockd.admin_address(), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(to_errno(second.error()), EADDRINUSE);
  const std::string left = lockd.admin_path() + ".left";
  {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    left.copy(name.sun_path, sizeof name.sun_path - 1);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  }
  EXPECT_TRUE(wire::Acceptor::open(loop.get_executor(), wire::UnixAddress{left}, {}));
}

}  // namespace
}  // namespace holdfast
