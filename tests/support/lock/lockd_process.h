#pragma once
/// holdfast-lockd as a child process, for tests that kill or stop the real thing.
///
///   support::LockdProcess lockd({"--lease-ttl", "2"});
///   connect to lockd.address() ...
///   lockd.signal(SIGKILL); lockd.wait();  lockd.start();   // same port
///
/// Its store is a file in a directory of its own, from the start one that knows that there is
/// nothing to know: no grace period.
///
/// The program is $HOLDFAST_LOCKD, else bin/holdfast-lockd of this build. Ends the child in the
/// destructor.

#include "holdfast/base/unique_fd.h"
#include "holdfast/wire/address.h"

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast::support {

class LockdProcess {
 public:
  /// `arguments` besides --listen, --admin and --store.
  explicit LockdProcess(std::vector<std::string> arguments = {});
  ~LockdProcess();
  LockdProcess(const LockdProcess&) = delete;
  LockdProcess& operator=(const LockdProcess&) = delete;

  /// Starts it and waits for its line lockd.started; throws with its output if that does not come.
  void start();
  void signal(int number) const;
  /// Waits for its end; the status as of waitpid(2).
  int wait();

  [[nodiscard]] const wire::Address& address() const { return address_; }
  [[nodiscard]] std::string admin_path() const { return (directory_ / "lockd.sock").string(); }
  [[nodiscard]] std::string store_path() const { return (directory_ / "lockd.db").string(); }
  /// Where its standard error goes.
  [[nodiscard]] std::filesystem::path log_path() const { return directory_ / "lockd.log"; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  std::vector<std::string> arguments_;
  std::filesystem::path directory_;
  wire::Address address_;
  pid_t pid_ = -1;
};

}  // namespace holdfast::support
