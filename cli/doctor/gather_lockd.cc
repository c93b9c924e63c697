// A short session at lockd.
#include "cli/doctor/gather.h"
#include "fs/volume/volume_id.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/connection.h"
#include "holdfast/wire/credentials.h"
#include "holdfast/wire/errc.h"
#include "holdfast/wire/stream.h"

#include <cerrno>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

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

// Without a name of the volume: nobody's is compared with it.
Hello hello_for(const VolumeId& volume) {
  Hello hello;
  hello.volume = volume;
  hello.mountpoint = "holdfast doctor";
  hello.pid = static_cast<std::uint32_t>(::getpid());
  return hello;
}

asio::awaitable<void> converse(std::shared_ptr<wire::Connection> connection, Hello hello,
                               LockdFacts& facts) {
  const auto failed = [&](const ErrorCode& error) {
    facts.error = to_errno(error);
    facts.error_text = error == wire::WireErrc::kStalled
                           ? std::string("it does not answer")
                           : "it does not answer as lockd does (" + error.message() + ")";
    facts.hint = wire::credentials_hint(error);
  };
  if (const auto sent = connection->send(ClientMessage(std::move(hello))); !sent)
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

LockdFacts ask(const wire::Address& address, const wire::Credentials& credentials,
               const VolumeId& volume) {
  LockdFacts facts;
  facts.address = wire::to_string(address);
  facts.tls = credentials.tls && !std::holds_alternative<wire::UnixAddress>(address);
  asio::io_context loop(1);
  wire::Codec codec;
  wire::StreamOptions stream_options;
  stream_options.tls = credentials.tls;
  auto connecting =
      asio::co_spawn(loop, wire::connect(address, stream_options, kStepMax), asio::use_future);
  loop.run_for(kStepMax + std::chrono::seconds(1));
  if (connecting.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    facts.error = ETIMEDOUT;
    facts.error_text = "it does not answer";
    return facts;
  }
  auto stream = connecting.get();
  auto token =
      stream ? wire::token_over(**stream, credentials) : Result<std::string>(stream.error());
  if (!token) {
    facts.error = to_errno(token.error());
    facts.error_text = token.error().message();
    facts.hint = wire::credentials_hint(token.error());
    return facts;
  }
  Hello hello = hello_for(volume);
  hello.token = *std::move(token);
  const auto connection = std::make_shared<wire::Connection>(
      loop.get_executor(), *std::move(stream), codec, wire::ConnectionLimits{});
  auto writing = asio::co_spawn(loop, run_writer(connection), asio::use_future);
  auto talking =
      asio::co_spawn(loop, converse(connection, std::move(hello), facts), asio::use_future);
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

}  // namespace

LockdFacts gather_lockd(const wire::Address& address, const wire::Credentials& credentials,
                        std::optional<VolumeId> known) {
  LockdFacts facts = ask(address, credentials, fs::make_volume_id());
  if (facts.refused == LockErrc::kAccessDenied && known) return ask(address, credentials, *known);
  return facts;
}

}  // namespace holdfast::cli
