#pragma once
/// Everything a mount needs to know, from its command line.

#include "cli/mount/failure.h"
#include "cli/mount/source.h"
#include "fs/cache/kept_ages.h"
#include "fs/core/owner_mapping.h"
#include "holdfast/lock/types.h"
#include "holdfast/wire/address.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/system/result.hpp>

namespace holdfast::cli {

/// lockd inside the mount's own process: for volumes that one node uses.
struct EmbeddedLockd {};
/// A holdfast-lockd that all nodes share, and its replicas: tried in this order. At least one.
using SharedLockd = std::vector<wire::Address>;
using LockdChoice = std::variant<EmbeddedLockd, SharedLockd>;

/// -o cache=…: what this mount keeps of the storage (docs/tokens.md).
enum class CacheChoice {
  kNone,    ///< nothing: everything is asked for and written through, every lock is lockd's
  kTokens,  ///< what tokens allow
};

/// -o log=…
struct LogTarget {
  enum class Kind { kDefault, kFile, kJournal, kStderr } kind = Kind::kDefault;
  std::string path;  ///< of kFile
};

struct MountOptions {
  std::optional<LockdChoice> lockd;
  std::optional<std::uint16_t> port;
  std::optional<std::uint16_t> mountport;
  std::optional<std::uint32_t> rsize;
  std::optional<std::uint32_t> wsize;
  std::optional<unsigned> nconnect;
  bool soft = false;
  CacheChoice cache = CacheChoice::kTokens;
  fs::KeptAges kept_ages{};
  std::chrono::milliseconds linger{25};
  std::optional<std::uint64_t> dirty_max;  ///< bytes
  std::optional<std::size_t> inodes_max;
  std::optional<std::chrono::milliseconds> timeo;
  std::optional<VolumeId> volume_id;
  std::chrono::milliseconds lockd_wait{0};  ///< keep trying this long while lockd is unreachable
  // How lockd is known, and how this mount is. Absolute paths; empty: the usual file, if it exists.
  std::string tls_ca;
  std::string tls_certificate;
  std::string tls_key;
  std::string token_file;
  bool plain = false;  ///< no TLS and no token, whatever files exist
  LogTarget log;
  bool debug = false;
  bool read_only = false;
  // Mapped ownership (docs/identity.md); the others only together with `owner`.
  std::optional<fs::Owner> owner;
  std::optional<fs::Owner> identity;
  std::optional<std::uint32_t> file_mask;
  std::optional<std::uint32_t> directory_mask;
  bool keep_owners = false;
  std::optional<bool> allow_other;
  std::vector<std::string> kernel_options;  ///< nosuid, nodev, noexec, …
};

struct MountSettings {
  Source source;
  std::string source_text;
  std::string mountpoint;  ///< absolute, no symbolic links
  MountOptions options;
  bool foreground = false;
};

enum class UnknownOptions { kRefuse, kIgnore };

/// Nothing without -o owner=. Errors: options that mean nothing without it.
[[nodiscard]] boost::system::result<std::optional<fs::OwnerOptions>, Failure> ownership(
    const MountOptions& options);

/// Adds what "-o `text`" says to `options`. Options of mount(8) that mean nothing here are ignored.
[[nodiscard]] boost::system::result<void, Failure> parse_options(std::string_view text,
                                                                 UnknownOptions unknown,
                                                                 MountOptions& options);

}  // namespace holdfast::cli
