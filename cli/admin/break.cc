#include "cli/admin/break.h"

#include "cli/admin/listing.h"
#include "cli/admin/question.h"
#include "holdfast/base/json.h"

#include <algorithm>
#include <charconv>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace holdfast::cli {
namespace {

constexpr std::size_t kSessionDigits = 16;

// What was asked for, as lockd knows it now.
struct Target {
  std::string socket;
  SessionInfo session;
  std::optional<FileKey> file;
};

std::optional<std::uint64_t> number(const std::string& text, int base) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value, base);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return value;
}

template <class Answer>
std::optional<Answer> ask_for(const std::string& socket, const ClientMessage& question,
                              std::ostream& errors) {
  auto answer = ask(socket, question);
  if (answer) {
    if (auto* wanted = std::get_if<Answer>(&*answer)) return std::move(*wanted);
    if (said_standby(socket, *answer, errors)) return std::nullopt;
  }
  errors << fmt::format("holdfast: cannot ask lockd at {}: {}\n", socket,
                        answer ? "unexpected answer" : answer.error().message());
  return std::nullopt;
}

const SessionInfo* find(const SessionList& list, SessionId id) {
  const auto at = std::find_if(list.sessions.begin(), list.sessions.end(),
                               [&](const SessionInfo& one) { return one.session == id; });
  return at == list.sessions.end() ? nullptr : &*at;
}

bool is_held(const LockInfo& lock) {
  return lock.state != LockState::kWaiting;
}

struct Search {
  std::optional<Target> found;
  bool answered = false;
  bool truncated = false;
};

void look_at(const std::string& socket, const std::string& what, Search& search,
             std::ostream& errors) {
  const auto sessions = ask_for<SessionList>(socket, ListSessions{}, errors);
  const auto locks = sessions ? ask_for<LockList>(socket, ListLocks{}, errors) : std::nullopt;
  if (!locks) return;
  search.answered = true;
  search.truncated = search.truncated || sessions->truncated || locks->truncated;
  const auto id = what.size() == kSessionDigits ? number(what, 16) : std::nullopt;
  if (id) {
    const SessionInfo* session = find(*sessions, {*id});
    if (session != nullptr) search.found = Target{socket, *session, std::nullopt};
  }
  const auto token = number(what, 10);
  if (search.found || !token || *token == 0) return;
  for (const LockInfo& lock : locks->locks) {
    if (!is_held(lock) || lock.token.value != *token) continue;
    const SessionInfo* session = find(*sessions, lock.session);
    if (session != nullptr) search.found = Target{socket, *session, lock.file};
  }
}

std::string explain(const Target& target) {
  const SessionInfo& session = target.session;
  const std::string what =
      target.file
          ? fmt::format("everything it has locked in the file with number {}", target.file->fileid)
          : fmt::format("everything it holds ({} locks), and its session", session.locks);
  return fmt::format(
      "The mount {} on node {} (pid {}, volume {}, session {:016x}, {})\n"
      "loses {}.\n"
      "  - lockd does not renew its lease any more. The whole mount stands still until the lease "
      "is over.\n"
      "  - Then it is fenced as configured, and those who wait go on.\n"
      "  - Programs on that mount get I/O errors on {} until they close {}; nothing is written "
      "behind the next holder's back.\n",
      cell(session.mountpoint), cell(session.node), session.pid, cell(session.volume_name),
      session.session.value, phase_text(session), what,
      target.file ? "this file" : "every file with locks", target.file ? "it" : "them");
}

// Empty when it is done; else what is being waited for.
std::optional<std::string> left_to_do(const Target& target, std::ostream& errors) {
  const auto sessions = ask_for<SessionList>(target.socket, ListSessions{}, errors);
  if (!sessions) return std::nullopt;
  const SessionInfo* session = find(*sessions, target.session.session);
  if (session == nullptr) return "";
  if (session->breaking) {
    return fmt::format("its lease ends in {}", age_text(session->lease_left));
  }
  if (session->phase == SessionPhase::kFencing) return "it is being fenced";
  if (!target.file) return "its session is still known";
  const auto locks = ask_for<LockList>(target.socket, ListLocks{}, errors);
  if (!locks) return std::nullopt;
  const bool holds = std::any_of(locks->locks.begin(), locks->locks.end(), [&](const auto& lock) {
    return is_held(lock) && lock.session == session->session && lock.file == *target.file;
  });
  return holds ? "its locks are still there" : "";
}

