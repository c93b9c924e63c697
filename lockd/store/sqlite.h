#pragma once
/// The little of SQLite's C API that the store needs. Private to lockd/store.
///
/// Errors are exceptions in here, because nearly every call can fail and all failures mean the same
/// to the caller (nothing was changed, or it is unknown); SqliteFile turns them into values.
/// Thread: one at a time.

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace holdfast::lockd {

class SqliteError : public std::runtime_error {
 public:
  SqliteError(int code, int system_errno, const std::string& message)
      : std::runtime_error(message), code_(code), system_errno_(system_errno) {}
  /// Extended result code.
  [[nodiscard]] int code() const { return code_; }
  /// The primary result code.
  [[nodiscard]] int kind() const { return code_ & 0xff; }
  /// Of the call that failed, where there was one.
  [[nodiscard]] int system_errno() const { return system_errno_; }

 private:
  int code_;
  int system_errno_;
};

class Sqlite {
 public:
  /// The file must exist.
  explicit Sqlite(const std::string& path);
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  /// One or more statements without results that matter.
  void run(const char* sql);
  /// First column of the first row.
  [[nodiscard]] std::int64_t number(const char* sql);
  [[nodiscard]] std::string text(const char* sql);
  /// Ends an open transaction, if there is one. Never fails: where SQLite cannot undo, it does so
  /// at the next access.
  void roll_back() noexcept;

 private:
  friend class Statement;
  [[noreturn]] void fail(int code) const;
  sqlite3* handle_ = nullptr;
};

/// A prepared statement: bind all parameters in order, then step.
class Statement {
 public:
  Statement(Sqlite& database, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(std::uint64_t value);
  Statement& bind_text(std::string_view value);
  Statement& bind_blob(std::string_view value);
  /// True: there is a row, whose columns next_*() read from left to right.
  [[nodiscard]] bool step();
  /// For statements without rows.
  void done();

  [[nodiscard]] std::uint64_t next_number();
  [[nodiscard]] std::string next_bytes();

 private:
  Sqlite& database_;
  sqlite3_stmt* handle_ = nullptr;
  int bound_ = 0;
  int column_ = 0;
};

}  // namespace holdfast::lockd
