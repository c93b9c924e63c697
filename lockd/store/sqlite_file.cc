#include "lockd/store/sqlite_file.h"

#include "holdfast/base/log.h"
#include "holdfast/base/unique_fd.h"
#include "lockd/store/sqlite_failure.h"
#include "lockd/store/sqlite_rows.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::lockd {
namespace {

constexpr std::int64_t kApplicationId = 0x48664c64;  // "HfLd"
constexpr mode_t kMode = 0600;                       // the sessions' secrets are inside

std::string directory_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

// 0, or the errno.
int sync_directory(const std::string& path) {
  const UniqueFd fd(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd && ::fsync(fd.get()) == 0 ? 0 : errno;
}

// What every connection starts with. PERSIST: SQLite zeroes and syncs the journal's head to commit;
// DELETE would need a sync of the directory that synchronous=FULL does not do (sqlite.org/pragma,
// "synchronous"), and WAL would drop committed transactions behind a damaged page in silence.
constexpr const char* kSettings =
    "PRAGMA locking_mode = EXCLUSIVE;"
    "PRAGMA trusted_schema = OFF;"
    "PRAGMA cell_size_check = ON;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA synchronous = FULL;";
constexpr const char* kJournal = "PRAGMA journal_mode = PERSIST;";

void fill(const std::string& path, bool empty) {
  Sqlite database(path);
  database.run(kSettings);
  database.run("BEGIN EXCLUSIVE");
  database.run(kSchema);
  database.run(
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", kApplicationId, kFormat)
          .c_str());
  MetaRow meta;
  meta.empty = empty;
  write_meta(database, meta);
  database.run("COMMIT");
}

// Directory and file may be written, as far as the system says so beforehand. 0 or an errno.
int check_access(const std::string& path) {
  struct stat status {};
  if (::stat(directory_of(path).c_str(), &status) != 0) return errno;
  // The directory too: SQLite's journal lies beside the file. faccessat(2) with AT_EACCESS asks for
  // the effective user; EROFS comes for root as well.
  if (::faccessat(AT_FDCWD, directory_of(path).c_str(), W_OK | X_OK, AT_EACCESS) != 0) return errno;
  if (::stat(path.c_str(), &status) != 0) return errno == ENOENT ? 0 : errno;
  return ::faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK, AT_EACCESS) == 0 ? 0 : errno;
}

// Gives the file its name unless that is taken. 0 or an errno. Some file systems have no
// RENAME_NOREPLACE (rename(2): EINVAL), others no hard links.
int publish(const std::string& made, const std::string& path) {
  if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL) return errno;
  return ::link(made.c_str(), path.c_str()) == 0 ? 0 : errno;
}

}  // namespace

// Made under another name and then renamed, so that a file under the right name is complete: lockd
// killed in between leaves no store that it would refuse later.
wire::Started SqliteFile::create(const std::string& path, bool empty) {
  if (const int number = check_access(path); number != 0) return inaccessible(path, number);
  // A random name: two lockds that start at once in two containers may have the same process
  // number.
  std::string made = path + ".new-XXXXXX";
  UniqueFd fd(::mkostemp(made.data(), O_CLOEXEC));  // mode 0600
  if (!fd) return inaccessible(path, errno);
  fd.reset();
  int number = 0;
  try {
    fill(made, empty);
    number = publish(made, path);
  } catch (const SqliteError& error) {
    number = errno_of(error);
  }
  ::unlink(made.c_str());
  ::unlink((made + "-journal").c_str());
  if (number == 0) number = sync_directory(path);
  if (number != 0) return inaccessible(path, number);
  return boost::system::in_place_value;
}

