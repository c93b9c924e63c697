// Each limit over a socket: its name and value reach the client.
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/limit_scenes.h"
#include "tests/support/lock/raw_peer.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using support::InProcessLockd;
using support::LimitScene;
using support::LimitStep;
using support::RawPeer;

class Play {
 public:
  explicit Play(const LimitScene& scene)
      : lockd_({.adjust = [limits = scene.limits](lockd::ServerOptions& options) {
          options.coordinator.limits = limits;
        }}) {}

  /// Which limit refused it.
  std::optional<LimitMet> step(const LimitStep& step) {
    const auto [at, fresh] = peers_.try_emplace(step.session, lockd_.address());
    Client& client = at->second;
    if (fresh) {
      client.peer.send(Hello{});
      const auto answer = client.peer.receive();
      if (!answer) throw std::runtime_error("no answer to Hello");
      if (const auto* refused = std::get_if<HelloRefused>(&*answer)) return refused->limit;
    }
    if (!step.command) return std::nullopt;
    const std::uint64_t number = ++client.last_number;
    if (step.then == LimitStep::kAnswered) return limit_of(client.peer.ask(number, *step.command));
    client.peer.send(Request{{number}, {0}, *step.command});
    client.peer.send(Renew{7});
    client.peer.expect<Renewed>();  // so it is waiting by now
    return std::nullopt;
  }
  /// The step that is refused although it would wait.
  std::optional<LimitMet> last(LimitStep step) {
    step.then = LimitStep::kAnswered;
    return this->step(step);
  }

 private:
  struct Client {
    explicit Client(const wire::Address& address) : peer(address) {}
    RawPeer peer;
    std::uint64_t last_number = 0;
  };
  static std::optional<LimitMet> limit_of(const Outcome& outcome) {
    const auto* refused = std::get_if<Refused>(&outcome);
    return refused == nullptr ? std::nullopt : refused->limit;
  }
  InProcessLockd lockd_;
  std::map<std::size_t, Client> peers_;
};

TEST(LockdLimits, EachReachesTheClientByNameAndValue) {
  for (const LimitScene& scene : support::limit_scenes()) {
    SCOPED_TRACE(std::string(name_of(scene.limit)));
    ::testing::internal::CaptureStderr();
    std::optional<LimitMet> met;
    {
      Play play(scene);
      for (std::size_t i = 0; i + 1 < scene.steps.size(); ++i)
        EXPECT_FALSE(play.step(scene.steps[i])) << "step " << i;
      met = play.last(scene.steps.back());
    }
    const std::string said = ::testing::internal::GetCapturedStderr();
    const auto max = lockd::value_of(scene.limit, scene.limits);
    ASSERT_TRUE(met);
    EXPECT_EQ(*met, (LimitMet{.limit = scene.limit, .max = max}));
    const std::string line = "limit.refused limit=" + std::string(name_of(scene.limit)) +
                             " max=" + std::to_string(max) + " ";
    EXPECT_NE(said.find(line), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace holdfast
