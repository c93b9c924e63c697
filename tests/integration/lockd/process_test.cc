// The program itself: options, start errors, signals.
#include "holdfast/base/unique_fd.h"
#include "tests/support/lock/lockd_process.h"
#include "tests/support/lock/raw_peer.h"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
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
  for (const char* arguments :
       {"--bogus", "--listen ::1", "--lease-ttl 0.2", "--log-format xml", "--admin relative",
        "--config /does/not/exist", "--limit files", "--limit file=5", "--limit files=0"}) {
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.code, 2) << arguments << ": " << ran.output;
    EXPECT_FALSE(ran.output.empty());
  }
}

// Plain text over a network is nothing that happens by forgetting.
TEST(LockdProgram, PlainTextElsewhereHasToBeSaid) {
  for (const char* arguments :
       {"--admin ''", "--listen 0.0.0.0:0", "--listen '[::]:0'", "--listen '*:0'",
        "--listen 127.0.0.1:0 --listen 192.0.2.1:0", "--listen 10.0.0.1:0 --access /dev/null"}) {
    const Ran ran = run(std::string("--store memory: ") + arguments);
    EXPECT_EQ(ran.code, 2) << arguments << ": " << ran.output;
    EXPECT_NE(ran.output.find("--allow-plain"), std::string::npos) << ran.output;
  }
}

TEST(LockdProgram, HalfOfTlsIsWrongUsage) {
  for (const char* arguments :
       {"--tls-cert /x", "--tls-key /x", "--tls-ca /x", "--tls-cert /x --tls-key /y",
        "--tls-cert /does/not/exist --tls-key /x --access /dev/null"}) {
    const Ran ran = run(std::string("--store memory: --listen 127.0.0.1:0 ") + arguments);
    EXPECT_EQ(ran.code, 2) << arguments << ": " << ran.output;
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

TEST(LockdProgram, LimitsAreSetByOptionsAndLinesOfTheFile) {
  LockdProcess base;
  const std::string file = base.admin_path() + ".conf";
  std::ofstream(file) << "limit=ranges_of_session=1\nlimit=requests_of_session=64\n";
  LockdProcess lockd({"--config", file});
  RawPeer peer(lockd.address());
  EXPECT_EQ(peer.open_session().requests_in_flight_max, 64u);
  const auto byte = [](std::uint64_t at) {
    return support::lock_request(1, LockMode::kShared, Wait::kNo, *ByteRange::make(at, at + 1));
  };
  EXPECT_TRUE(std::holds_alternative<Granted>(peer.ask(1, byte(0))));
  const Outcome second = peer.ask(2, byte(5));
  ASSERT_TRUE(std::holds_alternative<Refused>(second));
  EXPECT_EQ(std::get<Refused>(second).limit,
            (LimitMet{.limit = Limit::kRangesOfSession, .max = 1}));
}

TEST(LockdProgram, TellsItsServiceManagerThatItServesLivesAndStops) {
  LockdProcess directory;  // for a place of our own
  const std::string path = directory.admin_path() + ".notify";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  path.copy(address.sun_path, path.size());
  const UniqueFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const auto hears = [&](std::string_view wanted) {  // other statements may come between
    std::array<char, 512> text{};
    for (;;) {
      const auto size = ::recv(manager.get(), text.data(), text.size(), 0);
      if (size < 0) return false;
      if (std::string_view(text.data(), static_cast<std::size_t>(size)).starts_with(wanted))
        return true;
    }
  };
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "200000", 1);
  LockdProcess lockd;
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  EXPECT_TRUE(hears("READY=1\nSTATUS=active at 127.0.0.1:"));
  EXPECT_TRUE(hears("WATCHDOG=1"));
  EXPECT_TRUE(hears("WATCHDOG=1"));
  lockd.signal(SIGTERM);
  EXPECT_TRUE(hears("STOPPING=1"));
  EXPECT_EQ(lockd.wait(), 0);
}

}  // namespace
}  // namespace holdfast
