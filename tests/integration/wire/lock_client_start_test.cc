// What a mount command hears when lockd cannot be had.
#include "tests/integration/wire/lock_client_fixture.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using support::DrivenLoop;
using support::InProcessLockd;

wire::Address nobody() {
  boost::asio::io_context loop;
  boost::asio::ip::tcp::acceptor taken(
      loop, {boost::asio::ip::make_address("127.0.0.1"), 0});  // free again when we leave
  return wire::TcpAddress{"127.0.0.1", taken.local_endpoint().port()};
}

TEST(LockClientStart, AnUnreachableLockdIsOneLineAndAHint) {
  DrivenLoop loop;
  fs::LockClientOptions options;
  options.addresses = {nobody()};
  fs::LockClient client(loop.executor(), options);
  const auto started = loop.run(client.start());
  ASSERT_FALSE(started);
  EXPECT_EQ(to_errno(started.error().code), ECONNREFUSED);
  EXPECT_NE(started.error().what.find("cannot reach lockd at 127.0.0.1:"), std::string::npos);
  EXPECT_FALSE(started.error().hint.empty());
}

TEST(LockClientStart, PatienceWaitsForALockdThatComesLater) {
  InProcessLockd lockd;
  const auto address = lockd.address();
  lockd.kill();
  DrivenLoop loop;
  fs::LockClientOptions options;
  options.addresses = {address};
  options.start_patience = 30s;
  fs::LockClient client(loop.executor(), options);
  auto starting = loop.begin(client.start());
  loop.drive(150ms);
  EXPECT_FALSE(DrivenLoop::ready(starting));
  lockd.start();
  EXPECT_TRUE(loop.finish(std::move(starting)));
  loop.run(client.stop());
}

TEST(LockClientStart, ARefusalNamesItsReason) {
  InProcessLockd lockd({.lease_ttl = 10s, .adjust = [](auto& options) {
                          options.coordinator.limits.sessions_max = 0;
                        }});
  DrivenLoop loop;
  fs::LockClientOptions options;
  options.addresses = {lockd.address()};
  fs::LockClient client(loop.executor(), options);
  const auto started = loop.run(client.start());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, LockErrc::kTooManySessions);
  EXPECT_NE(started.error().what.find("refused this mount"), std::string::npos);
}

TEST(LockClientStart, SomethingElseOnThePortIsNotLockd) {
  DrivenLoop loop;
  boost::asio::ip::tcp::acceptor web(loop.context(),
                                     {boost::asio::ip::make_address("127.0.0.1"), 0});
  const auto served = loop.begin([](auto& acceptor) -> boost::asio::awaitable<void> {
    auto socket = co_await acceptor.async_accept(boost::asio::use_awaitable);
    const std::string answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
    co_await socket.async_send(boost::asio::buffer(answer), boost::asio::use_awaitable);
  }(web));
  fs::LockClientOptions options;
  options.addresses = {wire::TcpAddress{"127.0.0.1", web.local_endpoint().port()}};
  fs::LockClient client(loop.executor(), options);
  const auto started = loop.run(client.start());
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().what.find("does not answer as lockd"), std::string::npos);
}

// Answers each Hello on `acceptor` with a refusal, for ever.
boost::asio::awaitable<void> refuse_all(boost::asio::ip::tcp::acceptor& acceptor, LockErrc errc) {
  wire::Codec codec;
  std::string answer;
  HelloRefused refused;
  refused.errc = errc;
  if (!codec.append_frame(answer, ServerMessage(refused))) co_return;
  for (;;) {
    auto socket = co_await acceptor.async_accept(boost::asio::use_awaitable);
    char byte = 0;
    co_await socket.async_receive(boost::asio::buffer(&byte, 1), boost::asio::use_awaitable);
    co_await socket.async_send(boost::asio::buffer(answer), boost::asio::use_awaitable);
  }
}

struct Refuser {
  Refuser(DrivenLoop& loop, LockErrc errc)
      : acceptor(loop.context(), {boost::asio::ip::make_address("127.0.0.1"), 0}),
        served(loop.begin(refuse_all(acceptor, errc))) {}
  [[nodiscard]] wire::Address address() const {
    return wire::TcpAddress{"127.0.0.1", acceptor.local_endpoint().port()};
  }
  boost::asio::ip::tcp::acceptor acceptor;
  std::future<void> served;
};

TEST(LockClientStart, GoesOnToTheNextAddressUntilOneIsTheActiveLockd) {
  DrivenLoop loop;
  Refuser standby(loop, LockErrc::kStandby);
  Refuser stale(loop, LockErrc::kStaleLockd);
  InProcessLockd lockd;
  fs::LockClientOptions options;
  options.addresses = {nobody(), standby.address(), stale.address(), lockd.address()};
  options.backoff_min = options.backoff_max = 60s;  // the first round must do
  fs::LockClient client(loop.executor(), options);
  ASSERT_TRUE(loop.run(client.start()));
  EXPECT_TRUE(client.entitled());
  loop.run(client.stop());
}

TEST(LockClientStart, ALockdWithAnOldStoreIsToldClearly) {
  DrivenLoop loop;
  Refuser stale(loop, LockErrc::kStaleLockd);
  fs::LockClientOptions options;
  options.addresses = {stale.address()};
  fs::LockClient client(loop.executor(), options);
  const auto started = loop.run(client.start());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, make_error_code(LockErrc::kStaleLockd));
  EXPECT_NE(started.error().what.find("serves nobody"), std::string::npos);
  EXPECT_FALSE(started.error().hint.empty());
}

}  // namespace
}  // namespace holdfast
