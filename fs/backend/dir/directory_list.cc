// readdir.

#include "fs/backend/dir/directory.h"
#include "fs/backend/dir/proc_path.h"

#include <array>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast::fs::dir {
namespace {

// What an entry with handle and attributes takes in an answer to the mount (fuse_direntplus is 160
// bytes and the name).
constexpr std::size_t kEntryBytes = 176;

using Buffer = std::array<char, 32 * 1024>;

}  // namespace

Result<DirectoryPage> Directory::list(const Credentials& who, const FileHandle& handle,
                                      std::uint64_t cookie, std::uint32_t bytes_max) {
  auto node = directory(handle);
  if (!node) return node.error();
  UniqueFd fd;
  {
    const Acting acting(privilege_, who);
    fd.reset(::open(ProcPath(node->fd.get()).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  if (!fd) return errno_code(errno);
  if (cookie != 0 && ::lseek(fd.get(), static_cast<off_t>(cookie), SEEK_SET) < 0)
    return errno_code(errno);

  DirectoryPage page;
  std::size_t bytes = 0;
  alignas(dirent64) Buffer buffer;
  while (true) {
    const long got = ::syscall(SYS_getdents64, fd.get(), buffer.data(), buffer.size());
    if (got < 0) return errno_code(errno);
    if (got == 0) {
      page.eof = true;
      return page;
    }
    for (long at = 0; at < got;) {
      const auto* raw = reinterpret_cast<const dirent64*>(buffer.data() + at);
      at += raw->d_reclen;
      DirectoryEntry entry;
      entry.name = raw->d_name;
      entry.fileid = raw->d_ino;
      entry.cookie = static_cast<std::uint64_t>(raw->d_off);
      bytes += kEntryBytes + entry.name.size();
      // At least one, or the caller would never get past it.
      if (bytes > bytes_max && !page.entries.empty()) return page;
      if (entry.name != "." && entry.name != "..") {
        // May fail: gone meanwhile, a mount point, or no right to search. The name stands.
        if (auto found = child(who, handle, *node, entry.name)) entry.entry = *found;
      }
      page.entries.push_back(std::move(entry));
    }
  }
}

Backend::Awaitable<DirectoryPage> Directory::readdir(Credentials who, FileHandle handle,
                                                     std::uint64_t cookie, std::uint64_t,
                                                     std::uint32_t bytes_max) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  co_return list(who, handle, cookie, bytes_max);
}

}  // namespace holdfast::fs::dir
