// A short session at lockd.
#include "cli/doctor/gather.h"
#include "fs/volume/volume_id.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/connection.h"
#include "holdfast/wire/errc.h"
#include "holdfast/wire/stream.h"

#include <cerrno>
#include <chrono>
#include <future>
#include <memory>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <fmt/format.h>
#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::cli {
namespace {

constexpr std::chrono::seconds kStepMax{5};

asio::awaitable<void> run_writer(std::shared_ptr<wire::Connection> connection) {
  co_await connection->write_loop();
}

asio::awaitable<Result<ServerMessage>> next(std::shared_ptr<wire::Connection> connection) {
  for (;;) {
    auto message = connection->next_server_message();
    if (!message) co_return message.error();
    if (*message) co_return **std::move(message);
    const auto filled = co_await connection->fill();
    if (!filled) co_return filled.error();
  }
}

Hello hello() {
  Hello hello;
  // A volume that nobody has: nothing of anybody's is touched.
  hello.volume = fs::make_volume_id();
  hello.volume_name = "holdfast doctor";
  hello.mountpoint = "holdfast doctor";
  hello.pid = static_cast<std::uint32_t>(::getpid());
  return hello;
}

asio::awaitable<void> converse(std::shared_ptr<wire::Connection> connection, LockdFacts& facts) {
  const auto failed = [&](const ErrorCode& error) {
    facts.error = to_errno(error);
    facts.error_text = error == wire::WireErrc::kStalled
                           ? std::string("it does not answer")
                           : "it does not answer as lockd does (" + error.message() + ")";
  };
  if (const auto sent = connection->send(ClientMessage(hello())); !sent)
    co_return failed(sent.error());
  auto answer = co_await next(connection);
  if (!answer) co_return failed(answer.error());
  if (const auto* refused = std::get_if<HelloRefused>(&*answer)) {
    facts.refused = refused->errc;
    facts.reason = refused->reason;
    co_return;
  }
  const auto* welcome = std::get_if<Welcome>(&*answer);
  if (welcome == nullptr) co_return failed(make_error_code(wire::WireErrc::kOutOfPlace));
  facts.lease = welcome->lease_ttl;
  const auto asked = std::chrono::steady_clock::now();
  static_cast<void>(connection->send(ClientMessage(Renew{1, {}})));
  const auto renewed = co_await next(connection);
  if (!renewed) co_return failed(renewed.error());
  facts.round_trip = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - asked);
  static_cast<void>(connection->send(ClientMessage(Goodbye{})));
}

}  // namespace

LockdFacts gather_lockd(const wire::Address& address) {
  LockdFacts facts;
  facts.address = wire::to_string(address);
  asio::io_context loop(1);
  wire::Codec codec;
  auto connecting = asio::co_spawn(loop, wire::connect(address, wire::StreamOptions{}, kStepMax),
                                   asio::use_future);
  loop.run_for(kStepMax + std::chrono::seconds(1));
  if (connecting.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    facts.error = ETIMEDOUT;
    facts.error_text = "it does not answer";
    return facts;
  }
  auto stream = connecting.get();
  if (!stream) {
    facts.error = to_errno(stream.error());
    facts.error_text = stream.error().message();
    return facts;
  }
  const auto connection = std::make_shared<wire::Connection>(
      loop.get_executor(), *std::move(stream), codec, wire::ConnectionLimits{});
  auto writing = asio::co_spawn(loop, run_writer(connection), asio::use_future);
  auto talking = asio::co_spawn(loop, converse(connection, facts), asio::use_future);
  loop.restart();
  const auto until = std::chrono::steady_clock::now() + kStepMax;
  while (talking.wait_for(std::chrono::seconds(0)) != std::future_status::ready &&
         std::chrono::steady_clock::now() < until) {
    loop.run_one_until(until);
  }
  const bool done = talking.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  connection->close_after_writing();
  loop.restart();
  loop.run_for(std::chrono::seconds(1));
  connection->close();
  loop.restart();
  loop.run_for(std::chrono::seconds(1));
  if (!done) {
    facts.error = ETIMEDOUT;
    facts.error_text = "something listens there and does not answer";
  }
  return facts;
}

}  // namespace holdfast::cli
