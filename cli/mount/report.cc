#include "cli/mount/report.h"

#include <algorithm>
#include <charconv>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

// Kinds of lines in the pipe.
constexpr char kProgress = 'p';
constexpr char kSuccess = 's';
constexpr char kWhat = 'w';
constexpr char kHint = 'h';
constexpr char kExit = 'x';

std::string one_line(std::string_view text) {
  std::string out(text);
  std::replace(out.begin(), out.end(), '\n', ' ');
  return out;
}

}  // namespace

void print_failure(const Failure& failure) {
  fmt::print(stderr, "holdfast: {}\n", failure.what);
  if (!failure.hint.empty()) fmt::print(stderr, "  hint: {}\n", failure.hint);
}

void print_progress(std::string_view line) {
  fmt::print(stderr, "holdfast: {}\n", line);
}

void Reporter::send(char kind, std::string_view line) {
  const std::string text = fmt::format("{}{}\n", kind, one_line(line));
  // The reader may be gone (Ctrl-C): the mount is not undone for that.
  [[maybe_unused]] const auto ignored = ::write(pipe_.get(), text.data(), text.size());
}

void Reporter::progress(std::string_view line) {
  if (pipe_) {
    send(kProgress, line);
  } else if (!in_background_) {
    print_progress(line);
  }
}

void Reporter::succeeded() {
  if (pipe_) send(kSuccess, "");
  pipe_.reset();
}

void Reporter::failed(const Failure& failure) {
  if (!pipe_) return print_failure(failure);
  send(kWhat, failure.what);
  send(kHint, failure.hint);
  send(kExit, std::to_string(failure.exit_code));
  pipe_.reset();
}

int wait_for_report(int pipe) {
  Failure failure{kExitMount, "the mount's process ended before it had mounted anything",
                  "run it with -f to see why"};
  std::string pending;
  char buffer[4096];
  while (true) {
    const ssize_t got = ::read(pipe, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    pending.append(buffer, static_cast<std::size_t>(got));
    for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      const std::string line = pending.substr(0, end);
      pending.erase(0, end + 1);
      if (line.empty()) continue;
      const std::string text = line.substr(1);
      switch (line[0]) {
        case kProgress:
          print_progress(text);
          break;
        case kSuccess:
          return kExitOk;
        case kWhat:
          failure.what = text;
          break;
        case kHint:
          failure.hint = text;
          break;
        case kExit:
          std::from_chars(text.data(), text.data() + text.size(), failure.exit_code);
          break;
        default:
          break;
      }
    }
  }
  print_failure(failure);
  return failure.exit_code;
}

}  // namespace holdfast::cli
