#pragma once
/// The counters of somebody else's mount, found by a directory in it.
///
/// Needs nothing of the mount's process: it may hang. Thread: one at a time.

#include "fs/counters/page.h"
#include "holdfast/base/histogram.h"
#include "holdfast/base/unique_fd.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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
  [[nodiscard]] std::uint32_t pid() const { return page_->pid; }

 private:
  /// Those whose names begin so, without that; empty: those that begin in no special way.
  [[nodiscard]] Counts cells(std::string_view prefix) const;

  struct Unmap {
    void operator()(const Page* page) const;
  };
  Reading(UniqueFd file, std::unique_ptr<const Page, Unmap> page)
      : file_(std::move(file)), page_(std::move(page)) {}

  UniqueFd file_;
  std::unique_ptr<const Page, Unmap> page_;
};

}  // namespace holdfast::fs::counters
