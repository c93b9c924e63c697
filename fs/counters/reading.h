#pragma once
/// The counters of somebody else's mount, found by a directory in it.
///
/// Needs nothing of the mount's process: it may hang. Thread: one at a time.

#include "fs/counters/page.h"
#include "fs/published/file.h"
#include "holdfast/base/histogram.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::fs::counters {

/// Only what is not zero.
using Counts = std::map<std::string, std::uint64_t>;
using Gauges = std::map<std::string, std::uint64_t>;
using Timings = std::map<std::string, Histogram>;

class Reading {
 public:
  /// Of the mount that `directory` lies in. `where`: the directories in which mounts publish.
  /// Nothing if that is no Holdfast mount, publishes nothing, or its process is dead.
  [[nodiscard]] static std::optional<Reading> of(const std::string& directory,
                                                 const std::vector<std::string>& where);
  /// The same for a file known by name.
  [[nodiscard]] static std::optional<Reading> open(const std::string& path);
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] Gauges gauges() const;
  [[nodiscard]] Timings timings() const;
  [[nodiscard]] std::uint32_t pid() const { return page().head.pid; }

 private:
  /// Those whose names begin so, without that; empty: those that begin in no special way.
  [[nodiscard]] Counts cells(std::string_view prefix) const;

  explicit Reading(published::View view) : view_(std::move(view)) {}
  [[nodiscard]] const Page& page() const { return *static_cast<const Page*>(view_.memory()); }

  published::View view_;
};

}  // namespace holdfast::fs::counters
