#pragma once
/// Memory of a mount that other programs map as a file: what it counts (fs/counters) and what it is
/// doing (fs/state). Readers need nothing of the mount's process: it may hang, or be dead (ADR 14,
/// 18).
///
/// The file is DIRECTORY/KIND-CONNECTION, where the connection is the minor device number of the
/// mount. Its writer holds flock(2) on it, so that everybody sees whether it lives.

#include "holdfast/base/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace holdfast::fs::published {

/// What all such memory begins with.
struct Head {
  std::array<char, 8> magic{};  ///< ends with a zero byte
  std::uint32_t version = 0;
  std::uint32_t pid = 0;  ///< of the mount, in its own namespace of processes
};

/// One sort of them. `size` and `version` are a promise to readers.
struct Kind {
  std::string_view name;
  std::string_view magic;
  std::uint32_t version = 0;
  std::size_t size = 0;
};

[[nodiscard]] std::string path_of(std::string_view directory, const Kind& kind,
                                  std::string_view connection);
/// Connections of which there is such a file, whoever's and however old it is.
[[nodiscard]] std::set<std::string> connections_in(const std::string& directory, const Kind& kind);

/// The writer's side. Thread: one; the memory is whatever its user makes it.
class File {
 public:
  /// `directory` must exist. If nothing can be written there, the memory is for this process alone,
  /// and publish() tells why. Throws if there is no memory.
  File(std::string directory, const Kind& kind);
  /// Takes the file away.
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  /// Zeroes at first; as long as this object.
  [[nodiscard]] void* memory() const;
  /// For the beginning of the memory.
  [[nodiscard]] Head head() const;
  /// From now on readers find it, as that of this connection. What a dead mount left there goes.
  [[nodiscard]] Result<void> publish(std::string_view connection);

 private:
  struct Mapped;
  ErrorCode begin();

  std::string directory_;
  Kind kind_;
  std::string path_;
  ErrorCode failed_;
  std::unique_ptr<Mapped> mapped_;
};

/// A reader's side. Thread: one at a time.
class View {
 public:
  /// Nothing if there is no such file, it is no such memory, or it belongs to neither root nor us.
  [[nodiscard]] static std::optional<View> open(const std::string& path, const Kind& kind);
  View(View&&) noexcept;
  View& operator=(View&&) noexcept;
  ~View();

  /// Written to by somebody else at any time; as long as this object.
  [[nodiscard]] const void* memory() const;
  [[nodiscard]] bool writer_lives() const;

 private:
  struct Mapped;
  explicit View(std::unique_ptr<Mapped> mapped);
  std::unique_ptr<Mapped> mapped_;
};

}  // namespace holdfast::fs::published
