// Bytes of files: read, write, commit.

#include "fs/backend/dir/directory.h"

#include <algorithm>

#include <unistd.h>

namespace holdfast::fs::dir {
namespace {

// One buffer's worth: larger reads come in pieces from the mount anyway.
constexpr std::uint32_t kReadMax = 16U << 20;

}  // namespace

Backend::Awaitable<ReadResult> Directory::read(Credentials who, FileHandle file,
                                               std::uint64_t offset, std::uint32_t count) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto fd = open_files_.get(who, file, Use::kRead);
  if (!fd) co_return fd.error();
  if (offset > INT64_MAX) co_return errno_code(EINVAL);
  if (count > kReadMax) co_return errno_code(EINVAL);
  ReadResult out;
  out.data.resize(count);
  std::size_t done = 0;
  while (done < count) {
    const ssize_t got =
        ::pread(*fd, out.data.data() + done, count - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) co_return errno_code(errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  out.data.resize(done);
  out.eof = done < count;
  if (!out.eof) {
    const auto status = status_of(*fd);
    out.eof = status && offset + done >= static_cast<std::uint64_t>(status->st_size);
  }
  co_return out;
}

Backend::Awaitable<WriteResult> Directory::write(Credentials who, FileHandle file,
                                                 std::uint64_t offset,
                                                 std::span<const std::uint8_t> data,
                                                 Stability stability) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto fd = open_files_.get(who, file, Use::kWrite);
  if (!fd) co_return fd.error();
  if (offset > INT64_MAX) co_return errno_code(EFBIG);
  const std::size_t offered = std::min<std::size_t>(data.size(), limits_.write_max);
  ssize_t taken = 0;
  do {
    taken = ::pwrite(*fd, data.data(), offered, static_cast<off_t>(offset));
  } while (taken < 0 && errno == EINTR);
  if (taken < 0) co_return errno_code(errno);
  if (taken == 0 && offered > 0) co_return errno_code(EIO);
  if (stability == Stability::kFileSync) {
    auto synced = co_await sync_thread_.sync(*fd);
    if (!synced) co_return synced.error();
  }
  WriteResult result;
  result.count = static_cast<std::uint32_t>(taken);
  result.committed = stability;
  result.verifier = verifier_;
  co_return result;
}

Backend::Awaitable<CommitResult> Directory::commit(Credentials who, FileHandle file, std::uint64_t,
                                                   std::uint32_t) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  // Whoever may write or read the file may sync it. fdatasync covers the whole file: more than
  // asked.
  auto fd = open_files_.get(who, file, Use::kWrite);
  if (!fd && fd.error() == errno_code(EACCES)) fd = open_files_.get(who, file, Use::kRead);
  if (!fd) co_return fd.error();
  auto synced = co_await sync_thread_.sync(*fd);
  if (!synced) co_return synced.error();
  co_return CommitResult{.verifier = verifier_};
}

}  // namespace holdfast::fs::dir
