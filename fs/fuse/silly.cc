// Files that are unlinked or replaced while this mount has them open: NFS has no open files, so
// they stay under a hidden name until their last close (fs/core/hidden_name.h).
//
// Whose they are: the name carries the *life* of the mount, a random number, and the mount holds an
// exclusive lock at lockd on a key derived from it. Any mount that meets a stray tries that lock
// without waiting: granted means that life is over, and the stray is removed.

#include "fs/core/derived_key.h"
#include "fs/fuse/operations.h"
#include "holdfast/base/log.h"

#include <random>

namespace holdfast::fs {
namespace {

constexpr std::size_t kStrayChecksMax = 16;  // at a time; others are met again later
constexpr int kSweepPagesMax = 64;           // of the root's directory at mount
constexpr std::uint32_t kPageBytes = 64 << 10;

std::uint64_t random_number() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

LockRequest life_lock(std::uint64_t life, HandleId handle) {
  LockRequest request;
  request.file = derive(FileKey{0, life}, DerivedKey::kLife);
  request.space = LockSpace::kFlock;
  request.handle = handle;
  request.owner = OwnerId{handle.value};
  request.mode = LockMode::kExclusive;
  return request;
}

}  // namespace

// Taken at the first silly rename, so that a mount that never needs one holds no lock.
Operations::Awaitable<Result<void>> Operations::ensure_life() {
  while (!life_locked_) {
    const std::uint64_t life = life_ != 0 ? life_ : random_number();
    const LockRequest request = life_lock(life, HandleId{next_handle_++});
    const auto granted = co_await locks_.lock(request, nullptr);
    if (granted) {
      life_ = life;
      life_locked_ = true;
    } else if (granted.error() == LockErrc::kWouldBlock) {
      life_ = 0;  // after a lost session somebody is just cleaning up behind us: live on anew
    } else {
      co_return granted.error();
    }
  }
  co_return Result<void>{};
}

std::string Operations::next_silly_name() {
  return to_string(SillyName{life_, next_silly_++});
}

Operations::Awaitable<Result<InodePointer>> Operations::open_target(Credentials who,
                                                                    InodePointer parent,
                                                                    std::string name) {
  if (handles_.empty()) co_return InodePointer{};
  const auto entry = co_await backend_.lookup(who, parent->handle, name);
  if (!entry) {
    if (entry.error() == errno_code(ENOENT)) co_return InodePointer{};
    co_return entry.error();
  }
  // With another name left the file survives by itself.
  if (entry->attributes.type != FileType::kRegular || entry->attributes.nlink > 1)
    co_return InodePointer{};
  InodePointer inode = inodes_.find(entry->handle);
  if (!inode || inode->opens == 0 || inode->silly) co_return InodePointer{};
  co_return inode;
}

// A second name for the file that is about to be replaced, so that the rename itself stays atomic
// for everybody. Storage without hard links: moved away, as the kernel's NFS client does it.
Operations::Awaitable<Result<void>> Operations::keep_replaced(Credentials who, InodePointer from,
                                                              std::string name, InodePointer to,
                                                              std::string new_name,
                                                              InodePointer replaced) {
  const auto source = co_await backend_.lookup(who, from->handle, name);
  if (!source) co_return source.error();
  if (source->handle == replaced->handle) co_return Result<void>{};  // rename(2): does nothing
  const auto alive = co_await ensure_life();
  if (!alive) co_return alive.error();
  SillyPlace place{to->handle, next_silly_name(), who};
  const auto linked = co_await backend_.link(who, replaced->handle, to->handle, place.name);
  if (!linked) {
    const auto moved = co_await backend_.rename(who, to->handle, new_name, to->handle, place.name);
    if (!moved) co_return moved.error();
  }
  replaced->silly = std::make_unique<SillyPlace>(std::move(place));
  co_return Result<void>{};
}

// The rename failed: the target keeps its name. Renaming back does nothing if both are links to one
// file (rename(2)), so the silly name is removed then.
Operations::Awaitable<void> Operations::undo_keep(InodePointer replaced, Credentials who,
                                                  InodePointer to, std::string new_name) {
  const SillyPlace place = std::move(*std::exchange(replaced->silly, nullptr));
  const auto target = co_await backend_.lookup(who, to->handle, new_name);
  if (target && target->handle == replaced->handle) {
    (void)co_await backend_.remove(who, place.directory, place.name);
  } else if (!target) {
    (void)co_await backend_.rename(who, place.directory, place.name, to->handle, new_name);
  }
}

Operations::Task Operations::remove_silly(SillyPlace place) {
  co_await locks_.wait_entitled();
  const auto removed = co_await backend_.remove(place.who, place.directory, place.name);
  if (!removed && removed.error() != errno_code(ENOENT)) {
    log::warn("silly.left", "name={} error=\"{}\"", place.name, removed.error().message());
  }
}

void Operations::stray_seen(const FileHandle& directory, const Credentials& who,
                            const std::string& name) {
  const auto silly = parse_silly_name(name);
  if (!silly || (life_locked_ && silly->life == life_) || stray_checks_ >= kStrayChecksMax) return;
  start("silly.clean", clean_stray(directory, who, name));
}

Operations::Task Operations::clean_stray(FileHandle directory, Credentials who, std::string name) {
  const auto silly = parse_silly_name(name);
  if (!silly || (life_locked_ && silly->life == life_)) co_return;
  ++stray_checks_;
  const LockRequest request = life_lock(silly->life, HandleId{next_handle_++});
  const auto dead = co_await locks_.lock(request, nullptr);
  if (dead) {
    co_await locks_.wait_entitled();
    const auto removed = co_await backend_.remove(who, directory, name);
    if (removed) log::info("silly.cleaned", "name={}", name);
    UnlockRequest unlock;
    unlock.file = request.file;
    unlock.space = request.space;
    unlock.owner = request.owner;
    (void)co_await locks_.unlock(unlock);
  }
  --stray_checks_;
}

Operations::Task Operations::sweep_directory(FileHandle directory, Credentials who) {
  std::uint64_t cookie = 0, verifier = 0;
  for (int i = 0; i < kSweepPagesMax; ++i) {
    co_await locks_.wait_entitled();
    const auto page = co_await backend_.readdir(who, directory, cookie, verifier, kPageBytes);
    if (!page) co_return;
    for (const auto& entry : page->entries) {
      cookie = entry.cookie;
      if (is_hidden(entry.name)) co_await clean_stray(directory, who, entry.name);
    }
    verifier = page->verifier;
    if (page->eof || page->entries.empty()) co_return;
  }
}

// True: nothing but strays was there (some may have been removed).
Operations::Awaitable<bool> Operations::remove_strays(FileHandle directory, Credentials who) {
  const auto page = co_await backend_.readdir(who, directory, 0, 0, kPageBytes);
  if (!page || !page->eof) co_return false;
  for (const auto& entry : page->entries) {
    if (entry.name != "." && entry.name != ".." && !is_hidden(entry.name)) co_return false;
  }
  for (const auto& entry : page->entries) {
    if (is_hidden(entry.name)) co_await clean_stray(directory, who, entry.name);
  }
  co_return true;
}

}  // namespace holdfast::fs
