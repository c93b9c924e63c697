#pragma once
/// What a mount and its guardian share: descriptors, the words on their socket, a page of memory.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace holdfast::fs::guard {

/// How the guardian is called (argv[0] and in `ps`); main() looks for it.
inline constexpr const char* kProgramName = "holdfast-guard";

/// Descriptors of the guardian at its start.
inline constexpr int kChannelFd = 3;  ///< SOCK_SEQPACKET to the mount
inline constexpr int kPageFd = 4;     ///< the memory of `Page`

/// Sockets guarded at one time.
inline constexpr std::size_t kSocketsMax = 64;

/// Of the mount. Order counts.
struct Command {
  enum class Kind : std::uint32_t {
    kAdd,      ///< carries the socket itself (SCM_RIGHTS)
    kDrop,     ///< the mount has closed it
    kLook,     ///< the deadline in the page is the first one, or earlier than it was
    kMounted,  ///< carries the file whose writing aborts the connection to the kernel (fusectl)
  } kind = Kind::kAdd;
  std::uint64_t watch = 0;
};

/// Of the guardian.
struct Notice {
  enum class Kind : std::uint32_t {
    kReady,
    kFired,  ///< the deadline passed: `sockets` connections were reset
  } kind = Kind::kReady;
  std::uint32_t sockets = 0;
};

/// Written by the mount, read by the guardian.
struct Page {
  /// CLOCK_BOOTTIME in nanoseconds; 0 = there is no lease yet.
  std::atomic<std::int64_t> deadline{0};
  /// The channel closes because the mount wants no guardian, or another one: it lives.
  std::atomic<bool> dismissed{false};
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free &&
                  std::atomic<bool>::is_always_lock_free,
              "shared between processes");

}  // namespace holdfast::fs::guard
