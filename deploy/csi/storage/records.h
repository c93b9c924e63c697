#pragma once
/// The records of volumes on a share: files in .holdfast-csi, each written whole or not at all.
///
/// A volume that the controller made exists as long as its record does. Errors: those of the
/// storage.

#include "deploy/csi/core/record.h"
#include "deploy/csi/storage/tree.h"

#include <optional>
#include <string>
#include <vector>

namespace holdfast::csi {

/// The directory of the records; made (mode 0700) with Missing::kMake, else ENOENT.
[[nodiscard]] Storage<fs::Entry> records_of(fs::Backend& backend, fs::Entry root, Missing missing);

/// ENOENT: no such record. EUCLEAN: there is one, but it cannot be understood.
[[nodiscard]] Storage<Record> read_record(fs::Backend& backend, fs::Entry records,
                                          std::string name);
enum class Existing { kKeep, kReplace };
/// With kKeep EEXIST if there is one. On stable storage when it returns.
[[nodiscard]] Storage<void> write_record(fs::Backend& backend, fs::Entry records, Record record,
                                         Existing existing);
/// Done if there is none.
[[nodiscard]] Storage<void> remove_record(fs::Backend& backend, fs::Entry records,
                                          std::string name);
/// Those that can be understood.
[[nodiscard]] Storage<std::vector<Record>> all_records(fs::Backend& backend, fs::Entry records);

}  // namespace holdfast::csi
