#include "cli/torture/db.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

namespace holdfast::torture {

namespace {
/// Where in SQLite damage was noticed says more than the code: "database corruption at line N".
void log_damage(void*, int code, const char* text) {
  const int primary = code & 0xff;
  if (primary != SQLITE_CORRUPT && primary != SQLITE_NOTADB) return;
  fmt::print(stderr, "torture: pid {}: SQLite says: {}\n", ::getpid(), text);
}

/// Only before SQLite is first used.
void configure_once() {
  static const int configured = sqlite3_config(SQLITE_CONFIG_LOG, &log_damage, nullptr);
  (void)configured;
}
}  // namespace

Db::~Db() {
  close();
}

void Db::close() {
  if (db_ != nullptr) sqlite3_close_v2(db_);
  db_ = nullptr;
}

int Db::open(const std::string& path, int busy_timeout_ms, const char* vfs) {
  configure_once();
  close();
  code_ = sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs);
  if (db_ == nullptr) return code_;
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_timeout(db_, busy_timeout_ms);
  return code_;
}

int Db::exec(const std::string& sql, const std::function<void(sqlite3_stmt*)>& row) {
  const char* next = sql.c_str();
  while (*next != '\0') {
    sqlite3_stmt* statement = nullptr;
    code_ = sqlite3_prepare_v2(db_, next, -1, &statement, &next);
    if (code_ != SQLITE_OK) return code_;
    if (statement == nullptr) continue;  // white space or a comment
    int step = SQLITE_ROW;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW)
      if (row) row(statement);
    code_ = step == SQLITE_DONE ? SQLITE_OK : step;
    sqlite3_finalize(statement);
    if (code_ != SQLITE_OK) return code_;
  }
  return code_;
}

Db::Number Db::number(const std::string& sql) {
  Number out{0, 0};
  bool first = true;
  out.code = exec(sql, [&](sqlite3_stmt* statement) {
    if (first) out.value = sqlite3_column_int64(statement, 0);
    first = false;
  });
  return out;
}

bool Db::idle() const {
  return db_ == nullptr || sqlite3_get_autocommit(db_) != 0;
}

std::string Db::error() const {
  return fmt::format("{} ({}, errno {})", code_name(code_), db_ ? sqlite3_errmsg(db_) : "no memory",
                     db_ ? sqlite3_system_errno(db_) : 0);
}

bool is_busy(int code) {
  return (code & 0xff) == SQLITE_BUSY;
}

bool is_io_error(int code) {
  // A writer that died of an I/O error leaves a hot journal; who cannot roll it back for the same
  // reason sees CANTOPEN or READONLY_ROLLBACK.
  return (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
}

bool is_excused(int code, const Options& options) {
  if (is_io_error(code) && options.tolerate_io_errors) return true;
  // SQLite asks stat() whether its file has moved, and opens read-only what it cannot open to write
  // (os_unix.c): with the mount gone for a moment, both end as READONLY.
  // A wal-index whose header cannot be read for 10 s, its writer being stuck, ends as PROTOCOL.
  const int primary = code & 0xff;
  return options.tolerate_remounts &&
         (is_io_error(code) || primary == SQLITE_READONLY || primary == SQLITE_PROTOCOL);
}

bool is_excused_errno(int error, const Options& options) {
  // ESTALE: read(2) through a descriptor whose lock was lost.
  const bool of_a_server = error == EIO || error == ENOLCK || error == ETIMEDOUT || error == ESTALE;
  if (of_a_server && (options.tolerate_io_errors || options.tolerate_remounts)) return true;
  // A dead FUSE connection answers ENOTCONN, what was under way ECONNABORTED or ENODEV; ENOENT is
  // the empty directory below, until it is mounted again.
  return options.tolerate_remounts &&
         (error == ENOTCONN || error == ECONNABORTED || error == ENODEV || error == ENOENT);
}

std::string code_name(int code) {
  const char* name = "SQLITE_ERROR";
  switch (code & 0xff) {
    case SQLITE_BUSY:
      name = "SQLITE_BUSY";
      break;
    case SQLITE_LOCKED:
      name = "SQLITE_LOCKED";
      break;
    case SQLITE_READONLY:
      name = "SQLITE_READONLY";
      break;
    case SQLITE_IOERR:
      name = "SQLITE_IOERR";
      break;
    case SQLITE_CORRUPT:
      name = "SQLITE_CORRUPT";
      break;
    case SQLITE_FULL:
      name = "SQLITE_FULL";
      break;
    case SQLITE_CANTOPEN:
      name = "SQLITE_CANTOPEN";
      break;
    case SQLITE_PROTOCOL:
      name = "SQLITE_PROTOCOL";
      break;
    case SQLITE_CONSTRAINT:
      name = "SQLITE_CONSTRAINT";
      break;
    case SQLITE_NOTADB:
      name = "SQLITE_NOTADB";
      break;
    default:
      break;
  }
  return fmt::format("{} [{}]", name, code);
}

}  // namespace holdfast::torture
