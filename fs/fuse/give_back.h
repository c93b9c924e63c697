#pragma once
/// Makes the kernel forget what it has of a mount and does not use.

#include <string>

namespace holdfast::fs {

/// The mount at `mountpoint`, if it is that of the connection `device_minor`, is reconfigured
/// without a change. The kernel first drops all names that nobody uses (linux: fs/super.c,
/// reconfigure_super, shrink_dcache_sb), and with them their inodes: FORGETs follow. Whatever is
/// open, mapped, somebody's working directory or mounted upon stays as it is. Then it writes dirty
/// mapped pages, and waits for that.
///
/// Not FUSE_NOTIFY_INVAL_ENTRY, which takes back names that are in use as well: a shell whose
/// directory it was finds itself in a deleted one, and what is mounted upon it is unmounted (linux:
/// fs/dcache.c, d_invalidate). FUSE_NOTIFY_PRUNE does neither, but is new in Linux 6.18.
///
/// Needs CAP_SYS_ADMIN. If it cannot be done the log says so once ("fuse.inodes_unbounded").
/// Thread: any but the loop's: the kernel waits for WRITEs meanwhile.
void give_back(const std::string& mountpoint, unsigned device_minor);

}  // namespace holdfast::fs
