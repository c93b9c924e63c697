#include "cli/admin/question.h"

#include "cli/admin/admin.h"
#include "cli/runtime_directory.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/connection.h"
#include "holdfast/wire/errc.h"
#include "holdfast/wire/stream.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <ostream>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <fmt/format.h>

namespace asio = boost::asio;

namespace holdfast::cli {
namespace {

constexpr std::chrono::seconds kAnswerMax{10};

asio::awaitable<void> run_writer(std::shared_ptr<wire::Connection> connection) {
  co_await connection->write_loop();
}

asio::awaitable<Result<ServerMessage>> converse(std::shared_ptr<wire::Connection> connection,
                                                ClientMessage question) {
  const auto sent = connection->send(question);
  if (!sent) co_return sent.error();
  for (;;) {
    const auto filled = co_await connection->fill();
    if (!filled) co_return filled.error();
    auto message = connection->next_server_message();
    if (!message) co_return message.error();
    if (*message) co_return **std::move(message);
  }
}

// The sockets of every lockd on this machine: holdfast-lockd's, and those of mounts with an
// embedded one (cli/mount/embedded_lockd.h). Two directories: a lockd that is not root may not
// write where root's mounts do.
std::vector<std::string> local_sockets() {
  auto directories = published_directories();
  directories.emplace_back("/run/holdfast-lockd");
  std::vector<std::string> found;
  for (const auto& directory : directories) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
      // A mount's own socket, and the CSI keeper's, are no lockd's.
      const std::string name = entry.path().filename().string();
      if (name.starts_with("mount-") || name.starts_with("csi-")) continue;
      if (entry.is_socket(ignored)) found.push_back(entry.path().string());
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace

// One question, one answer, then the loop and everything in it is gone.
Result<ServerMessage> ask(const std::string& path, const ClientMessage& question) {
  asio::io_context loop(1);
  wire::Codec codec;
  auto connecting = asio::co_spawn(
      loop, wire::connect(wire::UnixAddress{path}, wire::StreamOptions{}, kAnswerMax),
      asio::use_future);
  loop.run_for(kAnswerMax);
  if (connecting.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    return make_error_code(wire::WireErrc::kStalled);
  }
  auto stream = connecting.get();
  if (!stream) return stream.error();
  const auto connection = std::make_shared<wire::Connection>(
      loop.get_executor(), *std::move(stream), codec, wire::ConnectionLimits{});
  auto writing = asio::co_spawn(loop, run_writer(connection), asio::use_future);
  auto answering = asio::co_spawn(loop, converse(connection, question), asio::use_future);
  loop.restart();
  const auto until = std::chrono::steady_clock::now() + kAnswerMax;
  while (answering.wait_for(std::chrono::seconds(0)) != std::future_status::ready &&
         std::chrono::steady_clock::now() < until) {
    loop.run_one_until(until);
  }
  const bool answered = answering.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  connection->close();
  loop.restart();
  loop.run_for(kAnswerMax);  // writer and reader end
  if (!answered) return make_error_code(wire::WireErrc::kStalled);
  return answering.get();
}

bool said_standby(const std::string& path, const ServerMessage& answer, std::ostream& errors) {
  const auto* refused = std::get_if<HelloRefused>(&answer);
  if (refused == nullptr || refused->errc != LockErrc::kStandby) return false;
  errors << fmt::format("holdfast: the lockd at {} is a standby: {}\n", path, refused->reason);
  return true;
}

std::vector<std::string> sockets_to_ask(const AdminOptions& options, std::ostream& errors) {
  auto sockets = options.sockets.empty() ? local_sockets() : options.sockets;
  if (sockets.empty()) {
    errors << "holdfast: no lockd runs on this machine\n"
              "hint: run this where holdfast-lockd runs, or give --socket PATH\n";
  }
  return sockets;
}

}  // namespace holdfast::cli
