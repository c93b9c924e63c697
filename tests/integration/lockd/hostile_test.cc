// Every kind of attacker of `holdfast bench lockd hostile`, four at once, on a real holdfast-lockd,
// while mounts' lock clients go on.
#include "cli/bench/attack.h"
#include "cli/bench/process_load.h"
#include "tests/integration/wire/lock_client_fixture.h"
#include "tests/support/lock/lockd_process.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <numeric>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using bench::Attack;
using support::DrivenLoop;
using support::LockdProcess;

constexpr std::size_t kMounts = 4;
constexpr auto kPatience = 100s;
constexpr std::size_t kAtOnce = 4;     // attackers; more would starve lockd of processors
constexpr std::uint64_t kRounds = 20;  // of each mount beside each four of them
// Two crowds of attackers of 1,000 each, and some: no descriptor stays behind a closed connection.
constexpr std::size_t kDescriptorsMore = 2'000 + 300;
// 16 that do not read at 4 MiB each, the tables that attackers fill in the time, and the crowd.
constexpr std::uint64_t kMemoryMore = std::uint64_t{400} << 20;
constexpr double kLinesPerSecond = 2 * 100 + 4 * 10;  // what is limited, with some room

/// What the mounts do: lock a byte everybody wants, and see whether they are alone.
struct Work {
  bool stop = false;
  bool held = false;
  std::uint64_t increments = 0;  // of a counter that only the lock protects
  std::vector<std::uint64_t> rounds = std::vector<std::uint64_t>(kMounts);
  std::vector<std::string> wrong;
};

boost::asio::awaitable<void> lock_and_unlock(fs::LockClient& client, std::size_t mount,
                                             Work& work) {
  boost::asio::steady_timer pause(co_await boost::asio::this_coro::executor);
  while (!work.stop) {
    const LockRequest wanted = lock_request(1, LockMode::kExclusive, Wait::kYes);
    const auto granted = co_await client.lock(wanted, nullptr);
    if (!granted) {
      work.wrong.push_back("lock: " + granted.error().message());
      co_return;
    }
    if (std::exchange(work.held, true)) work.wrong.push_back("two hold the lock");
    const std::uint64_t seen = work.increments;
    pause.expires_after(1ms);
    co_await pause.async_wait(boost::asio::use_awaitable);
    work.increments = seen + 1;
    work.held = false;
    const UnlockRequest free = unlock_request(1);
    const auto done = co_await client.unlock(free);
    if (!done) {
      work.wrong.push_back("unlock: " + done.error().message());
      co_return;
    }
    ++work.rounds[mount];
  }
}

template <class List, class Question>
std::optional<List> ask_admin(const LockdProcess& lockd) {
  support::RawPeer admin(wire::UnixAddress{lockd.admin_path()});
  admin.send(Question{});
  auto answer = admin.receive();
  auto* list = answer ? std::get_if<List>(&*answer) : nullptr;
  if (list == nullptr) return std::nullopt;
  return std::move(*list);
}

std::string log_of(const LockdProcess& lockd) {
  std::ostringstream text;
  text << std::ifstream(lockd.log_path()).rdbuf();
  return text.str();
}

class HostileClients : public ::testing::Test {
 protected:
  HostileClients() {
    for (std::size_t i = 0; i < kMounts; ++i)
      mounts.push_back(std::make_unique<TestMount>(loop, lockd.address()));
    for (std::size_t i = 0; i < kMounts; ++i)
      workers.push_back(loop.begin(lock_and_unlock(*mounts[i]->client, i, work)));
  }
  ~HostileClients() override {
    work.stop = true;
    for (auto& worker : workers)
      loop.finish(std::move(worker));
  }

