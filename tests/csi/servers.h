#pragma once
/// The NFS server and lockd that the tests of this program share.

#include "tests/csi/orchestrator.h"

namespace holdfast::csi::testing {

/// Started at the first call.
[[nodiscard]] Servers& servers();

}  // namespace holdfast::csi::testing
