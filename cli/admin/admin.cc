#include "cli/admin/admin.h"

#include "cli/admin/listing.h"
#include "cli/admin/question.h"
#include "holdfast/wire/errc.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace holdfast::cli {
namespace {

template <class List>
std::optional<std::vector<List>> collect(const AdminOptions& options, const ClientMessage& question,
                                         std::ostream& errors) {
  const bool given = !options.sockets.empty();
  const auto sockets = sockets_to_ask(options, errors);
  if (sockets.empty()) return std::nullopt;
  std::vector<List> lists;
  bool standby = false;
  for (const std::string& path : sockets) {
    auto answer = ask(path, question);
    auto* list = answer ? std::get_if<List>(&*answer) : nullptr;
    if (list != nullptr) {
      lists.push_back(std::move(*list));
      continue;
    }
    if (answer && said_standby(path, *answer, errors)) {
      standby = true;
      continue;
    }
    const ErrorCode why = answer ? make_error_code(wire::WireErrc::kOutOfPlace) : answer.error();
    // A socket left behind by a lockd that was killed is no news unless it was asked for.
    if (!given && to_errno(why) == ECONNREFUSED) continue;
    errors << fmt::format("holdfast: cannot ask lockd at {}: {}\n", path, why.message());
    if (to_errno(why) == EACCES) errors << "hint: run this as root\n";
  }
  if (!lists.empty()) return lists;
  if (!given && !standby) errors << "holdfast: no lockd answers on this machine\n";
  return std::nullopt;
}

LockList joined(const std::vector<LockList>& lists) {
  LockList all;
  for (const LockList& list : lists) {
    all.locks.insert(all.locks.end(), list.locks.begin(), list.locks.end());
    all.truncated = all.truncated || list.truncated;
    all.tokens += list.tokens;
  }
  return all;
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
  out << locks_table(joined(*lists));
  return kAdminOk;
}

int run_waiters(const AdminOptions& options, std::ostream& out, std::ostream& errors) {
  const auto lists = collect<LockList>(options, ClientMessage(ListLocks{}), errors);
  if (!lists) return kAdminUnreachable;
  out << (options.json ? waiters_json(*lists) : waiters_table(joined(*lists)));
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
    all.grace = all.grace || list.grace;
    all.grace_left = std::max(all.grace_left, list.grace_left);
    all.stale = all.stale || list.stale;
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

void register_waiters(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<AdminOptions>();
  auto* command = app.add_subcommand("waiters", "Who waits for a lock at lockd, and behind whom");
  describe(*command, *options);
  command->callback(
      [options, &exit_code] { exit_code = run_waiters(*options, std::cout, std::cerr); });
}

void register_sessions(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<AdminOptions>();
  auto* command = app.add_subcommand("sessions", "Which mounts lockd knows, and their leases");
  describe(*command, *options);
  command->callback(
      [options, &exit_code] { exit_code = run_sessions(*options, std::cout, std::cerr); });
}

}  // namespace holdfast::cli
