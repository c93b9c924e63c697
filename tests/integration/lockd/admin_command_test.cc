// holdfast locks and holdfast sessions, as functions, against a real lockd.
#include "cli/admin/admin.h"
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/raw_peer.h"

#include <sstream>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using cli::AdminOptions;
using support::InProcessLockd;
using support::lock_request;
using support::RawPeer;

TEST(AdminCommand, ShowsLocksAndSessionsOfALockd) {
  InProcessLockd lockd;
  RawPeer peer(lockd.address());
  Hello hello;
  hello.node = "node-a";
  peer.send(hello);
  peer.expect<Welcome>();
  LockRequest request =
      lock_request(1, LockMode::kExclusive, Wait::kNo, *ByteRange::make(0x40000001, 0x40000002));
  request.pid = 42;
  peer.ask(1, request);
  std::ostringstream out;
  std::ostringstream errors;
  EXPECT_EQ(cli::run_locks({.sockets = {lockd.admin_path()}, .json = false}, out, errors), 0);
  EXPECT_NE(out.str().find("node-a  42   held"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("RESERVED"), std::string::npos);
  out.str({});
  EXPECT_EQ(cli::run_sessions({.sockets = {lockd.admin_path()}, .json = true}, out, errors), 0);
  EXPECT_NE(out.str().find("\"connected\":true"), std::string::npos) << out.str();
  EXPECT_EQ(errors.str(), "");
}

TEST(AdminCommand, SaysWhichLockdDoesNotAnswerAndShowsTheOthers) {
  InProcessLockd lockd;
  const AdminOptions options{.sockets = {"/does/not/exist", lockd.admin_path()}, .json = false};
  std::ostringstream out;
  std::ostringstream errors;
  EXPECT_EQ(cli::run_locks(options, out, errors), 0);
  EXPECT_EQ(out.str(), "no locks\n");
  EXPECT_NE(errors.str().find("cannot ask lockd at /does/not/exist: No such file"),
            std::string::npos)
      << errors.str();
  EXPECT_EQ(cli::run_locks({.sockets = {"/does/not/exist"}, .json = false}, out, errors), 1);
}

}  // namespace
}  // namespace holdfast
