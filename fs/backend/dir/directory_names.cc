// Names: lookup, and everything that makes, moves or removes one.

#include "fs/backend/dir/directory.h"
#include "fs/backend/dir/proc_path.h"

#include <cstdio>

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace holdfast::fs::dir {
namespace {

Result<void> done(int result) {
  if (result != 0) return errno_code(errno);
  return {};
}

bool is_name(const std::string& name) {
  return !name.empty() && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// What may be made, moved or removed.
Result<void> check_changeable(const std::string& name) {
  if (!is_name(name) || name == "." || name == "..") return errno_code(EINVAL);
  return {};
}

mode_t creation_mode(const SetAttributes& attributes, mode_t otherwise) {
  return attributes.mode ? static_cast<mode_t>(*attributes.mode & 07777) : otherwise;
}

}  // namespace

Result<Entry> Directory::child(const Credentials& who, const FileHandle& handle,
                               const Node& directory, const std::string& name) {
  auto node = [&] {
    const Acting acting(privilege_, who);
    return open_child(directory.fd.get(), name);
  }();
  // Above the root another mount begins: for a lookup of ".." that is the end of what we see.
  if (!node && name == ".." && node.error() == errno_code(EXDEV)) return errno_code(ENOENT);
  if (!node) return node.error();
  auto child_handle = handles_.name(node->fd.get(), node->status);
  if (!child_handle) return child_handle.error();
  handles_.remember(*child_handle, handle, name, node->fd.get());
  return Entry{*child_handle, to_attributes(node->status)};
}

Backend::Awaitable<Entry> Directory::lookup(Credentials who, FileHandle handle, std::string name) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = directory(handle);
  if (!node) co_return node.error();
  if (!is_name(name)) co_return errno_code(EINVAL);
  co_return child(who, handle, *node, name);
}

Result<Entry> Directory::made(const Credentials& who, const FileHandle& handle,
                              const Node& directory, const std::string& name,
                              const SetAttributes& attributes) {
  SetAttributes rest = attributes;
  rest.mode.reset();  // given at creation, where the kernel applies its own rules (set-gid, ACLs)
  auto entry = child(who, handle, directory, name);
  if (!entry) return entry;
  auto node = handles_.open(entry->handle);
  if (!node) return node.error();
  auto applied = apply(who, entry->handle, *node, rest);
  if (!applied) return applied.error();
  auto status = status_of(node->fd.get());
  if (!status) return status.error();
  entry->attributes = to_attributes(*status);
  return entry;
}

Backend::Awaitable<Entry> Directory::create(Credentials who, FileHandle handle, std::string name,
                                            CreateMode mode, SetAttributes attributes) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = directory(handle);
  if (!node) co_return node.error();
  if (auto ok = check_changeable(name); !ok) co_return ok.error();
  auto created = [&]() -> Result<void> {
    const Acting acting(privilege_, who);
    const NoUmask no_umask;
    const UniqueFd fd(::openat(node->fd.get(), name.c_str(),
                               O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
                               creation_mode(attributes, 0600)));
    return done(fd ? 0 : -1);
  }();
  if (created) co_return made(who, handle, *node, name, attributes);
  if (created.error() != errno_code(EEXIST) || mode == CreateMode::kExclusive)
    co_return created.error();
  auto entry = child(who, handle, *node, name);
  if (!entry) co_return entry;
  if (entry->attributes.type == FileType::kDirectory) co_return errno_code(EISDIR);
  if (entry->attributes.type != FileType::kRegular) co_return errno_code(EEXIST);
  SetAttributes only_size;
  only_size.size = attributes.size;
  co_return made(who, handle, *node, name, only_size);
}

Backend::Awaitable<Entry> Directory::mkdir(Credentials who, FileHandle handle, std::string name,
                                           SetAttributes attributes) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = directory(handle);
  if (!node) co_return node.error();
  if (auto ok = check_changeable(name); !ok) co_return ok.error();
  auto created = [&] {
    const Acting acting(privilege_, who);
    const NoUmask no_umask;
    return done(::mkdirat(node->fd.get(), name.c_str(), creation_mode(attributes, 0700)));
  }();
  if (!created) co_return created.error();
  co_return made(who, handle, *node, name, attributes);
}

