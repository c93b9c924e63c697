#pragma once
/// `holdfast status` and `holdfast top` in words. Pure.

#include "cli/admin/mounts.h"
#include "fs/state/health.h"
#include "fs/state/reading.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

/// A mount of this node, and what it has published.
struct MountView {
  std::string connection;
  std::string source;
  std::vector<std::string> paths;  ///< where it is mounted, the first one first; not empty
  std::optional<fs::state::Snapshot> state;
  std::map<std::string, std::uint64_t> counts;  ///< fs/counters; only what is not zero
};

/// Holdfast's mounts, each once, in the order of the table. Nothing published is filled in.
[[nodiscard]] std::vector<MountView> holdfast_mounts(const std::vector<MountInfo>& lines);

/// "serving", "dead", ...; "unknown" for a mount that publishes nothing.
[[nodiscard]] std::string_view health_name(const MountView& mount, std::uint64_t now);
[[nodiscard]] std::string status_text(const std::vector<MountView>& mounts, std::uint64_t now);
[[nodiscard]] std::string status_json(const std::vector<MountView>& mounts, std::uint64_t now);
/// Every one serves, or is about to go on serving.
[[nodiscard]] bool all_serve(const std::vector<MountView>& mounts, std::uint64_t now);

/// Mounts at two moments, `ms` apart: rates. Mounts that were not there before have none.
struct TopView {
  std::vector<MountView> before;
  std::vector<MountView> after;
  std::uint64_t ms = 1;
  std::uint64_t now = 0;
};
[[nodiscard]] std::string top_text(const TopView& view);
[[nodiscard]] std::string top_json(const TopView& view);

}  // namespace holdfast::cli
