#include "lockd/store/sqlite_failure.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sqlite3.h>

namespace holdfast::lockd {

int errno_of(const SqliteError& error) {
  const int system = error.system_errno();
  switch (error.kind()) {
    case SQLITE_FULL:
      return ENOSPC;
    case SQLITE_READONLY:
      return EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return EBUSY;
    case SQLITE_PERM:
      return EACCES;
    case SQLITE_NOMEM:
      return ENOMEM;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      // SQLite keeps an errno here only where the call set one; stale values are of harmless kinds.
      if (system == ENOSPC || system == EDQUOT || system == EFBIG || system == EROFS ||
          system == EACCES) {
        return system;
      }
      return EIO;
    default:
      return EIO;
  }
}

wire::StartFailure damaged(const std::string& path, const std::string& detail) {
  return {.code = errno_code(EIO),
          .what = fmt::format("the store {} is damaged: {}", path, detail),
          .hint = fmt::format(
              "nothing is served on its word, and it was left as it is. The files of the volumes "
              "are not in it. Move it away (mv {0} {0}.damaged; the same for {0}-journal) and "
              "start again: mounts that hold locks then lose them (I/O errors until the file is "
              "closed), and new locks wait until every lease of before is over; keep --lease-ttl "
              "as it was",
              path)};
}

wire::StartFailure foreign(const std::string& path, const std::string& detail) {
  return {.code = errno_code(EINVAL),
          .what = fmt::format("{} is not a store of holdfast-lockd: {}", path, detail),
          .hint =
              "it was left as it is. Give another path with --store. If it was a store, its "
              "beginning was overwritten: move it away and start again; mounts that hold locks "
              "then lose them, and new locks wait until every lease of before is over"};
}

wire::StartFailure newer_format(const std::string& path, long long found, long long known) {
  return {
      .code = errno_code(EPROTONOSUPPORT),
      .what = fmt::format("the store {} has format {}, this holdfast-lockd knows format {}", path,
                          found, known),
      .hint = "a newer holdfast-lockd wrote it: start that version. The file was left as it is"};
}

wire::StartFailure inaccessible(const std::string& path, int number) {
  wire::StartFailure failure{
      .code = errno_code(number),
      .what = fmt::format("cannot use the store {}: {}", path, std::strerror(number)),
      .hint = {}};
  switch (number) {
    case EBUSY:
      failure.what = fmt::format("the store {} is in use by another holdfast-lockd", path);
      failure.hint = fmt::format(
          "only one may serve a volume; that one goes on undisturbed. Stop it first (fuser {} "
          "names it), or give this one a store and volumes of its own",
          path);
      break;
    case ENOENT:
      failure.hint = "its directory does not exist: create it (mode 0700), or give --store PATH";
      break;
    case EEXIST:
      failure.hint =
          "there is a store already, so locks may have been promised on its word: start without "
          "--new-volume";
      break;
    case EACCES:
    case EPERM:
      failure.hint =
          "this user may not write the file or its directory: run as the owner (root), or give "
          "another path with --store";
      break;
    case EROFS:
      failure.hint =
          "it lies on read-only storage, and what cannot be recorded cannot be promised: make it "
          "writable, or give another path with --store";
      break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      failure.hint =
          "the storage below it is full (or a quota or file size limit is), and what cannot be "
          "recorded cannot be promised: free some space (a few MB are plenty) and start again; "
          "nothing recorded is lost";
      break;
    default:
      failure.hint =
          "the storage below it fails (see the kernel's log): repair it, or move the file to "
          "sound storage and give its path with --store. Do not start with an empty store while "
          "mounts run, they would lose their locks";
  }
  return failure;
}

wire::StartFailure refused(const std::string& path, const SqliteError& error) {
  switch (error.kind()) {
    case SQLITE_NOTADB:
      return foreign(path, "no SQLite database");
    case SQLITE_CORRUPT:
    case SQLITE_ERROR:  // a table or column that is not there
    case SQLITE_SCHEMA:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_FORMAT:
      return damaged(path, error.what());
    default: {
      wire::StartFailure failure = inaccessible(path, errno_of(error));
      if (errno_of(error) == EIO) failure.what += fmt::format(" (SQLite: {})", error.what());
      return failure;
    }
  }
}

}  // namespace holdfast::lockd