  /// As DrivenLoop::until(), with patience for a machine on which attackers are not alone.
  void until(const std::function<bool()>& done) {
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > give_up) throw std::runtime_error("nothing happened");
      loop.drive(5ms);
    }
  }
  /// On a thread of its own: the mounts must renew meanwhile.
  template <class List, class Question>
  std::optional<List> ask() {
    auto answer =
        std::async(std::launch::async, [this] { return ask_admin<List, Question>(lockd); });
    until([&] { return DrivenLoop::ready(answer); });
    return answer.get();
  }
  void a_round_more(std::uint64_t rounds) {
    const std::vector<std::uint64_t> before = work.rounds;
    until([&] {
      bool all = true;
      for (std::size_t i = 0; i < kMounts; ++i)
        all = all && work.rounds[i] >= before[i] + rounds;
      return all || !work.wrong.empty();
    });
  }
  [[nodiscard]] std::size_t descriptors() const {
    return bench::open_descriptors(lockd.pid()).value_or(0);
  }
  [[nodiscard]] std::uint64_t memory() const {
    return bench::resident_size(lockd.pid()).value_or(0);
  }
  void all_is_well() {
    EXPECT_TRUE(work.wrong.empty()) << work.wrong.front();
    const std::uint64_t sum = std::accumulate(work.rounds.begin(), work.rounds.end(), 0UL);
    // A round that is under way may have incremented already.
    EXPECT_GE(work.increments, sum);
    EXPECT_LE(work.increments, sum + kMounts);
    for (const auto& mount : mounts)
      for (const std::string& heard : mount->heard)
        EXPECT_TRUE(heard == "suspended" || heard == "resumed") << heard;
  }

  // Leases long enough for a busy machine, and short enough to see attackers' sessions end.
  LockdProcess lockd{{"--lease-ttl", "8", "--storage-delay", "0", "--courtesy-max", "1"}};
  DrivenLoop loop;
  std::vector<std::unique_ptr<TestMount>> mounts;
  Work work;
  std::vector<std::future<void>> workers;
};

TEST_F(HostileClients, HarmNobodyAndLeaveNothingBehind) {
  a_round_more(5);
  const std::size_t descriptors_before = descriptors();
  const std::uint64_t memory_before = memory();
  std::size_t most_descriptors = 0;
  std::uint64_t most_memory = 0;
  const auto begun = std::chrono::steady_clock::now();
  const auto kinds = bench::attack_kinds().subspan(1);
  for (std::size_t first = 0; first < kinds.size(); first += kAtOnce) {
    std::vector<std::unique_ptr<Attack>> attacks;
    for (std::size_t i = first; i < std::min(first + kAtOnce, kinds.size()); ++i)
      attacks.push_back(std::make_unique<Attack>(
          kinds[i], std::get<wire::TcpAddress>(lockd.address()), std::nullopt));
    // Everybody has had a chance: each attacker did something, each mount its rounds.
    const std::vector<std::uint64_t> rounds = work.rounds;
    until([&] {
      most_descriptors = std::max(most_descriptors, descriptors());
      most_memory = std::max(most_memory, memory());
      bool all = std::all_of(attacks.begin(), attacks.end(),
                             [](const auto& attack) { return attack->done() > 0; });
      for (std::size_t i = 0; i < kMounts; ++i)
        all = all && work.rounds[i] >= rounds[i] + kRounds;
      return all || !work.wrong.empty();
    });
    const auto sessions = ask<SessionList, ListSessions>();
    ASSERT_TRUE(sessions) << "no listing beside attackers";
    EXPECT_TRUE(sessions->truncated || sessions->sessions.size() >= kMounts);
    EXPECT_TRUE((ask<LockList, ListLocks>()));
    for (const auto& attack : attacks)
      EXPECT_TRUE(attack->running());
  }
  all_is_well();
  EXPECT_LE(most_descriptors, descriptors_before + kDescriptorsMore);
  EXPECT_LE(most_memory, memory_before + kMemoryMore);

  // O7: with their leases everything of theirs goes.
  std::size_t left = 0;
  until([&] {
    const auto sessions = ask<SessionList, ListSessions>();
    left = sessions ? sessions->sessions.size() : 0;
    return left == kMounts && descriptors() <= descriptors_before;
  });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const auto locks = ask<LockList, ListLocks>();
  ASSERT_TRUE(locks);
  for (const LockInfo& lock : locks->locks)
    EXPECT_EQ(lock.file, lock_request(1, LockMode::kExclusive).file);
  a_round_more(5);
  all_is_well();

  const std::string log = log_of(lockd);
  EXPECT_EQ(log.find(" error "), std::string::npos) << log.substr(log.find(" error "), 300);
  EXPECT_LE(static_cast<double>(std::count(log.begin(), log.end(), '\n')),
            (seconds + 5) * kLinesPerSecond)
      << "attackers fill the log";
}

}  // namespace
}  // namespace holdfast
