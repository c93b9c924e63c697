#pragma once
/// A thin, owned SQLite connection. Return codes are SQLite's extended ones; nothing throws.

#include "cli/torture/options.h"

#include <cstdint>
#include <functional>
#include <string>

struct sqlite3;
struct sqlite3_stmt;

namespace holdfast::torture {

class Db {
 public:
  Db() = default;
  ~Db();
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;

  /// `vfs` null = the default one.
  [[nodiscard]] int open(const std::string& path, int busy_timeout_ms, const char* vfs = nullptr);
  void close();
  [[nodiscard]] bool is_open() const { return db_ != nullptr; }
  /// Runs one or more statements; rows are given to `row`, which must not use the connection.
  [[nodiscard]] int exec(const std::string& sql,
                         const std::function<void(sqlite3_stmt*)>& row = {});
  /// First column of the first row as an integer; `value` is 0 if there is none.
  struct Number {
    int code;
    std::int64_t value;
  };
  [[nodiscard]] Number number(const std::string& sql);
  /// True outside a transaction.
  [[nodiscard]] bool idle() const;
  /// "SQLITE_IOERR_READ (disk I/O error, errno 5)" for the last failed call.
  [[nodiscard]] std::string error() const;

 private:
  sqlite3* db_ = nullptr;
  int code_ = 0;
};

/// BUSY of any flavour: allowed, retried.
[[nodiscard]] bool is_busy(int code);
/// What a dead or restarted server may cause, and --tolerate-io-errors excuses. Never CORRUPT.
[[nodiscard]] bool is_io_error(int code);
/// What the options excuse: errors of a dead server, or of a mount that died and came back.
[[nodiscard]] bool is_excused(int code, const Options& options);
[[nodiscard]] bool is_excused_errno(int error, const Options& options);
[[nodiscard]] std::string code_name(int code);

}  // namespace holdfast::torture
