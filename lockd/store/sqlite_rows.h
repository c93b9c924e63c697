#pragma once
/// The rows of the store file and their checksums. Private to lockd/store.
///
/// SQLite has no checksums of its own: a flipped bit within a value is read as another value. So
/// each row carries a sum of its contents, and the one row of `meta` carries the number of all
/// other rows and the exclusive or of their sums: a record that changed, went missing or came back
/// is noticed at the next start. Against decay, not against an attacker.
///
/// All functions throw SqliteError; those that read throw Damaged for rows that contradict their
/// sums.

#include "lockd/core/records.h"
#include "lockd/store/sqlite.h"

#include <chrono>
#include <cstdint>
#include <stdexcept>

namespace holdfast::lockd {

class Damaged : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Format 2 of the schema, for an empty database; and what makes a database of format 1 one of
/// format 2. The columns that are new count in a row's sum only where they say something, so rows
/// of format 1 keep their sums.
inline constexpr std::int64_t kFormat = 2;
extern const char* const kSchema;
extern const char* const kFromFormat1;

struct MetaRow {
  Epoch epoch;
  bool empty = true;
  std::chrono::milliseconds lease_ttl_max{0};
  std::uint64_t rows = 0;    ///< in `sessions` and `losses`
  std::uint64_t digest = 0;  ///< exclusive or of their sums
};
[[nodiscard]] MetaRow read_meta(Sqlite& database);
void write_meta(Sqlite& database, const MetaRow& meta);

/// Keeps `meta.rows` and `meta.digest` in step. Within a transaction.
void apply(Sqlite& database, MetaRow& meta, const StoreChange& change,
           std::chrono::milliseconds lease_ttl);

/// Everything, checked against the sums.
[[nodiscard]] Recovered read_all(Sqlite& database);

}  // namespace holdfast::lockd
