#pragma once
/// Between FUSE's (struct stat, struct flock) and our values. Stateless.

#include "fs/backend/types.h"
#include "fs/fuse/fuse_api.h"
#include "holdfast/lock/byte_range.h"
#include "holdfast/lock/message.h"

#include <optional>

#include <fcntl.h>
#include <sys/stat.h>

namespace holdfast::fs {

/// The S_IF... bits.
[[nodiscard]] mode_t to_mode_type(FileType type);
/// Nothing for S_IFREG and unknown bits: not a thing for mknod at the storage.
[[nodiscard]] std::optional<FileType> special_type(mode_t mode);
[[nodiscard]] struct stat to_stat(const Attributes& attributes);
/// `valid`: FUSE_SET_ATTR_... bits.
[[nodiscard]] SetAttributes to_set_attributes(const struct stat& wanted, int valid);
/// l_len 0 = to the end. Nothing if empty, inverted or negative.
[[nodiscard]] std::optional<ByteRange> to_range(const struct flock& lock);
/// The answer to F_GETLK. A foreign pid would be shown as that of a local process: 0 then.
[[nodiscard]] struct flock to_flock(const std::optional<Conflict>& conflict);

}  // namespace holdfast::fs
