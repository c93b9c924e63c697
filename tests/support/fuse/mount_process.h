#pragma once
/// `holdfast mount -f` of 127.0.0.1:/export as a child of a test, in mounts of the test alone.
///
/// HOLDFAST_TEST_CACHE in the environment: -o cache=. It dies with its test (PR_SET_PDEATHSIG), and
/// its mount with the test's mount namespace.

#include <cstdint>
#include <string>

#include <sys/types.h>

namespace holdfast::test {

/// Mounts of this process alone: they vanish with it, however it ends. Once per process, before the
/// first mount; throws std::runtime_error without the privilege.
void enter_private_mounts();

class MountProcess {
 public:
  /// NFS on `port` of loopback, MOUNT on 20048. `directory` is created; the log is beside it.
  MountProcess(const std::string& directory, const std::string& lockd, std::uint16_t port);
  ~MountProcess();  ///< SIGKILL, and the mount is taken away
  MountProcess(const MountProcess&) = delete;
  MountProcess& operator=(const MountProcess&) = delete;

  /// Waits until it is.
  [[nodiscard]] bool mounted() const;
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::string at(const std::string& name) const { return directory_ + "/" + name; }
  [[nodiscard]] std::string log() const;
  /// The process that ends its connections: its only child.
  [[nodiscard]] pid_t guardian() const;

 private:
  std::string directory_;
  pid_t pid_ = -1;
};

}  // namespace holdfast::test
