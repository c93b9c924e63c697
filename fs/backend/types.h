#pragma once
/// Plain values of the storage interface, in NFSv3's words (RFC 1813 section 2) without its
/// encoding.

#include "holdfast/lock/types.h"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/container/static_vector.hpp>

namespace holdfast::fs {

/// Opaque name of a file at the storage, at most 64 bytes (RFC 1813 NFS3_FHSIZE). Stable over
/// server restarts.
struct FileHandle {
  static constexpr std::size_t kSizeMax = 64;
  boost::container::static_vector<std::uint8_t, kSizeMax> bytes;

  friend bool operator==(const FileHandle& a, const FileHandle& b) { return a.bytes == b.bytes; }
  [[nodiscard]] std::uint64_t hash() const {  // FNV-1a: equal on every node, unlike std::hash
    std::uint64_t h = 0xcbf29ce484222325ULL;
    for (const std::uint8_t byte : bytes)
      h = (h ^ byte) * 0x100000001b3ULL;
    return h;
  }
};

enum class FileType : std::uint8_t {
  kRegular,
  kDirectory,
  kBlock,
  kCharacter,
  kSymlink,
  kSocket,
  kFifo
};

struct Attributes {
  FileType type = FileType::kRegular;
  std::uint32_t mode = 0;  ///< permission bits and set-id/sticky only (07777)
  std::uint32_t nlink = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;
  std::uint64_t used = 0;  ///< bytes on disk
  std::uint32_t rdev_major = 0;
  std::uint32_t rdev_minor = 0;
  std::uint64_t fsid = 0;
  std::uint64_t fileid = 0;
  timespec atime{};
  timespec mtime{};
  timespec ctime{};
};

/// What to change; unset fields stay.
struct SetAttributes {
  struct Time {
    bool now = false;
    timespec value{};
  };
  std::optional<std::uint32_t> mode;
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
  std::optional<std::uint64_t> size;
  std::optional<Time> atime;
  std::optional<Time> mtime;
};

/// Who asks. Goes out with each call (AUTH_SYS): at most 16 groups reach an NFS server.
struct Credentials {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;
  friend bool operator==(const Credentials&, const Credentials&) = default;
};

/// A looked-up or created object.
struct Entry {
  FileHandle handle;
  Attributes attributes;
  /// Of the directory where it was created just now, if the storage said so.
  std::optional<Attributes> directory_after{};
};

struct Removed {
  std::optional<Attributes> directory_after{};  ///< if the storage said so
};

struct ReadResult {
  std::vector<std::uint8_t> data;  ///< shorter than asked only at the end of the file
  bool eof = false;
};

enum class Stability : std::uint8_t { kUnstable, kFileSync };

/// The server's boot instance: changes when uncommitted data may have been lost (RFC 1813
/// section 3.3.7, writeverf3).
using WriteVerifier = std::uint64_t;

struct WriteResult {
  std::uint32_t count = 0;  ///< bytes taken; may be less than offered
  Stability committed = Stability::kUnstable;
  WriteVerifier verifier = 0;
  std::optional<Attributes> after{};  ///< of the file, if the storage said so
};

struct CommitResult {
  WriteVerifier verifier = 0;
  std::optional<Attributes> after{};  ///< as in WriteResult
};

enum class CreateMode : std::uint8_t { kUnchecked, kExclusive };

struct DirectoryEntry {
  std::uint64_t fileid = 0;
  std::string name;
  std::uint64_t cookie = 0;  ///< resume after this entry
  std::optional<Entry>
      entry;  ///< with READDIRPLUS, where the server gave both handle and attributes
};
struct DirectoryPage {
  std::vector<DirectoryEntry> entries;
  std::uint64_t verifier = 0;
  bool eof = false;
};

struct FilesystemStat {
  std::uint64_t total_bytes = 0, free_bytes = 0, available_bytes = 0;
  std::uint64_t total_files = 0, free_files = 0, available_files = 0;
};

struct FilesystemLimits {
  std::uint32_t read_max =
      0;  ///< bytes of one READ, already clamped to what this backend can carry
  std::uint32_t write_max = 0;
  std::uint32_t readdir_preferred = 0;
  std::uint64_t file_size_max = 0;
  std::uint32_t name_max = 255;
  std::uint32_t link_max = 0;
  timespec time_granularity{};
};

}  // namespace holdfast::fs

template <>
struct std::hash<holdfast::fs::FileHandle> {
  std::size_t operator()(const holdfast::fs::FileHandle& handle) const noexcept {
    return static_cast<std::size_t>(handle.hash());
  }
};