Backend::Awaitable<Entry> Directory::symlink(Credentials who, FileHandle handle, std::string name,
                                             std::string target) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = directory(handle);
  if (!node) co_return node.error();
  if (auto ok = check_changeable(name); !ok) co_return ok.error();
  auto created = [&] {
    const Acting acting(privilege_, who);
    return done(::symlinkat(target.c_str(), node->fd.get(), name.c_str()));
  }();
  if (!created) co_return created.error();
  co_return child(who, handle, *node, name);
}

Backend::Awaitable<Entry> Directory::mknod(Credentials who, FileHandle handle, std::string name,
                                           FileType type, SetAttributes attributes,
                                           std::uint32_t rdev_major, std::uint32_t rdev_minor) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = directory(handle);
  if (!node) co_return node.error();
  if (auto ok = check_changeable(name); !ok) co_return ok.error();
  mode_t kind = 0;
  switch (type) {
    case FileType::kFifo:
      kind = S_IFIFO;
      break;
    case FileType::kSocket:
      kind = S_IFSOCK;
      break;
    case FileType::kCharacter:
      kind = S_IFCHR;
      break;
    case FileType::kBlock:
      kind = S_IFBLK;
      break;
    case FileType::kRegular:
    case FileType::kDirectory:
    case FileType::kSymlink:
      co_return errno_code(EINVAL);
  }
  auto created = [&] {
    const Acting acting(privilege_, who);
    const NoUmask no_umask;
    return done(::mknodat(node->fd.get(), name.c_str(), kind | creation_mode(attributes, 0600),
                          makedev(rdev_major, rdev_minor)));
  }();
  if (!created) co_return created.error();
  co_return made(who, handle, *node, name, attributes);
}

Backend::Awaitable<Attributes> Directory::link(Credentials who, FileHandle file, FileHandle handle,
                                               std::string name) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto source = handles_.open(file);
  if (!source) co_return source.error();
  auto node = directory(handle);
  if (!node) co_return node.error();
  if (auto ok = check_changeable(name); !ok) co_return ok.error();
  auto linked = [&] {
    const Acting acting(privilege_, who);
    // Not AT_EMPTY_PATH: that needs CAP_DAC_READ_SEARCH, which callers lack (linkat(2)).
    return done(::linkat(AT_FDCWD, ProcPath(source->fd.get()).c_str(), node->fd.get(), name.c_str(),
                         AT_SYMLINK_FOLLOW));
  }();
  if (!linked) co_return linked.error();
  auto status = status_of(source->fd.get());
  if (!status) co_return status.error();
  co_return to_attributes(*status);
}

void Directory::forget(const Node& directory, const std::string& name) {
  auto node = open_child(directory.fd.get(), name);
  if (!node || !S_ISREG(node->status.st_mode)) return;
  if (auto handle = handles_.name(node->fd.get(), node->status)) open_files_.forget(*handle);
}

Backend::Awaitable<Removed> Directory::remove(Credentials who, FileHandle handle,
                                              std::string name) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = directory(handle);
  if (!node) co_return node.error();
  if (auto ok = check_changeable(name); !ok) co_return ok.error();
  forget(*node, name);
  const Acting acting(privilege_, who);
  const auto removed = done(::unlinkat(node->fd.get(), name.c_str(), 0));
  if (!removed) co_return removed.error();
  co_return Removed{};
}

Backend::Awaitable<void> Directory::rmdir(Credentials who, FileHandle handle, std::string name) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = directory(handle);
  if (!node) co_return node.error();
  if (auto ok = check_changeable(name); !ok) co_return ok.error();
  const Acting acting(privilege_, who);
  co_return done(::unlinkat(node->fd.get(), name.c_str(), AT_REMOVEDIR));
}

Backend::Awaitable<void> Directory::rename(Credentials who, FileHandle from_handle,
                                           std::string from_name, FileHandle to_handle,
                                           std::string to_name) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto from = directory(from_handle);
  if (!from) co_return from.error();
  auto to = directory(to_handle);
  if (!to) co_return to.error();
  if (auto ok = check_changeable(from_name); !ok) co_return ok.error();
  if (auto ok = check_changeable(to_name); !ok) co_return ok.error();
  forget(*to, to_name);
  auto renamed = [&] {
    const Acting acting(privilege_, who);
    return done(::renameat(from->fd.get(), from_name.c_str(), to->fd.get(), to_name.c_str()));
  }();
  // Without open-by-handle the file is found by name: learn the new one.
  if (renamed && !handles_.by_handle()) (void)child(who, to_handle, *to, to_name);
  co_return renamed;
}

}  // namespace holdfast::fs::dir
