#pragma once
/// The node's mounts, changed: bind, unmount. Thread: any. Nothing here waits for a file system
/// that does not answer.

#include "deploy/csi/core/mount_table.h"
#include "deploy/csi/core/refusal.h"

#include <string>

namespace holdfast::csi {

[[nodiscard]] MountTable current_mounts();

/// As the mount table writes it: absolute, the parent without symbolic links. The last part is not
/// looked at: a dead file system may be mounted there. Errors: kNotFound, kInvalidArgument.
[[nodiscard]] Answer<std::string> table_path(const std::string& path);

enum class Access { kReadWrite, kReadOnly };
/// Shows `source` at `target` too, with that access from the first moment on.
[[nodiscard]] Done bind_mount(const std::string& source, const std::string& target, Access access);
/// Everything that is mounted at `path`; what is in use goes when its last user does.
[[nodiscard]] Done unmount_all(const std::string& path);
/// Out of the tree, whatever its state.
[[nodiscard]] Done detach(const std::string& path);

/// Done if it is there; the parents must be.
[[nodiscard]] Done make_directory(const std::string& path);
/// Done if it is not there. A directory with something in it is left alone.
[[nodiscard]] Done remove_directory(const std::string& path);

}  // namespace holdfast::csi
