#pragma once
/// The storage interface over any local directory: a local disk, CephFS, a kernel mount.
///
/// Plain system calls on the loop: local storage answers from memory, and an order of writes comes
/// for free. Only fdatasync, which waits for the disk, runs on a thread of its own, so that a slow
/// disk does not hold up lease renewals.
///
/// Handles are the kernel's own (name_to_handle_at(2)), equal for every process and node that
/// serves the same filesystem. Where the kernel will not open them (no CAP_DAC_READ_SEARCH, or a
/// filesystem without handles) descriptors are kept and re-found by name; the handles stay the
/// same.
///
/// Permissions: as root, each call acts as its caller (fsuid, fsgid, groups); else as this process.
/// As NFS servers do, the owner of a file may always read and write its data: the mount's kernel
/// has checked the mode at open, and chmod must not break a handle that is already open.
/// Boundaries: mounts below the directory are not entered (EXDEV), as an NFS export does not.

#include "fs/backend/backend.h"

#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

namespace holdfast::fs {

/// Thread: call on the loop behind `executor`. Errors: those of open(2) on `path` (ENOENT, ENOTDIR,
/// EACCES).
[[nodiscard]] Result<std::unique_ptr<Backend>> make_dir_backend(
    boost::asio::any_io_executor executor, const std::string& path);

}  // namespace holdfast::fs
