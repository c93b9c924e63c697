#pragma once
/// Why a store file is refused, in words: what happened, what it means, what to do. Private to
/// lockd/store.

#include "holdfast/wire/start_failure.h"
#include "lockd/store/sqlite.h"

#include <string>

namespace holdfast::lockd {

/// The errno that says best what went wrong; EIO where nothing better is known.
[[nodiscard]] int errno_of(const SqliteError& error);

[[nodiscard]] wire::StartFailure damaged(const std::string& path, const std::string& detail);
[[nodiscard]] wire::StartFailure foreign(const std::string& path, const std::string& detail);
[[nodiscard]] wire::StartFailure newer_format(const std::string& path, long long found,
                                              long long known);
/// Of a system call on the file or its directory, or of SQLite's.
[[nodiscard]] wire::StartFailure inaccessible(const std::string& path, int number);
[[nodiscard]] wire::StartFailure refused(const std::string& path, const SqliteError& error);

}  // namespace holdfast::lockd
