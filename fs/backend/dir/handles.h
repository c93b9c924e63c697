#pragma once
/// Names of files that outlive descriptors, and the way back from a name to a file.
///
/// A handle is the kernel's (name_to_handle_at) if the filesystem has them and they fit, else inode
/// number and birth time. Both are the same in every process, whatever its privileges, so that two
/// mounts of one directory agree on the key of each file.
///
/// Thread: the loop.

#include "fs/backend/types.h"
#include "holdfast/base/result.h"
#include "holdfast/base/unique_fd.h"

#include <cstddef>
#include <list>
#include <string>
#include <unordered_map>

#include <sys/stat.h>
#include <sys/types.h>

namespace holdfast::fs::dir {

/// A file, open with O_PATH, and what fstat says about it.
struct Node {
  UniqueFd fd;
  struct stat status {};
};

class Handles {
 public:
  /// Descriptors kept where the kernel does not open handles. Past it the least recently used one
  /// is closed; it is found again by name.
  static constexpr std::size_t kFdsMax = 4096;
  /// Names remembered for that. Past it the oldest is forgotten: ESTALE if it is asked for.
  static constexpr std::size_t kNamesMax = 1'000'000;

  /// `root` is an O_PATH descriptor.
  static Result<Handles> make(UniqueFd root);

  [[nodiscard]] const FileHandle& root() const { return root_handle_; }
  [[nodiscard]] int root_fd() const { return root_.get(); }
  /// Files can be opened by handle alone; else remember() is needed for each handle given out.
  [[nodiscard]] bool by_handle() const { return by_handle_; }

  [[nodiscard]] Result<FileHandle> name(int fd, const struct stat& status) const;
  /// ESTALE if the file is gone or the handle is not ours.
  [[nodiscard]] Result<Node> open(const FileHandle& handle);

  /// The file of `handle`, open as `fd` (duplicated), was seen as `name` in `directory`. No-op if
  /// by_handle().
  void remember(const FileHandle& handle, const FileHandle& directory, const std::string& name,
                int fd);

 private:
  struct Place {
    FileHandle directory;
    std::string name;
    std::list<FileHandle>::iterator age;
    UniqueFd fd;                             // may be closed
    std::list<FileHandle>::iterator fd_age;  // valid while fd is open
  };

  Handles() = default;
  [[nodiscard]] Result<UniqueFd> open_by_kernel(const FileHandle& handle) const;
  [[nodiscard]] Result<UniqueFd> open_by_place(const FileHandle& handle, int depth);
  void keep_fd(Place& place, const FileHandle& handle, UniqueFd fd);
  void trim();

  UniqueFd root_;
  UniqueFd mount_;  // not O_PATH: what open_by_handle_at wants
  FileHandle root_handle_;
  dev_t root_device_ = 0;
  bool by_handle_ = false;
  std::unordered_map<FileHandle, Place> places_;
  std::list<FileHandle> ages_;     // of all places, least recently used first
  std::list<FileHandle> fd_ages_;  // of those with an open descriptor
};

/// `name` in the open directory `directory`, not followed, not leaving this mount.
[[nodiscard]] Result<Node> open_child(int directory, const std::string& name);
[[nodiscard]] Result<struct stat> status_of(int fd);

}  // namespace holdfast::fs::dir
