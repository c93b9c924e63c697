/// A longer network: relays TCP connections and delays everything that passes through.
///
///   delay_proxy RTT_US LISTEN_ADDRESS TO_ADDRESS PORT...
///
/// Each direction is late by half of RTT_US (microseconds). Nothing else is limited: what comes
/// while something waits is queued with a time of its own, so a stream keeps its throughput. Ends
/// with SIGTERM. It prints "ready" once it listens.
///
/// The proxy itself takes some tens of microseconds too: compare with a run at RTT_US = 0.

#include "holdfast/task/event.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
/// More than the bandwidth-delay product of anything measured here.
constexpr std::size_t kQueuedMax = 64 << 20;
constexpr std::size_t kChunk = 256 << 10;

struct Both {
  Both(tcp::socket a, tcp::socket b) : client(std::move(a)), server(std::move(b)) {
    boost::system::error_code ignored;
    client.set_option(tcp::no_delay(true), ignored);
    server.set_option(tcp::no_delay(true), ignored);
  }
  void close() {
    boost::system::error_code ignored;
    client.close(ignored);
    server.close(ignored);
  }
  tcp::socket client;
  tcp::socket server;
};

/// One direction of a connection.
class Way {
 public:
  Way(std::shared_ptr<Both> both, tcp::socket& from, tcp::socket& to, Clock::duration delay)
      : both_(std::move(both)),
        from_(from),
        to_(to),
        delay_(delay),
        changed_(from.get_executor()),
        timer_(from.get_executor()) {}

  static void start(const std::shared_ptr<Way>& way) {
    const auto executor = way->from_.get_executor();
    asio::co_spawn(executor, take(way), asio::detached);
    asio::co_spawn(executor, give(way), asio::detached);
  }

 private:
  struct Chunk {
    Clock::time_point due;
    std::vector<char> bytes;  // empty: the sender has closed its side
  };

  static asio::awaitable<void> take(std::shared_ptr<Way> way) {
    std::vector<char> buffer(kChunk);
    for (;;) {
      while (way->queued_ > kQueuedMax) {
        way->changed_.clear();
        co_await way->changed_.wait();
      }
      const auto [failed, count] =
          co_await way->from_.async_read_some(asio::buffer(buffer), kTuple);
      const std::size_t size = failed ? 0 : count;
      way->queued_ += size;
      const auto end = buffer.begin() + static_cast<std::ptrdiff_t>(size);
      way->queue_.push_back({Clock::now() + way->delay_, {buffer.begin(), end}});
      way->changed_.set();
      if (failed) co_return;
    }
  }

  static asio::awaitable<void> give(std::shared_ptr<Way> way) {
    for (;;) {
      while (way->queue_.empty()) {
        way->changed_.clear();
        co_await way->changed_.wait();
      }
      const Chunk chunk = std::move(way->queue_.front());
      way->queue_.pop_front();
      if (chunk.due > Clock::now()) {
        way->timer_.expires_at(chunk.due);
        co_await way->timer_.async_wait(kTuple);
      }
      boost::system::error_code ignored;
      if (chunk.bytes.empty()) {
        way->to_.shutdown(tcp::socket::shutdown_send, ignored);
        co_return;
      }
      const auto [failed, count] =
          co_await asio::async_write(way->to_, asio::buffer(chunk.bytes), kTuple);
      if (failed) {
        way->both_->close();
        way->queued_ = 0;
        way->changed_.set();
        co_return;
      }
      way->queued_ -= count;
      way->changed_.set();
    }
  }

  std::shared_ptr<Both> both_;
  tcp::socket& from_;
  tcp::socket& to_;
  Clock::duration delay_;
  std::deque<Chunk> queue_;
  std::size_t queued_ = 0;
  holdfast::task::Event changed_;
  asio::steady_timer timer_;
};

asio::awaitable<void> connect(tcp::socket client, tcp::endpoint to, Clock::duration delay) {
  tcp::socket server(client.get_executor());
  const auto [failed] = co_await server.async_connect(to, kTuple);
  if (failed) co_return;  // the client sees that its connection ends
  auto both = std::make_shared<Both>(std::move(client), std::move(server));
  Way::start(std::make_shared<Way>(both, both->client, both->server, delay));
  Way::start(std::make_shared<Way>(both, both->server, both->client, delay));
}

asio::awaitable<void> listen(tcp::acceptor acceptor, tcp::endpoint to, Clock::duration delay) {
  for (;;) {
    auto [failed, client] = co_await acceptor.async_accept(kTuple);
    if (failed) continue;
    asio::co_spawn(acceptor.get_executor(), connect(std::move(client), to, delay), asio::detached);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 5) {
    std::fprintf(stderr, "usage: delay_proxy RTT_US LISTEN_ADDRESS TO_ADDRESS PORT...\n");
    return 2;
  }
  const auto delay = std::chrono::nanoseconds(std::atoll(argv[1]) * 1000 / 2);
  const auto here = asio::ip::make_address(argv[2]);
  const auto there = asio::ip::make_address(argv[3]);
  asio::io_context io(1);
  for (int i = 4; i < argc; ++i) {
    const auto port = static_cast<std::uint16_t>(std::atoi(argv[i]));
    tcp::acceptor acceptor(io, tcp::endpoint(here, port));
    asio::co_spawn(io, listen(std::move(acceptor), tcp::endpoint(there, port), delay),
                   asio::detached);
  }
  std::printf("ready\n");
  std::fflush(stdout);
  io.run();
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "delay_proxy: %s\n", error.what());
  return 1;
}
