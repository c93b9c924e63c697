#include "fs/backend/dir/open_files.h"

#include "fs/backend/dir/proc_path.h"

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

namespace holdfast::fs::dir {

Result<int> OpenFiles::get(const Credentials& who, const FileHandle& file, Use use) {
  const auto found = std::find_if(open_.begin(), open_.end(), [&](const Open& entry) {
    return entry.use == use && entry.file == file && entry.who == who;
  });
  if (found != open_.end()) {
    const auto status = status_of(found->fd.get());
    if (!status) return status.error();
    if (status->st_nlink == 0) {
      open_.erase(found);
      return errno_code(ESTALE);
    }
    open_.splice(open_.begin(), open_, found);
    return open_.front().fd.get();
  }
  auto fd = open(who, file, use);
  if (!fd) return fd.error();
  if (open_.size() >= kOpenMax) open_.pop_back();
  open_.push_front({file, who, use, std::move(*fd)});
  return open_.front().fd.get();
}

Result<UniqueFd> OpenFiles::open(const Credentials& who, const FileHandle& file, Use use) {
  auto node = handles_.open(file);
  if (!node) return node.error();
  const mode_t type = node->status.st_mode & S_IFMT;
  if (type == S_IFDIR) return errno_code(EISDIR);
  if (type != S_IFREG) return errno_code(EINVAL);
  const ProcPath path(node->fd.get());
  const int flags = (use == Use::kRead ? O_RDONLY : O_WRONLY) | O_CLOEXEC;
  const auto attempt = [&]() -> Result<UniqueFd> {
    UniqueFd fd(::open(path.c_str(), flags));
    if (!fd) return errno_code(errno);
    return fd;
  };
  auto fd = [&] {
    const Acting acting(privilege_, who);
    return attempt();
  }();
  if (fd || fd.error() != errno_code(EACCES) || !privilege_.root) return fd;
  // RFC 1813 section 4.4: the owner always may; and who may execute a file must be able to read it.
  const bool is_owner = node->status.st_uid == who.uid;
  const auto may_execute = [&] {
    const Acting acting(privilege_, who);
    return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0;
  };
  if (is_owner || (use == Use::kRead && may_execute())) return attempt();
  return fd;
}

void OpenFiles::forget(const FileHandle& file) {
  open_.remove_if([&](const Open& entry) { return entry.file == file; });
}

}  // namespace holdfast::fs::dir
