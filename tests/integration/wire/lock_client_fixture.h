#pragma once
/// Mounts' lock clients on a driven loop, lockd on a thread of its own.
/// HOLDFAST_TEST_CACHE=tokens in the environment: the clients ask for tokens, and decide locks
/// under them.

#include "fs/lock/lock_client.h"
#include "tests/support/lock/driven_loop.h"
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/raw_peer.h"

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast {

using support::lock_request;
using support::unlock_request;

enum class Tokens { kNo, kYes };
inline Tokens tokens_of_test() {
  const char* const cache = std::getenv("HOLDFAST_TEST_CACHE");
  return cache != nullptr && std::string_view(cache) == "tokens" ? Tokens::kYes : Tokens::kNo;
}

/// A started client that writes down what its listener hears.
class TestMount {
 public:
  TestMount(support::DrivenLoop& loop, const wire::Address& address,
            Tokens tokens = tokens_of_test())
      : TestMount(loop, std::vector<wire::Address>{address}, tokens) {}
  TestMount(support::DrivenLoop& loop, std::vector<wire::Address> addresses,
            Tokens tokens = tokens_of_test())
      : loop_(loop) {
    fs::LockClientOptions options;
    options.addresses = std::move(addresses);
    options.node = "test";
    if (tokens == Tokens::kYes) options.tokens = fs::TokenLimits{};
    client = std::make_unique<fs::LockClient>(loop.executor(), options);
    client->listen(
        {.suspended = [this] { heard.emplace_back("suspended"); },
         .resumed = [this] { heard.emplace_back("resumed"); },
         .lost =
             [this](const fs::Loss& loss) {
               heard.emplace_back(loss.everything ? "lost" : "files lost");
               entitled_at_loss = client->entitled();
             },
         .tokens_lost =
             [this](const std::vector<FileKey>&) { heard.emplace_back("tokens lost"); }});
    const auto started = loop.run(client->start());
    if (!started) throw std::runtime_error(started.error().what);
  }
  ~TestMount() { loop_.run(client->stop()); }
  TestMount(const TestMount&) = delete;
  TestMount& operator=(const TestMount&) = delete;

  std::future<Result<Granted>> lock(std::uint64_t owner, LockMode mode, Wait wait = Wait::kNo,
                                    task::Interrupt* interrupt = nullptr) {
    return loop_.begin(client->lock(lock_request(owner, mode, wait), interrupt));
  }
  std::future<Result<void>> unlock(std::uint64_t owner) {
    return loop_.begin(client->unlock(unlock_request(owner)));
  }

  std::unique_ptr<fs::LockClient> client;
  std::vector<std::string> heard;
  bool entitled_at_loss = false;

 private:
  support::DrivenLoop& loop_;
};

}  // namespace holdfast