SqliteFile::Opened SqliteFile::open(const std::string& path) {
  if (const int number = check_access(path); number != 0) return inaccessible(path, number);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    log::info("store.created", "path={} meaning=\"nothing is known of earlier leases\"", path);
    const auto created = create(path, true);
    // Another lockd that starts now was quicker: the lock below decides.
    if (!created && created.error().code != errno_code(EEXIST)) return created.error();
  } else if (!S_ISREG(status.st_mode)) {
    return foreign(path, "no regular file");
  } else if (status.st_size == 0) {
    // SQLite takes an empty file for a new database; ours is never empty under this name.
    return damaged(path, "it is empty");
  } else if ((status.st_mode & 077) != 0) {
    log::warn("store.mode", "path={} mode={:o} meaning=\"others could read secrets; now 600\"",
              path, status.st_mode & 07777);
    ::chmod(path.c_str(), kMode);
  }
  try {
    std::unique_ptr<SqliteFile> file(new SqliteFile(path));  // NOLINT: private constructor
    if (auto sound = file->check(); !sound) return sound.error();
    return file;
  } catch (const SqliteError& error) {
    return refused(path, error);
  } catch (const Damaged& error) {
    return damaged(path, error.what());
  }
}

SqliteFile::SqliteFile(std::string path) : path_(std::move(path)), database_(path_) {}

// The lock comes before anything is read or judged; in exclusive mode it outlives the transaction
// (sqlite.org/pragma, "locking_mode").
wire::Started SqliteFile::check() {
  database_.run(kSettings);
  database_.run("BEGIN EXCLUSIVE");
  if (database_.number("PRAGMA application_id") != kApplicationId) {
    return foreign(path_, "an SQLite database of another application");
  }
  const std::int64_t format = database_.number("PRAGMA user_version");
  if (format > kFormat) return newer_format(path_, format, kFormat);
  if (format != kFormat && format != 1)
    throw Damaged(fmt::format("format {} does not exist", format));
  const std::string verdict = database_.text("PRAGMA quick_check(1)");
  if (verdict != "ok") throw Damaged(verdict);
  if (format != kFormat) {
    database_.run(kFromFormat1);
    database_.run(fmt::format("PRAGMA user_version = {}", kFormat).c_str());
    log::info("store.upgraded", "path={} from_format={} to_format={}", path_, format, kFormat);
  }
  database_.run("COMMIT");
  database_.run(kJournal);
  return boost::system::in_place_value;
}

SqliteFile::Begun SqliteFile::begin_life(std::uint64_t wall_seconds,
                                         std::chrono::milliseconds lease_ttl) {
  lease_ttl_ = lease_ttl;
  try {
    database_.run("BEGIN IMMEDIATE");
    Recovered recovered = read_all(database_);
    MetaRow meta = read_meta(database_);
    const bool is_new = meta.empty && meta.epoch.value == 0;
    if (!is_new) recovered.before = meta.epoch;
    // Not below the wall clock, so that also after a deleted store epochs grow.
    meta.epoch = {std::max(meta.epoch.value + 1, wall_seconds)};
    meta.lease_ttl_max = std::max(meta.lease_ttl_max, lease_ttl);
    write_meta(database_, meta);
    database_.run("COMMIT");
    recovered.epoch = meta.epoch;
    recovered.lease_ttl_max = meta.lease_ttl_max;
    return recovered;
  } catch (const SqliteError& error) {
    database_.roll_back();
    return refused(path_, error);
  } catch (const Damaged& error) {
    database_.roll_back();
    return damaged(path_, error.what());
  }
}

Result<void> SqliteFile::write(const StoreChanges& changes) {
  try {
    database_.run("BEGIN IMMEDIATE");
    MetaRow meta = read_meta(database_);
    for (const StoreChange& change : changes)
      apply(database_, meta, change, lease_ttl_);
    write_meta(database_, meta);
    database_.run("COMMIT");
    return boost::system::in_place_value;
  } catch (const SqliteError& error) {
    log::warn("store.write_failed", "path={} code={} errno={} error=\"{}\"", path_, error.code(),
              error.system_errno(), error.what());
    database_.roll_back();
    return errno_code(errno_of(error));
  } catch (const Damaged& error) {
    log::error("store.damaged", "path={} error=\"{}\"", path_, error.what());
    database_.roll_back();
    return errno_code(EIO);
  }
}

}  // namespace holdfast::lockd
