#include "cli/mount/unmount.h"

#include "cli/mount/clearing.h"
#include "cli/mount/failure.h"
#include "cli/mount/mountpoint.h"
#include "cli/mount/presence.h"
#include "cli/mount/report.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

/// Users may take their own FUSE mounts down only through the set-uid helper.
int fusermount(const std::string& path, bool lazy) {
  const char* const arguments[] = {"fusermount3", lazy ? "-uz" : "-u", "--", path.c_str(), nullptr};
  pid_t child = 0;
  if (::posix_spawnp(&child, arguments[0], nullptr, nullptr, const_cast<char* const*>(arguments),
                     environ) != 0)
    return EPERM;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : EBUSY;
}

int detach(const std::string& path, bool lazy) {
  // UMOUNT_NOFOLLOW: the path was resolved by us, or is a dead mount that cannot be.
  if (::umount2(path.c_str(), (lazy ? MNT_DETACH : 0) | UMOUNT_NOFOLLOW) == 0) return 0;
  return errno == EPERM ? fusermount(path, lazy) : errno;
}

int fail(const Failure& failure) {
  print_failure(failure);
  return failure.exit_code;
}

}  // namespace

int unmount(const UnmountArguments& arguments) {
  const std::string path = absolute_path(arguments.mountpoint);
  const auto mounted = mount_at(path);
  if (!mounted) return fail({kExitMount, fmt::format("nothing is mounted at {}", path), ""});
  if (!mounted->type.starts_with("fuse"))
    return fail({kExitMount, fmt::format("{} is not a Holdfast mount but {}", path, mounted->type),
                 fmt::format("umount {}", path)});
  const int error = detach(path, arguments.lazy);
  if (error == EBUSY)
    return fail({kExitMount, fmt::format("{} is in use", path),
                 fmt::format("end what uses it (fuser -vm {}), or use -l", path)});
  if (error != 0)
    return fail({kExitMount, fmt::format("cannot unmount {}: {}", path, std::strerror(error)), ""});
  if (arguments.lazy) return kExitOk;
  if (wait_until_gone(path, arguments.wait) == Waited::kGone) {
    clear_runtime_directory();  // if its process was dead
    return kExitOk;
  }
  return fail({kExitSystem,
               fmt::format("{} is unmounted, but its process has not ended after {} s", path,
                           arguments.wait.count()),
               "it may be waiting for the storage to take the last data; see its log"});
}

}  // namespace holdfast::cli
