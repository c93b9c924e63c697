#include "tests/csi/sealed.h"

#include "tests/support/nfs/private_network.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::csi::testing {
namespace {

void must(bool done, const char* what) {
  if (done) return;
  std::perror(what);
  std::_Exit(1);
}

void mount_tmpfs(const char* path) {
  std::filesystem::create_directories(path);
  must(::mount("tmpfs", path, "tmpfs", 0, nullptr) == 0, path);
}

/// Exits as `child` does; buries what loses its parent meanwhile.
[[noreturn]] void wait_for(pid_t child) {
  int status = 0;
  for (pid_t ended = 0; ended != child;)
    ended = ::waitpid(-1, &status, 0);
  std::_Exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

void fork_and_wait_outside() {
  const pid_t child = ::fork();
  must(child >= 0, "fork");
  if (child > 0) wait_for(child);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

}  // namespace

void seal() {
  must(::unshare(CLONE_NEWNS | CLONE_NEWPID) == 0, "namespaces (this test needs root)");
  fork_and_wait_outside();
  // Process 1 stays in the machine's network: by that tests/support/nfs/ganesha knows a private
  // one.
  fork_and_wait_outside();
  must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
  must(::mount("proc", "/proc", "proc", 0, nullptr) == 0, "/proc");
  mount_tmpfs("/run/holdfast");
  mount_tmpfs(kMountLogs);
  fs::testing::enter_private_network();
}

}  // namespace holdfast::csi::testing
