#pragma once
/// A lockd and several mounts of one directory, each a process of its own, for integration tests.
///
/// Everything is taken down in the destructor, also after a failure: what does not end is aborted
/// (a stuck FUSE mount would otherwise hold its callers in state D for ever). A watchdog aborts the
/// mounts if a test takes longer than `kPatience`, so that the test fails instead of hanging.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sys/types.h>

namespace holdfast::test {

/// kill(2) of one process. To pid -1 that would be every process there is: nothing is done.
void signal_process(pid_t pid, int signal);

/// A forked process that runs `work` and exits with its result.
class Child {
 public:
  explicit Child(const std::function<int()>& work);
  Child(Child&& other) noexcept;
  ~Child();  ///< kills it if it still runs
  /// Its exit code, or 128 + signal.
  int wait();
  void kill(int signal) const;  ///< nothing if it has ended
  /// True once it has ended, false after `patience`.
  bool ends_within(std::chrono::milliseconds patience);
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

/// Runs `work` in a process of its own and returns its exit code.
int in_child(const std::function<int()>& work);

/// Polls until `condition` holds; false after `patience`.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds patience = std::chrono::seconds(15));

class Mounts {
 public:
  static constexpr std::chrono::seconds kPatience{90};
  static constexpr std::chrono::seconds kLease{2};

  /// A mount that does not run for `lease` loses its session: short where tests wait for that, long
  /// where a busy machine must not bring it about.
  explicit Mounts(std::size_t count, std::chrono::seconds lease = kLease);
  ~Mounts();
  Mounts(const Mounts&) = delete;
  Mounts& operator=(const Mounts&) = delete;

  [[nodiscard]] bool ready() const { return ready_; }
  /// A path on mount `index`.
  [[nodiscard]] std::string at(std::size_t index, const std::string& name = "") const;
  /// The same on the storage itself.
  [[nodiscard]] std::string backing(const std::string& name = "") const;
  [[nodiscard]] pid_t lockd() const { return lockd_; }
  [[nodiscard]] pid_t mount_process(std::size_t index) const { return nodes_[index].process; }

  /// SIGKILL, and a new lockd that knows nothing: every session is lost.
  bool replace_lockd();
  /// Ends the mount's process with SIGKILL, and takes the dead mount away.
  void kill_mount(std::size_t index);
  bool start_mount(std::size_t index);
  /// SIGTERM, as `holdfast unmount` does. The exit code.
  int stop_mount(std::size_t index);
  /// The same without the signal: somebody else ended it.
  int wait_mount(std::size_t index);

 private:
  struct Node {
    std::string path;
    std::string connection;  // of fusectl
    pid_t process = -1;
  };
  bool start_lockd();
  void abort_all();
  void watch();

  std::string root_;
  std::chrono::seconds lease_;
  pid_t lockd_ = -1;
  std::vector<Node> nodes_;
  bool ready_ = false;
  std::mutex mutex_;  // guards done_, nodes_' connections for the watchdog
  std::condition_variable wake_;
  bool done_ = false;
  std::thread watchdog_;
};

}  // namespace holdfast::test
