#pragma once
/// lockd's store file: SQLite, format 1 (docs/adr/0008). Blocking. Private to lockd/store.
///
/// Thread: one at a time. Lock: SQLite's exclusive lock on the file from open() to destruction, so
/// that no second lockd acts on the same records. POSIX drops it when this process closes any other
/// descriptor of the file: nobody else in the process may open it.

#include "holdfast/base/result.h"
#include "holdfast/wire/start_failure.h"
#include "lockd/core/records.h"
#include "lockd/store/sqlite.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace holdfast::lockd {

class SqliteFile {
 public:
  using Opened = boost::system::result<std::unique_ptr<SqliteFile>, wire::StartFailure>;
  using Begun = boost::system::result<Recovered, wire::StartFailure>;

  /// Creates the file (mode 0600) with what a store holds that knows nothing (`empty`), or that
  /// knows that there is nothing to know. Durable on return, or it does not exist. EEXIST if it
  /// did.
  [[nodiscard]] static wire::Started create(const std::string& path, bool empty);
  /// Locks and checks the file; creates it if there is none.
  [[nodiscard]] static Opened open(const std::string& path);

  /// Reads all and makes the new epoch durable.
  [[nodiscard]] Begun begin_life(std::uint64_t wall_seconds, std::chrono::milliseconds lease_ttl);
  /// One transaction. Errors: ENOSPC, EDQUOT, EFBIG, EROFS, EACCES, else EIO; nothing was changed,
  /// and it may be repeated.
  [[nodiscard]] Result<void> write(const StoreChanges& changes);

 private:
  explicit SqliteFile(std::string path);
  [[nodiscard]] wire::Started check();
  std::string path_;
  Sqlite database_;
  std::chrono::milliseconds lease_ttl_{0};
};

}  // namespace holdfast::lockd
