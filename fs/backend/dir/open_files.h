#pragma once
/// Open descriptors for file data, so that one call is one system call. A cache: any entry may go
/// at any time.
///
/// An entry is bound to who opened it, as an open file description is. A file that was deleted is
/// answered with ESTALE although its descriptor would still work.
///
/// Thread: the loop.

#include "fs/backend/dir/acting.h"
#include "fs/backend/dir/handles.h"
#include "fs/backend/types.h"
#include "holdfast/base/result.h"
#include "holdfast/base/unique_fd.h"

#include <cstddef>
#include <list>

namespace holdfast::fs::dir {

enum class Use : std::uint8_t { kRead, kWrite };

class OpenFiles {
 public:
  static constexpr std::size_t kOpenMax = 128;

  OpenFiles(Privilege privilege, Handles& handles) : privilege_(privilege), handles_(handles) {}

  /// A descriptor to read from or write to `file` as `who`; valid until the next call of get() or
  /// forget(). Errors: ESTALE, EACCES, EISDIR, EINVAL (not a regular file), EROFS, those of
  /// open(2).
  [[nodiscard]] Result<int> get(const Credentials& who, const FileHandle& file, Use use);
  /// Closes what is open of `file`, so that its space can be freed.
  void forget(const FileHandle& file);

 private:
  struct Open {
    FileHandle file;
    Credentials who;
    Use use;
    UniqueFd fd;
  };
  [[nodiscard]] Result<UniqueFd> open(const Credentials& who, const FileHandle& file, Use use);

  Privilege privilege_;
  Handles& handles_;
  std::list<Open> open_;  // most recently used first; short, so a walk is cheaper than an index
};

}  // namespace holdfast::fs::dir
