// setattr.

#include "fs/backend/dir/directory.h"
#include "fs/backend/dir/proc_path.h"

#include <fcntl.h>
#include <unistd.h>

namespace holdfast::fs::dir {
namespace {

timespec to_timespec(const std::optional<SetAttributes::Time>& time) {
  if (!time) return {0, UTIME_OMIT};
  if (time->now) return {0, UTIME_NOW};
  return time->value;
}

}  // namespace

Result<void> Directory::apply(const Credentials& who, const FileHandle& file, const Node& node,
                              const SetAttributes& change) {
  // Size first: truncation changes the times and may clear set-id bits that are set afterwards.
  if (change.size) {
    if (*change.size > INT64_MAX) return errno_code(EFBIG);
    auto fd = open_files_.get(who, file, Use::kWrite);
    if (!fd) return fd.error();
    if (::ftruncate(*fd, static_cast<off_t>(*change.size)) != 0) return errno_code(errno);
  }
  const Acting acting(privilege_, who);
  if (change.uid || change.gid) {
    const uid_t uid = change.uid.value_or(static_cast<uid_t>(-1));
    const gid_t gid = change.gid.value_or(static_cast<gid_t>(-1));
    if (::fchownat(node.fd.get(), "", uid, gid, AT_EMPTY_PATH) != 0) return errno_code(errno);
  }
  if (change.mode) {
    if (S_ISLNK(node.status.st_mode)) return errno_code(EOPNOTSUPP);
    if (::chmod(ProcPath(node.fd.get()).c_str(), *change.mode & 07777) != 0)
      return errno_code(errno);
  }
  if (change.atime || change.mtime) {
    const timespec times[2] = {to_timespec(change.atime), to_timespec(change.mtime)};
    if (::utimensat(node.fd.get(), "", times, AT_EMPTY_PATH) != 0) return errno_code(errno);
  }
  return {};
}

Backend::Awaitable<Attributes> Directory::setattr(Credentials who, FileHandle file,
                                                  SetAttributes change) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = handles_.open(file);
  if (!node) co_return node.error();
  auto applied = apply(who, file, *node, change);
  if (!applied) co_return applied.error();
  auto status = status_of(node->fd.get());
  if (!status) co_return status.error();
  co_return to_attributes(*status);
}

}  // namespace holdfast::fs::dir
