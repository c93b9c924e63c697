#include "cli/bench/fs/database.h"

#include <stdexcept>

#include <fmt/format.h>
#include <sqlite3.h>

namespace holdfast::bench::fs {

Database::Database(const std::string& path, int busy_timeout_ms) {
  if (sqlite3_open(path.c_str(), &handle_) != SQLITE_OK) {
    const std::string why = sqlite3_errmsg(handle_);
    sqlite3_close(handle_);
    throw std::runtime_error(fmt::format("SQLite cannot open {}: {}", path, why));
  }
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_timeout(handle_, busy_timeout_ms);
}

Database::~Database() {
  sqlite3_close(handle_);
}

void Database::fail(const std::string& doing) {
  throw std::runtime_error(fmt::format("SQLite: {} ({}) at: {}", sqlite3_errmsg(handle_),
                                       sqlite3_extended_errcode(handle_), doing));
}

void Database::run(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail(sql);
}

std::int64_t Database::number(const std::string& sql) {
  return Statement(*this, sql).run();
}

std::string Database::text(const std::string& sql) {
  return Statement(*this, sql).text();
}

Database::Statement::Statement(Database& database, const std::string& sql) : database_(database) {
  if (sqlite3_prepare_v2(database.handle_, sql.c_str(), -1, &statement_, nullptr) != SQLITE_OK)
    database.fail(sql);
}

Database::Statement::~Statement() {
  sqlite3_finalize(statement_);
}

bool Database::Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    const std::string doing = sqlite3_sql(statement_);
    database_.fail(doing);
  }
  return code == SQLITE_ROW;
}

std::int64_t Database::Statement::run(std::int64_t first, std::int64_t second) {
  const int places = sqlite3_bind_parameter_count(statement_);
  if (places > 0) sqlite3_bind_int64(statement_, 1, first);
  if (places > 1) sqlite3_bind_int64(statement_, 2, second);
  const std::int64_t value = step() ? sqlite3_column_int64(statement_, 0) : 0;
  sqlite3_reset(statement_);
  return value;
}

std::string Database::Statement::text() {
  std::string value;
  if (step()) value = reinterpret_cast<const char*>(sqlite3_column_text(statement_, 0));
  sqlite3_reset(statement_);
  return value;
}

}  // namespace holdfast::bench::fs
