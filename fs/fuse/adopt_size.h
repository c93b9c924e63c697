#pragma once
/// Makes the kernel take over an inode's size, and makes sure that it has.
///
/// Blocks, and sends requests to the mount itself (GETATTR, OPENDIR): never from the loop. See
/// fs/core/kernel_size.h for what it is good for.

#include "fs/core/inode_table.h"

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::fs {

/// `mountpoint`: where the mount is; `device_minor`: its device number (major 0), so that nothing
/// that was mounted over it is asked instead. Returns the size that the kernel has now, as new as
/// this call; nothing if that cannot be done (unmounted, the inode forgotten, no
/// CAP_DAC_READ_SEARCH) or the file changes all the time.
[[nodiscard]] std::optional<std::uint64_t> adopt_size(const std::string& mountpoint,
                                                      unsigned device_minor, NodeId node);

}  // namespace holdfast::fs
