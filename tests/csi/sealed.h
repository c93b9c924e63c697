#pragma once
/// This test program in a world of its own: pid, mount and network namespaces, with /run/holdfast
/// and the mounts' logs in memory. Whatever a test leaves behind, processes that daemonized and
/// mounts among it, is gone with it, however it ends.

namespace holdfast::csi::testing {

/// Forks; returns only in the child, which is process 1 in there. The parent waits and exits with
/// the child's status. Call first thing in main(). Exits with an explanation where it is not
/// allowed.
void seal();

inline constexpr const char* kMountLogs = "/var/log/holdfast";

}  // namespace holdfast::csi::testing
