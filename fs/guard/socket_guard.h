#pragma once
/// The mount's side of its guardian (guardian.h): starts it, hands it every NFS socket, moves the
/// deadline. Also the last look before a send: may_send().
///
///   SocketGuard guard(executor, {.label = "/mnt/data"});
///   if (auto started = guard.start(); !started) fail(started.error());
///   ... guard.watch(socket) when connected, guard.unwatch(id) before close ...
///   guard.stop();
///
/// The guardian is this program itself, started anew under another name: not a fork, so that it
/// carries nothing of the mount and can be replaced at any time. If it dies, all guarded
/// connections are aborted, and the next watch() starts another one: no guardian, no connection.
///
/// Thread: the loop's, and that is the process's main thread: when the thread that called start()
/// ends, the mount counts as dead. start(), and the watch() after a guardian's death, block for the
/// time of an exec. Lifetime: outlives the sockets it guards; stop() before the executor ends.

#include "fs/guard/channel.h"
#include "holdfast/base/clock.h"
#include "holdfast/base/id.h"
#include "holdfast/base/result.h"
#include "holdfast/base/unique_fd.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <sys/types.h>

namespace holdfast::fs::guard {

using WatchId = Id<struct WatchIdTag>;

class SocketGuard {
 public:
  /// A guardian that has not said that it is there within this time is none.
  static constexpr std::chrono::milliseconds kStartMax{5'000};

  struct Options {
    std::string label;                       ///< seen in `ps`: what is guarded
    std::string program = "/proc/self/exe";  ///< its main() calls be_guardian() for kProgramName
  };

  SocketGuard(boost::asio::any_io_executor executor, Options options);
  ~SocketGuard();
  SocketGuard(const SocketGuard&) = delete;
  SocketGuard& operator=(const SocketGuard&) = delete;

  /// Errors: of posix_spawn(3) and the descriptors it needs; ETIMEDOUT, EPIPE if it does not begin.
  [[nodiscard]] Result<void> start();
  /// The guardian ends; what is still guarded is aborted.
  void stop();

  /// `abort_file`: what is written there aborts the mount's connection to the kernel. The guardian
  /// does so when the mount dies; never after stop().
  void mounted(UniqueFd abort_file);

  /// The lease now ends at `at`. Called before anything relies on it.
  void deadline(Instant at);
  /// The lease has not ended, or there was none yet.
  [[nodiscard]] bool may_send() const;

  /// From now on `socket` (connected TCP) does not outlive the deadline. Errors: ENFILE above
  /// kSocketsMax; what starting a guardian said.
  [[nodiscard]] Result<WatchId> watch(int socket);
  /// Before the socket is closed. The guardian's duplicate is closed soon after.
  void unwatch(WatchId id);

  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  struct Channel;
  [[nodiscard]] Result<void> spawn(int channel, int page);
  [[nodiscard]] Result<void> await_ready();
  [[nodiscard]] Result<void> send(const Command& command, int carried);
  void listen();
  void read_notices();
  void died(const ErrorCode& why);
  void end_process();

  boost::asio::any_io_executor executor_;
  Options options_;
  int page_fd_ = -1;
  Page* page_ = nullptr;
  std::shared_ptr<Channel> channel_;  // shared with the wait on it
  UniqueFd abort_file_;               // for the next guardian
  pid_t pid_ = -1;
  std::uint64_t last_watch_ = 0;
  std::map<WatchId, int> watched_;
};

}  // namespace holdfast::fs::guard
