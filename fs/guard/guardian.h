#pragma once
/// The guardian of a mount: a process that ends the mount's NFS connections when its lease is over,
/// even if the mount itself is frozen (SIGSTOP, a debugger, a stuck core dump) and cannot.
///
/// It holds a duplicate of each socket. At the deadline in the shared page it aborts them all
/// (abort_connection.h); when the mount has died it does the same, aborts the mount's connection to
/// the kernel and ends. The mount has died when its end of the channel closes without notice, or
/// when its main thread ends: of a killed process other threads can be stuck in the kernel, with
/// all descriptors open, until that connection is aborted.
///
/// It has a session of its own, so that signals to the mount's process group miss it, ignores
/// polite signals, holds no other descriptor, and allocates nothing after its start. Whatever is
/// strange ends it, and with it the mount's connections to the storage (docs/reliability.md).

namespace holdfast::fs::guard {

/// Runs the guardian in this process, a fresh one with kChannelFd and kPageFd open. Returns its
/// exit code.
int be_guardian();

}  // namespace holdfast::fs::guard
