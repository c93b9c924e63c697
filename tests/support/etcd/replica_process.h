#pragma once
/// One of several holdfast-lockd processes on one store, as a child. Its port is the same through
/// all lives; it listens there only while it is the active one.
///
///   support::ReplicaProcess a(etcd.url("/t"), {"--lease-ttl", "5"}), b(...);
///   a.start(); a.wait_leading(); b.start();
///   a.signal(SIGKILL); ... b.wait_leading();
///
/// The program is $HOLDFAST_LOCKD, else bin/holdfast-lockd of this build. Ends the child in the
/// destructor.

#include "holdfast/wire/address.h"

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast::support {

class ReplicaProcess {
 public:
  ReplicaProcess(std::string store, std::vector<std::string> arguments);
  ~ReplicaProcess();
  ReplicaProcess(const ReplicaProcess&) = delete;
  ReplicaProcess& operator=(const ReplicaProcess&) = delete;

  void start();
  void signal(int number) const;
  /// Waits for its end; the status as of waitpid(2).
  int wait();

  /// All lives since start() was first called.
  [[nodiscard]] std::string log() const;
  /// How often this line was logged.
  [[nodiscard]] std::size_t said(const std::string& event) const;
  /// Returns once `event` was logged `times` times; throws with the log if that takes too long.
  void wait_said(const std::string& event, std::size_t times) const;
  /// It has become the active one `times` times.
  void wait_leading(std::size_t times = 1) const { wait_said(" lockd.leading ", times); }

  [[nodiscard]] const wire::Address& address() const { return address_; }
  [[nodiscard]] std::string admin_path() const { return (directory_ / "lockd.sock").string(); }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  std::string store_;
  std::vector<std::string> arguments_;
  std::filesystem::path directory_;
  wire::Address address_;
  pid_t pid_ = -1;
};

}  // namespace holdfast::support
