#pragma once
/// An SQLite connection for measurements: statements are prepared once, errors are thrown in words.

#include <cstdint>
#include <string>

struct sqlite3;
struct sqlite3_stmt;

namespace holdfast::bench::fs {

class Database {
 public:
  Database(const std::string& path, int busy_timeout_ms);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// One or more statements; rows are ignored.
  void run(const std::string& sql);
  /// The first column of the first row.
  [[nodiscard]] std::int64_t number(const std::string& sql);
  [[nodiscard]] std::string text(const std::string& sql);

  class Statement {
   public:
    Statement(Database& database, const std::string& sql);
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    /// Binds ?1 and ?2 as far as the statement has them; returns the first column of the first
    /// row, 0 without one.
    std::int64_t run(std::int64_t first = 0, std::int64_t second = 0);
    [[nodiscard]] std::string text();

   private:
    /// Whether there is a row.
    bool step();
    Database& database_;
    sqlite3_stmt* statement_ = nullptr;
  };

 private:
  [[noreturn]] void fail(const std::string& doing);
  sqlite3* handle_ = nullptr;
};

}  // namespace holdfast::bench::fs
