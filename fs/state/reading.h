#pragma once
/// The live state of somebody else's mount.
///
/// Needs nothing of the mount's process: it may hang, or have been killed. Thread: one at a time.

#include "fs/published/file.h"
#include "fs/state/page.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::fs::state {

struct OpenRequest {
  std::uint64_t since = 0;
  std::string operation;  ///< "LOOKUP"
  std::uint64_t node = 0;
  std::uint32_t pid = 0;
};

/// A page as it was at one moment, plain. Times as in page.h.
struct Snapshot {
  bool alive = false;  ///< its writer runs
  std::uint32_t pid = 0;
  std::uint64_t started = 0;
  std::string source;
  std::string mountpoint;
  std::string lockd;
  std::string node;
  std::uint64_t beat = 0;
  std::uint64_t session = 0;
  std::uint64_t epoch = 0;
  std::uint64_t entitled_until = 0;
  std::uint64_t suspended_since = 0;
  std::uint64_t connected_since = 0;
  std::uint64_t disconnected_since = 0;
  int lockd_error = 0;
  std::uint64_t locks = 0;
  std::uint64_t tokens = 0;
  std::uint64_t lockd_calls = 0;
  std::uint64_t storage_calls = 0;
  std::uint64_t storage_oldest = 0;
  std::string storage_procedure;  ///< of the oldest; empty = none
  std::uint64_t requests = 0;
  std::vector<OpenRequest> open;  ///< oldest first
};

class Reading {
 public:
  /// Of the mount with that FUSE connection. `where`: the directories in which mounts publish.
  /// Nothing if there is no page, or it belongs to neither root nor us.
  [[nodiscard]] static std::optional<Reading> of(std::string_view connection,
                                                 const std::vector<std::string>& where);
  [[nodiscard]] static std::optional<Reading> open(const std::string& path);

  [[nodiscard]] Snapshot snapshot() const;

 private:
  explicit Reading(published::View view) : view_(std::move(view)) {}
  published::View view_;
};

}  // namespace holdfast::fs::state
