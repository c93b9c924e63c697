#include "lockd/store/sqlite.h"

#include <sqlite3.h>

namespace holdfast::lockd {

Sqlite::Sqlite(const std::string& path) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = ::sqlite3_open_v2(path.c_str(), &handle_, flags, nullptr);
  if (code == SQLITE_OK) return;
  const SqliteError error(code, handle_ == nullptr ? 0 : ::sqlite3_system_errno(handle_),
                          ::sqlite3_errstr(code));
  ::sqlite3_close_v2(handle_);
  throw error;
}

Sqlite::~Sqlite() {
  ::sqlite3_close_v2(handle_);
}

void Sqlite::fail(int code) const {
  int number = ::sqlite3_system_errno(handle_);
  // What a write met (EDQUOT, EFBIG) is kept with the file it met it at.
  if (number == 0) ::sqlite3_file_control(handle_, "main", SQLITE_FCNTL_LAST_ERRNO, &number);
  sqlite3_file* journal = nullptr;
  if (number == 0) ::sqlite3_file_control(handle_, "main", SQLITE_FCNTL_JOURNAL_POINTER, &journal);
  if (journal != nullptr && journal->pMethods != nullptr) {
    journal->pMethods->xFileControl(journal, SQLITE_FCNTL_LAST_ERRNO, &number);
  }
  throw SqliteError(code, number, ::sqlite3_errmsg(handle_));
}

void Sqlite::run(const char* sql) {
  const int code = ::sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

std::int64_t Sqlite::number(const char* sql) {
  Statement statement(*this, sql);
  if (!statement.step()) fail(SQLITE_CORRUPT);
  return static_cast<std::int64_t>(statement.next_number());
}

std::string Sqlite::text(const char* sql) {
  Statement statement(*this, sql);
  if (!statement.step()) fail(SQLITE_CORRUPT);
  return statement.next_bytes();
}

void Sqlite::roll_back() noexcept {
  if (::sqlite3_get_autocommit(handle_) == 0) {
    ::sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

Statement::Statement(Sqlite& database, const char* sql) : database_(database) {
  const int code = ::sqlite3_prepare_v2(database.handle_, sql, -1, &handle_, nullptr);
  if (code != SQLITE_OK) database.fail(code);
}

Statement::~Statement() {
  ::sqlite3_finalize(handle_);
}

Statement& Statement::bind(std::uint64_t value) {
  // SQLite's integers are signed; the bits are what matters.
  const int code = ::sqlite3_bind_int64(handle_, ++bound_, static_cast<std::int64_t>(value));
  if (code != SQLITE_OK) database_.fail(code);
  return *this;
}

Statement& Statement::bind_text(std::string_view value) {
  const int code = ::sqlite3_bind_text64(handle_, ++bound_, value.data(), value.size(),
                                         SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK) database_.fail(code);
  return *this;
}

Statement& Statement::bind_blob(std::string_view value) {
  const int code =
      ::sqlite3_bind_blob64(handle_, ++bound_, value.data(), value.size(), SQLITE_TRANSIENT);
  if (code != SQLITE_OK) database_.fail(code);
  return *this;
}

bool Statement::step() {
  column_ = 0;
  const int code = ::sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_.fail(code);
  return false;
}

void Statement::done() {
  while (step()) {
  }
}

std::uint64_t Statement::next_number() {
  return static_cast<std::uint64_t>(::sqlite3_column_int64(handle_, column_++));
}

std::string Statement::next_bytes() {
  const int column = column_++;
  // The blob's bytes of a text are the text's, NULs included.
  const void* data = ::sqlite3_column_blob(handle_, column);
  const auto size = static_cast<std::size_t>(::sqlite3_column_bytes(handle_, column));
  return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
}

}  // namespace holdfast::lockd
