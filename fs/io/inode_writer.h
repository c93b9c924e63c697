#pragma once
/// Write path of one inode: through to the storage, stable at commit().
///
/// write() returns when the server has taken the data (UNSTABLE, visible to every node); a copy is
/// kept until a COMMIT answers with the verifier of the write. Another verifier means that the
/// server restarted and may have lost the data: it is sent again, stable at once, before commit()
/// returns (RFC 1813 section 3.3.21). What is kept in all of a mount is bounded (`WriteBudget`): a
/// write that would pass it commits first, and if that does not help is written stable itself.
///
/// Order: overlapping writes, resends and truncations of one inode reach the storage one after the
/// other, in the order of the calls; others run side by side. Writes may arrive while a commit
/// runs; they belong to the next one.
///
/// Errors of commits are kept and reported once to each open handle at its next fsync/close
/// (`ErrorCursor`), as POSIX expects. Unlike the kernel's page cache, what could not be made stable
/// is kept and sent again at the next commit, so that an fsync that succeeds after one that failed
/// tells the truth. Only a file that is gone (ESTALE) loses it.
///
/// Thread: the loop. Lifetime: owned by the inode; quiet (no call running) before destruction.

#include "fs/backend/backend.h"
#include "holdfast/base/result.h"

#include <cstdint>
#include <memory>
#include <span>

#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

/// Bytes that all writers of one mount may keep uncommitted, and a count of what was unusual.
struct WriteBudget {
  std::uint64_t uncommitted_bytes_max = 64ULL << 20;
  std::uint64_t uncommitted_bytes = 0;
  std::uint64_t budget_reached = 0;  ///< writes that had to commit first
  std::uint64_t resent_bytes = 0;    ///< sent again after a server restart or a failed commit
};

/// What an open handle has seen of its inode's write errors. Copy the current one at open.
struct ErrorCursor {
  std::uint64_t seen = 0;
};

class InodeWriter {
 public:
  InodeWriter(boost::asio::any_io_executor executor, Backend& backend, WriteBudget& budget,
              FileHandle file);
  ~InodeWriter();
  InodeWriter(const InodeWriter&) = delete;
  InodeWriter& operator=(const InodeWriter&) = delete;

  /// Writes all of `data` (valid until return). On error part of it may have been written.
  boost::asio::awaitable<Result<void>> write(Credentials who, std::uint64_t offset,
                                             std::span<const std::uint8_t> data);
  /// Returns when the writes to [start, end) called before have reached the storage, or failed. A
  /// read that overtook one would leave what was there before in the kernel's pages.
  boost::asio::awaitable<void> written(std::uint64_t start, std::uint64_t end);
  /// Makes everything written before this call stable. No call to the storage if nothing is
  /// uncommitted. An error is returned and kept for the cursors: whoever called this for a handle
  /// (fsync) follows with take_error() and reports either.
  boost::asio::awaitable<Result<void>> commit(Credentials who);
  /// backend.setattr() with a size, in its place among the writes: no resend can bring back what it
  /// cut off. The way to truncate.
  boost::asio::awaitable<Result<Attributes>> truncate(Credentials who, SetAttributes change);
  /// The file was cut to `size` by other means (CREATE with size 0): forgets kept data beyond it.
  /// Call with no write or commit of this inode running.
  void truncated(std::uint64_t size);

  [[nodiscard]] ErrorCursor error_cursor() const;
  /// The error that `cursor` has not seen yet, if any; moves it on.
  [[nodiscard]] ErrorCode take_error(ErrorCursor& cursor) const;
  /// Something is not known to be stable.
  [[nodiscard]] bool dirty() const;
  /// No call is running.
  [[nodiscard]] bool idle() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::fs
