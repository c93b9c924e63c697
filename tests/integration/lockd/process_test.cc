// The program itself: options, start errors, signals.
#include "tests/support/lock/lockd_process.h"
#include "tests/support/lock/raw_peer.h"

#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/wait.h>

namespace holdfast {
namespace {

using support::lock_request;
using support::LockdProcess;
using support::RawPeer;

struct Ran {
  int code;
  std::string output;
};

Ran run(const std::string& arguments) {
  const std::string command = std::string(HOLDFAST_LOCKD_PATH) + " " + arguments + " 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  std::string output;
  std::array<char, 4096> chunk{};
  while (const std::size_t size = std::fread(chunk.data(), 1, chunk.size(), pipe)) {
    output.append(chunk.data(), size);
  }
  return {WEXITSTATUS(::pclose(pipe)), output};
}

TEST(LockdProgram, HelpAndVersionExitWithZero) {
  EXPECT_EQ(run("--help").code, 0);
  EXPECT_NE(run("--help").output.find("Exit codes"), std::string::npos);
  EXPECT_EQ(run("--version").code, 0);
  EXPECT_TRUE(run("--version").output.starts_with("holdfast-lockd "));
}

TEST(LockdProgram, WrongUsageExitsWithTwoAndSaysWhat) {
  for (const char* arguments : {"--bogus", "--listen ::1", "--lease-ttl 0.2", "--log-format xml",
                                "--admin relative", "--config /does/not/exist"}) {
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.code, 2) << arguments << ": " << ran.output;
    EXPECT_FALSE(ran.output.empty());
  }
}

TEST(LockdProgram, AnAddressInUseIsOneLineAndAHint) {
  LockdProcess first;
  const Ran ran = run("--admin '' --listen " + wire::to_string(first.address()));
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.output.find("cannot listen on 127.0.0.1:"), std::string::npos);
  EXPECT_NE(ran.output.find("hint: another holdfast-lockd"), std::string::npos);
}

TEST(LockdProgram, TermStopsCleanlyAndANewLifeTakesTheSameAddress) {
  LockdProcess lockd;
  RawPeer peer(lockd.address());
  peer.open_session();
  peer.ask(1, lock_request(1, LockMode::kExclusive));
  lockd.signal(SIGTERM);
  const int status = lockd.wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_FALSE(peer.receive()) << "no SessionEnded: a stop releases nothing";
  const auto before = lockd.address();
  lockd.start();
  EXPECT_EQ(lockd.address(), before);
}

TEST(LockdProgram, ReadsAFileOfSettings) {
  LockdProcess base;
  const std::string file = base.admin_path() + ".conf";
  std::ofstream(file) << "lease-ttl=3\nlog-format=json\n";
  LockdProcess lockd({"--config", file});
  RawPeer peer(lockd.address());
  EXPECT_EQ(peer.open_session().lease_ttl, std::chrono::seconds(3));
  std::ostringstream log;
  log << std::ifstream(lockd.log_path()).rdbuf();
  EXPECT_TRUE(log.str().starts_with("{\"time\"")) << log.str();
}

}  // namespace
}  // namespace holdfast
