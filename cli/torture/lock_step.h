#pragma once
/// One step of a lock program, and what may come of it. Plain values, sent over sockets as they
/// are.

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::torture {

inline constexpr int kProcsMax = 6;  ///< processes of a program, forked ones included
inline constexpr int kFdsMax = 4;    ///< descriptors of a process
inline constexpr int kFiles = 3;
inline constexpr std::int64_t kToEnd = INT64_MAX;  ///< last byte of a range that has no end

enum class Op : std::uint8_t {
  kOpen,    ///< fd = a new description of file
  kClose,   ///< fd
  kDup,     ///< fd2 = dup(fd)
  kSet,     ///< fcntl lock or unlock
  kGet,     ///< F_GETLK or F_OFD_GETLK
  kFlock,   ///< flock
  kFork,    ///< proc2 = fork()
  kExec,    ///< execve of ourselves, descriptors kept unless close-on-exec
  kExit,    ///< _exit
  kKill,    ///< SIGKILL from outside, waiting or not
  kSignal,  ///< a signal with a handler, sent from outside to a waiting process
};
enum class LockType : std::uint8_t { kRead, kWrite, kUnlock };
enum class OpenMode : std::uint8_t { kRead, kWrite, kBoth };

struct Step {
  Op op = Op::kExit;
  std::uint8_t proc = 0;
  std::uint8_t proc2 = 0;
  std::uint8_t fd = 0;
  std::uint8_t fd2 = 0;
  std::uint8_t file = 0;
  OpenMode mode = OpenMode::kBoth;
  LockType type = LockType::kRead;
  bool ofd = false;            ///< kSet, kGet: the open file description owns
  bool wait = false;           ///< kSet, kFlock: blocking
  bool close_on_exec = false;  ///< kOpen
  bool restart = false;        ///< kSignal: the handler has SA_RESTART
  std::int64_t start = 0;      ///< as given to fcntl, l_whence = SEEK_SET
  std::int64_t length = 0;     ///< as given to fcntl: 0 = to the end, negative = before start
};

/// What F_GETLK shows. `holder` is a process number, or one of the two below.
struct LockInfo {
  LockType type = LockType::kUnlock;
  std::int64_t start = 0;
  std::int64_t length = 0;
  std::int32_t holder = 0;
  friend bool operator==(const LockInfo&, const LockInfo&) = default;
};
inline constexpr std::int32_t kHolderOfd = -1;
inline constexpr std::int32_t kHolderUnknown = -2;  ///< pid 0, or one we do not know

/// What a step may do, according to the model.
struct Expected {
  bool blocks = false;
  int error = 0;
  std::vector<LockInfo>
      shown{};               ///< kGet: any of these (the first conflict is not defined further)
  std::vector<int> wakes{};  ///< processes whose wait ends in success with this step
  bool interrupts = false;   ///< kSignal: the waiting call of `proc` ends with EINTR
};

[[nodiscard]] std::string describe(const Step& step);
[[nodiscard]] std::string describe(const LockInfo& info);

}  // namespace holdfast::torture
