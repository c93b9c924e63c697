#pragma once
/// The part of a Backend that the write path uses: what changes the bytes of a file.
///
/// Thread, arguments, cancellation, errors: as Backend's.

#include "fs/backend/types.h"
#include "holdfast/base/result.h"

#include <cstdint>
#include <span>

#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

class FileWrites {
 public:
  template <class T>
  using Awaitable = boost::asio::awaitable<Result<T>>;

  virtual ~FileWrites() = default;

  /// Constant after start.
  [[nodiscard]] virtual const FilesystemLimits& limits() const = 0;
  /// How often so far the storage may have restarted without telling, and forgotten what was not
  /// stable: connections lost. Counted before an answer of the storage's next life is given.
  [[nodiscard]] virtual std::uint64_t interruptions() const { return 0; }

  /// Returns the attributes after the change.
  virtual Awaitable<Attributes> setattr(Credentials who, FileHandle file, SetAttributes change) = 0;
  /// One write, at most limits().write_max bytes; may take fewer bytes than offered, never 0.
  /// `data` must stay valid until the coroutine returns. Writes to one file are executed in the
  /// order of the calls.
  virtual Awaitable<WriteResult> write(Credentials who, FileHandle file, std::uint64_t offset,
                                       std::span<const std::uint8_t> data, Stability stability) = 0;
  /// Makes [offset, offset + count) stable (count 0 = to the end).
  virtual Awaitable<CommitResult> commit(Credentials who, FileHandle file, std::uint64_t offset,
                                         std::uint32_t count) = 0;
};

}  // namespace holdfast::fs
