// A listener that asks for something when it hears of a loss, against a lockd that a test plays.
#include "holdfast/wire/codec.h"
#include "holdfast/wire/frame.h"
#include "tests/integration/wire/lock_client_fixture.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace holdfast {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using support::DrivenLoop;

/// One connection of a lockd that answers nothing by itself.
class PlayedLockd {
 public:
  explicit PlayedLockd(tcp::socket socket) : socket_(std::move(socket)) {}

  asio::awaitable<ClientMessage> receive() {
    for (;;) {
      const auto body = incoming_.next();
      if (body && *body) {
        auto message = codec_.decode_client(**body);
        if (!message) throw std::runtime_error("malformed");
        co_return *std::move(message);
      }
      const auto room = incoming_.prepare();
      const auto buffer = asio::buffer(room.data(), room.size());
      const std::size_t count = co_await socket_.async_receive(buffer, asio::use_awaitable);
      incoming_.commit(count);
    }
  }
  asio::awaitable<Request> receive_request() {
    for (;;) {
      const ClientMessage message = co_await receive();
      if (const auto* request = std::get_if<Request>(&message)) co_return *request;
    }
  }
  asio::awaitable<void> greet(const Welcome& welcome) {
    (void)co_await receive();  // Hello
    std::string bytes;
    (void)codec_.append_frame(bytes, ServerMessage(welcome));
    co_await socket_.async_send(asio::buffer(bytes), asio::use_awaitable);
  }

 private:
  tcp::socket socket_;
  wire::Codec codec_;
  wire::FrameBuffer incoming_;
};

/// The session begins, a request arrives, the connection is lost; on the next one lockd says that
/// file 2 was lost. Gives the numbers of the requests that arrive then.
asio::awaitable<std::vector<std::uint64_t>> play(tcp::acceptor& acceptor) {
  Welcome welcome;
  welcome.session = SessionId{1};
  welcome.epoch = Epoch{1};
  welcome.requests_in_flight_max = 100;
  {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    PlayedLockd lockd(std::move(socket));
    co_await lockd.greet(welcome);
    (void)co_await lockd.receive_request();
  }
  welcome.losses = {FileLoss{.number = LossNumber{1}, .file = FileKey{2, 0}}};
  tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
  PlayedLockd lockd(std::move(socket));
  co_await lockd.greet(welcome);
  std::vector<std::uint64_t> numbers;
  while (numbers.size() < 2) {
    const Request request = co_await lockd.receive_request();
    numbers.push_back(request.number.value);
  }
  co_return numbers;
}

// lockd refuses a number that comes too early, and then every later one.
TEST(LockClientLoss, WhatTheListenerAsksForFollowsWhatIsSentAgain) {
  DrivenLoop loop;
  tcp::acceptor acceptor(loop.context(), {asio::ip::make_address("127.0.0.1"), 0});
  auto played = loop.begin(play(acceptor));
  TestMount mount(loop, wire::TcpAddress{"127.0.0.1", acceptor.local_endpoint().port()});
  std::optional<std::future<Result<void>>> release;
  mount.client->listen({.suspended = [] {},
                        .resumed = [] {},
                        .lost =
                            [&](const fs::Loss&) {
                              ReleaseHandleRequest request;
                              request.file = FileKey{2, 0};
                              release = loop.begin(mount.client->release_handle(request));
                            }});
  const auto waiting = mount.lock(1, LockMode::kExclusive, Wait::kYes);
  EXPECT_EQ(loop.finish(std::move(played)), (std::vector<std::uint64_t>{1, 2}));
}

}  // namespace
}  // namespace holdfast
