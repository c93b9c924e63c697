#pragma once
/// A network namespace for this test process alone, with loopback up: any port is free, nothing
/// outside is reached.
///
/// Call before the first thread starts, once per process. Throws std::runtime_error without the
/// privilege: tests that need an NFS server fail loudly, they do not skip.

namespace holdfast::fs::testing {

void enter_private_network();

}  // namespace holdfast::fs::testing
