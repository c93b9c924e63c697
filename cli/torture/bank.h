#pragma once
/// The bank: 100 accounts, transfers that keep the sum, one ledger row per transaction. Used by the
/// modes bank (rollback journals) and wal.

#include "cli/torture/load.h"

#include <cstdint>
#include <string>

namespace holdfast::torture {

inline constexpr int kAccounts = 100;
inline constexpr int kInitialBalance = 1000;

struct Bank {
  std::string file;          ///< name of the database in the work directory
  std::string journal_mode;  ///< as PRAGMA journal_mode takes it
  std::uint16_t resource;    ///< for the history
  /// Errors other than BUSY through directories but the first count as refusals, not violations
  /// (wal: another mount may be kept out). CORRUPT and NOTADB are violations everywhere.
  bool others_may_be_refused = false;
};

/// Creates the database through directory `dir`; 0 = done.
[[nodiscard]] int create_bank(Arena& arena, const Bank& bank, std::size_t dir);
/// Transfers and snapshot checks until asked to stop; 0.
[[nodiscard]] int work_in_bank(Arena& arena, const Bank& bank, WorkerId id);
/// integrity_check, foreign_key_check, the sum, every balance from the ledger, every acknowledged
/// row, as directory `dir` shows them; 0, violations are reported.
[[nodiscard]] int audit_bank(Arena& arena, const Bank& bank, std::size_t dir);

/// scratch counter of refusals (others_may_be_refused).
inline constexpr std::size_t kRefusedScratch = 0;

}  // namespace holdfast::torture
