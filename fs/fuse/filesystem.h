#pragma once
/// A mounted Holdfast filesystem: the kernel's requests on one side, storage and lock service on
/// the other.
///
/// How a mount command uses it, inside one coroutine on `loop`:
///
///   Filesystem filesystem(loop, backend, locks, options);
///   auto mounted = co_await filesystem.mount("/mnt/data");   // on error: mounted.error(), one
///   line if (mounted) co_await filesystem.run();                  // returns when unmounted
///
/// `locks` must have a session (be entitled at least once) before mount(). After run() returned the
/// caller says goodbye to lockd and stops the backend, in this order; nothing of the filesystem
/// runs any more. The filesystem installs itself as the listener of `locks` and calls
/// backend.suspend()/resume() itself.
///
/// Thread: the loop's. Own threads inside: a few notifiers, which only hand invalidations to the
/// kernel (docs/filesystem.md, "Threads"). `backend`, `locks` and `loop` outlive it.

#include "fs/backend/backend.h"
#include "fs/cache/kept_ages.h"
#include "fs/counters/counters.h"
#include "fs/lock/lock_service.h"
#include "holdfast/base/result.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

namespace holdfast::fs::state {
class State;
}

namespace holdfast::fs {

struct MountOptions {
  std::string fsname = "holdfast";  ///< first column of /proc/mounts: "nas:/export", "/srv/data"
  bool allow_other = true;          ///< other users than the mounting one; needs root
  bool read_only = false;
  /// Whom every caller is taken for, if the storage makes no difference (fs/owner). Who may do what
  /// is the kernel's to say, by the attributes that it is shown.
  std::optional<Credentials> everybody;
  /// Keeps what the tokens of `locks` allow (docs/tokens.md). False: everything is used as under
  /// CW.
  bool keep = false;
  /// How old that may be, for what is changed without a token.
  KeptAges kept_ages{};
  /// Further options passed to the kernel or libfuse as they are: "nosuid", "nodev", "noexec".
  std::vector<std::string> kernel_options;
  /// Requests the kernel may send ahead in the background (readahead, RELEASE); libfuse's 12 is too
  /// few.
  std::uint32_t background_max = 128;
  /// How far the kernel reads ahead of a program that reads in order, and around a page that a
  /// mapping lacks, KiB: two READs are under way while two are looked at. More makes faults slower.
  std::uint32_t readahead_kib = 2'048;
  /// A close() is answered after this time at the latest, also while lockd or the storage does not
  /// answer; releasing the locks then goes on in the background, in order. Else a dying process
  /// could never end.
  std::chrono::milliseconds close_wait_max{10'000};
  /// What all files of the mount may have in memory that is not known to be stable: written and
  /// waiting (under a token that nobody else has), or on its way.
  std::uint64_t dirty_max = 64ULL << 20;
  /// Inodes that the kernel may remember without using them, and a quarter more; above that they
  /// are asked back (fs/fuse/give_back.h). Attributes and such are kept of as many files.
  std::size_t inodes_max = 50'000;
  /// How long a lock that is tried without waiting (F_SETLK) and is held on another node waits
  /// nevertheless, in its place in lockd's queue. 0: not at all.
  std::chrono::milliseconds linger{0};
  /// How long request_unmount() waits for files still in use before it cuts the connection to the
  /// kernel.
  std::chrono::milliseconds unmount_wait_max{10'000};
  /// The kernel's requests are counted there; null: nowhere. Outlives the filesystem.
  counters::Counters* counters = nullptr;
  /// Those without an answer are told there; null: nowhere. Outlives the filesystem.
  state::State* state = nullptr;
};

class Filesystem {
 public:
  Filesystem(boost::asio::io_context& loop, Backend& backend, LockService& locks,
             MountOptions options);
  /// Only before mount() or after run() returned.
  ~Filesystem();
  Filesystem(const Filesystem&) = delete;
  Filesystem& operator=(const Filesystem&) = delete;

  /// Mounts at `path` (a directory) and returns once the kernel and we agreed on the protocol:
  /// requests are served from then on. Errors: of backend.root(); ENODEV or EACCES (no /dev/fuse);
  /// what mount(2) says; EPROTONOSUPPORT if the kernel would keep file locks to itself (then
  /// nothing is mounted). The reason is also logged in words ("fuse.mount_refused").
  boost::asio::awaitable<Result<void>> mount(std::string path);
  /// Returns when the filesystem was unmounted (umount(8), request_unmount()) and every operation
  /// has ended, with everything written made stable.
  boost::asio::awaitable<void> run();
  /// Takes the mount out of the tree at once (lazily: open files stay usable up to
  /// unmount_wait_max); run() returns after it. Harmless if repeated or already unmounted.
  void request_unmount();
  /// The connection's number: the minor device number of the mount. Empty before mount().
  [[nodiscard]] const std::string& connection() const;
  /// Inodes that the kernel remembers now.
  [[nodiscard]] std::size_t inodes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::fs
