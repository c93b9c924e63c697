#pragma once
/// What the controller remembers of a volume it made, in a file on the share: lines of key=value,
/// values escaped. Pure.

#include "deploy/csi/core/parameters.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::csi {

/// Below each share; a volume's record is in it, named for the volume, and what is being removed.
inline constexpr std::string_view kRecordsDirectory = ".holdfast-csi";
inline constexpr std::string_view kRecordSuffix = ".volume";
inline constexpr std::string_view kRemovalSuffix = ".removed";
inline constexpr std::size_t kRecordBytesMax = 16'384;

struct Record {
  std::string name;
  std::string directory;
  std::int64_t capacity_bytes = 0;  ///< 0 = nothing was asked for
  OnDelete on_delete = OnDelete::kDelete;

  friend bool operator==(const Record&, const Record&) = default;
};

[[nodiscard]] std::string to_text(const Record& record);
/// Nothing: not a record, or of a version we do not know. Keys we do not know are skipped.
[[nodiscard]] std::optional<Record> parse_record(std::string_view text);

[[nodiscard]] std::string record_file(const std::string& name);
[[nodiscard]] std::string removal_name(const std::string& name);

}  // namespace holdfast::csi
