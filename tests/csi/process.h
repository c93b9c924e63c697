#pragma once
/// A program of ours as a child, to be killed and started again. Thread: the one that started it.

#include <csignal>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast::csi::testing {

class Process {
 public:
  /// Its output is appended to `log`.
  Process(std::vector<std::string> command, std::string log);
  ~Process() { end(SIGKILL); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void start();
  /// Signals and waits.
  void end(int signal);
  [[nodiscard]] bool runs() const { return pid_ > 0; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  std::vector<std::string> command_;
  std::string log_;
  pid_t pid_ = -1;
};

}  // namespace holdfast::csi::testing
