#pragma once
/// How the process that mounts tells the one that was started by the user what became of it.
///
/// In the background: one line per message through a pipe, until success or failure; a pipe that
/// closes without either means that the process died. In the foreground: stderr.

#include "cli/mount/failure.h"
#include "holdfast/base/unique_fd.h"

#include <string_view>

namespace holdfast::cli {

class Reporter {
 public:
  /// To stderr.
  Reporter() = default;
  /// To the process at the other end of `pipe`.
  explicit Reporter(UniqueFd pipe) : pipe_(std::move(pipe)) {}

  void progress(std::string_view line);
  /// Nothing is reported after one of these.
  void succeeded();
  void failed(const Failure& failure);
  [[nodiscard]] bool in_background() const { return in_background_; }

 private:
  void send(char kind, std::string_view line);
  UniqueFd pipe_;
  bool in_background_ = static_cast<bool>(pipe_);
};

/// Relays what comes through `pipe` to stderr; returns the exit code.
[[nodiscard]] int wait_for_report(int pipe);

/// "holdfast mount: what\nhint\n" on stderr.
void print_failure(const Failure& failure);
void print_progress(std::string_view line);

}  // namespace holdfast::cli
