#pragma once
/// A file whose flock(2) says that its holder lives. Its name can go with the holder:
///
/// Whoever opened the file before its name was removed may get the lock on it afterwards, while
/// others make and lock a new file of that name: two holders. So a lock counts only on the file
/// that has the name once it is locked, and the name is removed only by who holds the lock.

#include "holdfast/base/result.h"
#include "holdfast/base/unique_fd.h"

#include <string>

#include <sys/types.h>

namespace holdfast::cli {

/// The file at `path`, made with `mode` if it is missing, locked exclusively until it is closed, or
/// until its holder, as his last act, has removed the name with unlink(2). Tries for a tenth of a
/// second: who only looks whether somebody lives holds the lock for a moment. Thread: any; sleeps.
/// Errors: EWOULDBLOCK: somebody has it. open(2)'s.
[[nodiscard]] Result<UniqueFd> hold_lock_file(const std::string& path, mode_t mode);

}  // namespace holdfast::cli
