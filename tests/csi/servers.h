#pragma once
/// The NFS server and lockd that the tests of this program share.

#include "tests/csi/orchestrator.h"

namespace holdfast::csi::testing {

/// Started at the first call.
[[nodiscard]] Servers& servers();
/// For a test that needs servers of its own: one NFS server at a time fits into this network.
void end_servers();

}  // namespace holdfast::csi::testing
