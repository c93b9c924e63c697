#include "fs/owner/mapped_backend.h"

#include "holdfast/base/log.h"

#include <bit>
#include <utility>

namespace holdfast::fs {
namespace {

bool changes_nothing(const SetAttributes& change) {
  return !change.mode && !change.uid && !change.gid && !change.size && !change.atime &&
         !change.mtime;
}

}  // namespace

Backend::Awaitable<Entry> MappedBackend::shown_entry(Awaitable<Entry> call) {
  auto entry = co_await std::move(call);
  if (entry) show(*entry);
  co_return entry;
}

Backend::Awaitable<Attributes> MappedBackend::shown_attributes(Awaitable<Attributes> call) {
  auto attributes = co_await std::move(call);
  if (attributes) show(*attributes);
  co_return attributes;
}

Backend::Awaitable<Entry> MappedBackend::root() {
  return shown_entry(storage_.root());
}

Backend::Awaitable<Attributes> MappedBackend::getattr(Credentials, FileHandle file) {
  return shown_attributes(storage_.getattr(identity_, file));
}

Backend::Awaitable<Attributes> MappedBackend::setattr(Credentials, FileHandle file,
                                                      SetAttributes change) {
  Attributes stored;
  if (mapping_.keeps_others() && (change.mode || change.uid || change.gid)) {
    const auto now = co_await storage_.getattr(identity_, file);
    if (!now) co_return now.error();
    stored = *now;
  }
  const auto wanted = mapping_.to_storage(change, stored);
  if (!wanted) {
    say_refused(change);
    co_return wanted.error();
  }
  // Named first: g++ 12.2 destroys one that is chosen inside a co_await expression twice.
  auto call = changes_nothing(wanted->change) ? storage_.getattr(identity_, file)
                                              : storage_.setattr(wanted->who, file, wanted->change);
  auto attributes = co_await std::move(call);
  if (!attributes) co_return attributes;
  if (wanted->change.gid && *wanted->change.gid != attributes->gid) {
    // A server that maps all users to one says yes to a change of group, and maps that as well.
    const Owner now = mapping_.owner();
    say_not_kept({change.uid.value_or(now.uid), change.gid.value_or(now.gid)});
    co_return errno_code(EPERM);
  }
  show(*attributes);
  co_return attributes;
}

void MappedBackend::say_refused(const SetAttributes& change) {
  if (!std::has_single_bit(++refused_)) return;  // chown -R meets many
  const Owner owner = mapping_.owner();
  log::warn("owner.chown_refused", "to={}:{} owner={}:{} times={} note=\"docs/identity.md\"",
            change.uid.value_or(owner.uid), change.gid.value_or(owner.gid), owner.uid, owner.gid,
            refused_);
}

Backend::Awaitable<Entry> MappedBackend::lookup(Credentials, FileHandle directory,
                                                std::string name) {
  return shown_entry(storage_.lookup(identity_, directory, std::move(name)));
}

Backend::Awaitable<std::uint32_t> MappedBackend::access(Credentials, FileHandle file,
                                                        std::uint32_t wanted) {
  const auto granted = co_await storage_.access(identity_, file, wanted);
  if (!granted || (*granted & wanted) == wanted) co_return granted;
  const auto stored = co_await storage_.getattr(identity_, file);
  if (!stored) co_return stored.error();
  co_return *granted | mapping_.owners_access(*stored, wanted);
}

Backend::Awaitable<WriteResult> MappedBackend::write(Credentials, FileHandle file,
                                                     std::uint64_t offset,
                                                     std::span<const std::uint8_t> data,
                                                     Stability stability) {
  auto written = co_await storage_.write(identity_, file, offset, data, stability);
  if (written) show(written->after);
  co_return written;
}

Backend::Awaitable<CommitResult> MappedBackend::commit(Credentials, FileHandle file,
                                                       std::uint64_t offset, std::uint32_t count) {
  auto committed = co_await storage_.commit(identity_, file, offset, count);
  if (committed) show(committed->after);
  co_return committed;
}

template <class Call>
Backend::Awaitable<Entry> MappedBackend::make(Credentials who, FileHandle directory, Call call) {
  const auto maker = mapping_.maker(who);
  if (!maker) co_return maker.error();
  auto made = co_await call(*maker);
  if (!made) co_return made;
  if (mapping_.keeps_others() && made->attributes.gid != maker->gid) {
    const auto in = co_await storage_.getattr(identity_, directory);
    if (!in) co_return in.error();
    if (const auto change = mapping_.after_making(who, *in, made->attributes)) {
      Credentials changer = identity_;
      changer.groups = {*change->gid};
      const auto changed = co_await storage_.setattr(changer, made->handle, *change);
      if (!changed) co_return changed.error();
      made->attributes = *changed;
    }
  }
  show(*made);
  if (mapping_.keeps_others() && made->attributes.uid != who.uid) say_not_kept({who.uid, who.gid});
  co_return made;
}

void MappedBackend::say_not_kept(const Owner& wanted) {
  if (!std::has_single_bit(++not_kept_)) return;
  log::warn("owner.not_kept", "wanted={}:{} owner={}:{} times={} note=\"docs/identity.md\"",
            wanted.uid, wanted.gid, mapping_.owner().uid, mapping_.owner().gid, not_kept_);
}

Backend::Awaitable<Entry> MappedBackend::create(Credentials who, FileHandle directory,
                                                std::string name, CreateMode mode,
                                                SetAttributes attributes) {
  auto entry = co_await make(std::move(who), directory, [&](const Credentials& maker) {
    return storage_.create(maker, directory, name, mode, attributes);
  });
  co_return entry;
}

Backend::Awaitable<Entry> MappedBackend::mkdir(Credentials who, FileHandle directory,
                                               std::string name, SetAttributes attributes) {
  auto entry = co_await make(std::move(who), directory, [&](const Credentials& maker) {
    return storage_.mkdir(maker, directory, name, attributes);
  });
  co_return entry;
}

Backend::Awaitable<Entry> MappedBackend::symlink(Credentials who, FileHandle directory,
                                                 std::string name, std::string target) {
  auto entry = co_await make(std::move(who), directory, [&](const Credentials& maker) {
    return storage_.symlink(maker, directory, name, target);
  });
  co_return entry;
}

Backend::Awaitable<Entry> MappedBackend::mknod(Credentials who, FileHandle directory,
                                               std::string name, FileType type,
                                               SetAttributes attributes, std::uint32_t rdev_major,
                                               std::uint32_t rdev_minor) {
  auto entry = co_await make(std::move(who), directory, [&](const Credentials& maker) {
    return storage_.mknod(maker, directory, name, type, attributes, rdev_major, rdev_minor);
  });
  co_return entry;
}

Backend::Awaitable<Attributes> MappedBackend::link(Credentials, FileHandle file,
                                                   FileHandle directory, std::string name) {
  return shown_attributes(storage_.link(identity_, file, directory, std::move(name)));
}

Backend::Awaitable<Removed> MappedBackend::remove(Credentials, FileHandle directory,
                                                  std::string name) {
  auto removed = co_await storage_.remove(identity_, directory, std::move(name));
  if (removed) show(removed->directory_after);
  co_return removed;
}

Backend::Awaitable<DirectoryPage> MappedBackend::readdir(Credentials, FileHandle directory,
                                                         std::uint64_t cookie,
                                                         std::uint64_t verifier,
                                                         std::uint32_t bytes_max) {
  auto page = co_await storage_.readdir(identity_, directory, cookie, verifier, bytes_max);
  if (!page) co_return page;
  for (DirectoryEntry& entry : page->entries) {
    if (entry.entry) show(*entry.entry);
  }
  co_return page;
}

}  // namespace holdfast::fs
