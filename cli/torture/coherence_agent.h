#pragma once
/// A process that works in one of the directories: changes or looks, one order at a time, and tells
/// what came of it.

#include <cstddef>
#include <cstdint>

namespace holdfast::torture {

/// Files that are changed and looked at, of which an agent may keep one descriptor each.
inline constexpr std::size_t kSlots = 264;

/// Sent over a socket as it is.
struct Order {
  enum class What : std::uint8_t {
    kCreate,    ///< must not exist; `stamp` at its start
    kWrite,     ///< `stamp` at its start
    kAppend,    ///< `stamp` at its end
    kTruncate,  ///< to `size`
    kChmod,     ///< to `mode`
    kUnlink,
    kRename,    ///< to `other`
    kRead,      ///< opened for it
    kHeldRead,  ///< through a descriptor that stays open for as long as `incarnation` is the same
    kStat,
    kLookup,  ///< and `other`
    kList,    ///< the directory
  } what = What::kStat;
  std::uint16_t slot = 0;
  std::uint32_t mode = 0;
  std::uint64_t stamp = 0;
  std::uint64_t size = 0;
  std::uint64_t incarnation = 0;
  char directory[768] = {};
  char name[64] = {};
  char other[64] = {};
};

struct Seen {
  std::int32_t error = 0;  ///< 0 or errno
  std::uint32_t mode = 0;
  std::uint64_t stamp = 0;
  std::uint64_t size = 0;
  bool name = false;  ///< is there
  bool other = false;
};

/// Serves until the socket closes; returns the exit code.
int serve_orders(int socket);

}  // namespace holdfast::torture
