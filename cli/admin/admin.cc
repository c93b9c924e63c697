#include "cli/admin/admin.h"

#include "cli/admin/listing.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/connection.h"
#include "holdfast/wire/errc.h"
#include "holdfast/wire/stream.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <fmt/format.h>
#include <unistd.h>

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

// The sockets of every lockd on this machine: holdfast-lockd's and those of mounts with an embedded
// one (cli/mount/embedded_lockd.h).
std::vector<std::string> local_sockets() {
  const char* own = std::getenv("XDG_RUNTIME_DIR");
  const std::filesystem::path base = own != nullptr ? own : "/tmp";
  const std::vector<std::filesystem::path> directories{
      "/run/holdfast", base / fmt::format("holdfast-{}", ::geteuid())};
  std::vector<std::string> found;
  for (const auto& directory : directories) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
      if (entry.is_socket(ignored)) found.push_back(entry.path().string());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

template <class List>
std::optional<std::vector<List>> collect(const AdminOptions& options, const ClientMessage& question,
                                         std::ostream& errors) {
  const bool given = !options.sockets.empty();
  const auto sockets = given ? options.sockets : local_sockets();
  if (sockets.empty()) {
    errors << "holdfast: no lockd runs on this machine\n"
              "hint: run this where holdfast-lockd runs, or give --socket PATH\n";
    return std::nullopt;
  }
  std::vector<List> lists;
  for (const std::string& path : sockets) {
    auto answer = ask(path, question);
    auto* list = answer ? std::get_if<List>(&*answer) : nullptr;
    if (list != nullptr) {
      lists.push_back(std::move(*list));
      continue;
    }
    const ErrorCode why = answer ? make_error_code(wire::WireErrc::kOutOfPlace) : answer.error();
    // A socket left behind by a lockd that was killed is no news unless it was asked for.
    if (!given && to_errno(why) == ECONNREFUSED) continue;
    errors << fmt::format("holdfast: cannot ask lockd at {}: {}\n", path, why.message());
    if (to_errno(why) == EACCES) errors << "hint: run this as root\n";
  }
  if (!lists.empty()) return lists;
  if (!given) errors << "holdfast: no lockd answers on this machine\n";
  return std::nullopt;
}

void describe(CLI::App& command, AdminOptions& options) {
  command.add_option("--socket", options.sockets,
                     "Admin socket of a lockd; repeatable. Default: every lockd on this machine");
  command.add_flag("--json", options.json, "One JSON object instead of a table");
  command.footer("Exit status: 0 answered, 1 no lockd answered, 2 wrong usage.");
}

}  // namespace

int run_locks(const AdminOptions& options, std::ostream& out, std::ostream& errors) {
  const auto lists = collect<LockList>(options, ClientMessage(ListLocks{}), errors);
  if (!lists) return kAdminUnreachable;
  if (options.json) {
    out << locks_json(*lists);
    return kAdminOk;
  }
  LockList all;
  for (const LockList& list : *lists) {
    all.locks.insert(all.locks.end(), list.locks.begin(), list.locks.end());
    all.truncated = all.truncated || list.truncated;
  }
  out << locks_table(all);
  return kAdminOk;
}

int run_sessions(const AdminOptions& options, std::ostream& out, std::ostream& errors) {
  const auto lists = collect<SessionList>(options, ClientMessage(ListSessions{}), errors);
  if (!lists) return kAdminUnreachable;
  if (options.json) {
    out << sessions_json(*lists);
    return kAdminOk;
  }
  SessionList all;
  for (const SessionList& list : *lists) {
    all.sessions.insert(all.sessions.end(), list.sessions.begin(), list.sessions.end());
    all.truncated = all.truncated || list.truncated;
  }
  out << sessions_table(all);
  return kAdminOk;
}

void register_locks(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<AdminOptions>();
  auto* command = app.add_subcommand("locks", "Who holds which lock, and who waits, at lockd");
  describe(*command, *options);
  command->callback(
      [options, &exit_code] { exit_code = run_locks(*options, std::cout, std::cerr); });
}

void register_sessions(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<AdminOptions>();
  auto* command = app.add_subcommand("sessions", "Which mounts lockd knows, and their leases");
  describe(*command, *options);
  command->callback(
      [options, &exit_code] { exit_code = run_sessions(*options, std::cout, std::cerr); });
}

}  // namespace holdfast::cli