int watch(const BreakOptions& options, const Target& target, std::chrono::milliseconds at_most,
          std::ostream& errors) {
  const auto started = std::chrono::steady_clock::now();
  std::string said;
  bool reachable = true;
  while (std::chrono::steady_clock::now() - started < at_most + options.patience) {
    const auto left = left_to_do(target, errors);
    if (left && left->empty()) return kAdminOk;
    reachable = left.has_value();
    if (left && *left != said) errors << fmt::format("waiting: {}\n", *left);
    said = left.value_or("");
    std::this_thread::sleep_for(options.look);
  }
  return reachable ? kBreakNotYet : kAdminUnreachable;
}

std::string result_json(const Target& target, std::string_view result,
                        std::chrono::milliseconds at_most) {
  return fmt::format(
      R"({{"result":"{}","session":"{:016x}","node":{},"mountpoint":{},"pid":{},"fileid":{},)"
      R"("at_most_ms":{}}}{})",
      result, target.session.session.value, json_string(target.session.node),
      json_string(target.session.mountpoint), target.session.pid,
      target.file ? std::to_string(target.file->fileid) : "null", at_most.count(), '\n');
}

int break_it(const BreakOptions& options, const Target& target, std::ostream& out,
             std::ostream& errors) {
  const Break order{.session = target.session.session, .file = target.file};
  const auto answer = ask_for<BreakAnswer>(target.socket, ClientMessage(order), errors);
  if (!answer) return kAdminUnreachable;
  const auto say = [&](std::string_view result, const std::string& text) {
    out << (options.admin.json ? result_json(target, result, answer->at_most) : text);
  };
  if (!answer->refused.empty()) {
    errors << fmt::format("holdfast: lockd refuses: {}\n", answer->refused);
    say("refused", "");
    return kBreakRefused;
  }
  errors << fmt::format("ordered; done in {} at most, if fencing means to wait\n",
                        age_text(answer->at_most));
  const int code = watch(options, target, answer->at_most, errors);
  if (code == kAdminOk) {
    say("done", "done: those who waited for it go on\n");
  } else {
    say("ordered", "not done yet; the order stands. See 'holdfast sessions' and lockd's log\n");
  }
  return code;
}

}  // namespace

int run_break(const BreakOptions& options, std::ostream& out, std::ostream& errors) {
  const auto sockets = sockets_to_ask(options.admin, errors);
  if (sockets.empty()) return kAdminUnreachable;
  Search search;
  for (const std::string& socket : sockets) {
    look_at(socket, options.what, search, errors);
    if (search.found) break;
  }
  if (!search.found) {
    if (!search.answered) return kAdminUnreachable;
    errors << fmt::format("holdfast: no session or held lock '{}'\n", cell(options.what));
    errors << (search.truncated
                   ? "hint: lockd knows more than it lists; break the session instead\n"
                   : "hint: 'holdfast sessions' has sessions (16 hex digits), 'holdfast locks' "
                     "has held locks (column LOCK)\n");
    return kBreakRefused;
  }
  if (!options.admin.json || !options.yes) errors << explain(*search.found);
  if (!options.yes) {
    errors << "nothing was done: say --yes to do it\n";
    if (options.admin.json) out << result_json(*search.found, "not-confirmed", {});
    return kBreakNotConfirmed;
  }
  return break_it(options, *search.found, out, errors);
}

void register_break(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<BreakOptions>();
  auto* command = app.add_subcommand(
      "break", "Take a lock, or all locks of a mount, away from it, after fencing it");
  command
      ->add_option("what", options->what,
                   "SESSION (16 hex digits, see 'holdfast sessions') or LOCK (a number, see "
                   "'holdfast locks'); a lock means all that its mount has locked in that file")
      ->required();
  command->add_flag("--yes", options->yes, "Do it. Without, it says what would happen");
  command->add_option("--socket", options->admin.sockets,
                      "Admin socket of a lockd; repeatable. Default: every lockd on this machine");
  command->add_flag("--json", options->admin.json, "One JSON object with the result");
  command->footer(
      "Exit status: 0 done, 1 no lockd answered, 2 wrong usage, 3 not confirmed (nothing was "
      "done),\n4 no such session or lock, or lockd refuses, 5 ordered but not done yet (the order "
      "stands).");
  command->callback(
      [options, &exit_code] { exit_code = run_break(*options, std::cout, std::cerr); });
}

}  // namespace holdfast::cli
