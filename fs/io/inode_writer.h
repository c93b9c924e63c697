#pragma once
/// Write path of one inode: through to the storage, stable at commit().
///
/// write() returns when the server has taken the data (UNSTABLE, visible to every node); a copy is
/// kept until a COMMIT answers with the verifier of the write. Another verifier means that the
/// server restarted and may have lost the data: it is sent again before commit() returns (RFC 1813
/// section 3.3.21). The sum of uncommitted bytes of a mount is bounded (`WriteBudget`); a write
/// that would pass it commits first.
///
/// Errors found late (at the resend or the commit) are kept and reported once to each open handle
/// at its next fsync/close (`ErrorCursor`), as POSIX expects.
///
/// Thread: the loop. Lifetime: owned by the inode; quiet (no call running) before destruction.

#include "fs/backend/backend.h"
#include "holdfast/base/result.h"

#include <cstdint>
#include <memory>
#include <span>

#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

/// Bytes that all writers of one mount may keep uncommitted.
struct WriteBudget {
  std::uint64_t uncommitted_bytes_max = 64ULL << 20;
  std::uint64_t uncommitted_bytes = 0;
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
  /// Makes everything written before this call stable. No call to the storage if nothing is
  /// uncommitted.
  boost::asio::awaitable<Result<void>> commit(Credentials who);
  /// The file is to be cut to `size`: forgets kept data beyond it, so that a resend cannot bring it
  /// back. Call after the truncation succeeded, with no write of this inode running beyond `size`.
  void truncated(std::uint64_t size);

  [[nodiscard]] ErrorCursor error_cursor() const;
  /// The error that `cursor` has not seen yet, if any; moves it on.
  [[nodiscard]] ErrorCode take_error(ErrorCursor& cursor) const;
  [[nodiscard]] bool dirty() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::fs
