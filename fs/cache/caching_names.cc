// What has to do with names: they are kept for a directory's token, those that are absent, too.
#include "fs/cache/caching_backend.h"
#include "fs/cache/change_of_file.h"

#include <cerrno>
#include <set>
#include <utility>

namespace holdfast::fs {
namespace {

std::vector<CachingBackend::Place> one_place(const FileHandle& directory, const std::string& name) {
  return {{directory, name}};
}

bool is_gone(const ErrorCode& error) {
  return error == errno_code(ENOENT) || error == errno_code(ESTALE);
}

}  // namespace

// A file that is found without the directory's token may be one that another mount has just made
// under its own, of which lockd has not heard: it would give us the file's token, too (T8).
CachingBackend::Awaitable<Entry> CachingBackend::lookup(Credentials who, FileHandle directory,
                                                        std::string name) {
  Reliance look(under_way_);
  while (true) {
    auto entry = co_await look_up(look, who, directory, name);
    if (!look.lost()) co_return entry;
  }
}

// Whoever removes the file has its token and waits for the directory's, perhaps: so the file's
// attributes are asked for when the directory is not pinned any more.
CachingBackend::Awaitable<Entry> CachingBackend::look_up(Reliance& look, Credentials who,
                                                         FileHandle directory, std::string name) {
  auto used = co_await use_for(look, directory);
  if (!used) co_return used.error();
  const FileKey key = used->file;
  const auto kept = co_await kept_name(who, directory, key, name);
  if (kept.state == KeptFiles::Name::State::kAbsent) co_return errno_code(ENOENT);
  if (kept.state == KeptFiles::Name::State::kPresent) {
    used->pin = TokenPin();
    const auto attributes = co_await getattr(who, kept.child);
    if (attributes && attributes->nlink > 0) co_return Entry{kept.child, *attributes};
    if (!attributes && !is_gone(attributes.error())) co_return attributes.error();
    used = co_await use(directory, TokenUse::kRead);
    if (!used) co_return used.error();
    files_.name_is_unknown(key, name);  // removed meanwhile, or changed behind our back
  }
  const std::uint64_t volume = generation(kVolumeKey);
  auto entry = co_await ask_for_name(who, directory, key, name);
  if (!entry || is_good(volume, *entry)) co_return entry;
  used->pin = TokenPin();
  const auto attributes = co_await getattr(who, entry->handle);
  if (!attributes) co_return attributes.error();
  entry->attributes = *attributes;
  co_return entry;
}

// When the storage answered, another mount may have had the file to itself, and kept what was
// written. Without a token nobody relies on such attributes.
bool CachingBackend::is_good(std::uint64_t volume_before, const Entry& found) const {
  const bool volume_is_ours = volume_before != 0 && volume_before == generation(kVolumeKey);
  return volume_is_ours || generation(key_of_entry(found)) == 0;
}

CachingBackend::Awaitable<CachingBackend::InUse> CachingBackend::use_for(Reliance& look,
                                                                         FileHandle directory) {
  const auto key = co_await key_of(directory);
  if (!key) co_return key.error();
  look.on(*key);
  auto used = co_await use(directory, TokenUse::kRead);
  co_return used;
}

CachingBackend::Awaitable<Entry> CachingBackend::ask_for_name(Credentials who, FileHandle directory,
                                                              FileKey directory_key,
                                                              std::string name) {
  const auto look = begin_look(directory_key);
  const auto search = files_.begin_search(look.asked);
  const auto entry = co_await storage_.lookup(std::move(who), directory, name);
  if (entry) {
    learn(search, *entry);
    files_.keep_name(look, name, entry->handle);
  } else if (entry.error() == errno_code(ENOENT)) {
    files_.keep_absent(look, name);
  }
  co_return entry;
}

boost::asio::awaitable<KeptFiles::Name> CachingBackend::kept_name(Credentials who,
                                                                  FileHandle directory,
                                                                  FileKey directory_key,
                                                                  std::string name) {
  const Instant now = now_();
  const Instant oldest = now - ages_.names;
  if (files_.names_need_a_look(directory_key, generation(directory_key), oldest, now)) {
    const auto look = begin_look(directory_key);
    const auto attributes = co_await storage_.getattr(std::move(who), directory);
    if (attributes) enter(look, *attributes);  // else they stay too old, and the storage is asked
  }
  co_return files_.name(directory_key, generation(directory_key), name, oldest);
}

CachingBackend::Awaitable<std::optional<FileHandle>> CachingBackend::find(Credentials who,
                                                                          FileHandle directory,
                                                                          FileKey directory_key,
                                                                          std::string name) {
  using Found = std::optional<FileHandle>;
  const auto kept = co_await kept_name(who, directory, directory_key, name);
  if (kept.state == KeptFiles::Name::State::kAbsent) co_return Found{};
  if (kept.state == KeptFiles::Name::State::kPresent) co_return Found(kept.child);
  const auto entry = co_await ask_for_name(std::move(who), directory, directory_key, name);
  if (entry) co_return Found(entry->handle);
  if (entry.error() != errno_code(ENOENT)) co_return entry.error();
  co_return Found{};
}

CachingBackend::Awaitable<std::vector<TokenPin>> CachingBackend::pin_together(
    Reliance& change, std::set<FileKey> files) {
  while (true) {
    change.on(files);
    auto pins = co_await pin_all(locks_, files);
    if (!pins || !change.lost()) co_return pins;
  }
}

// Which files have the names is known only under the directories' tokens, and tokens are taken in
// the order of their keys: so it may take another turn. So it does if tokens are lost while the
// storage is asked, which may take as long as a lease and a fence.
CachingBackend::Awaitable<CachingBackend::NamesInUse> CachingBackend::use_names(
    Reliance& change, Credentials who, std::vector<Place> places) {
  // Each that fails means that somebody else has changed the names in between.
  constexpr int kTurns = 100;
  NamesInUse out;
  std::set<FileKey> directories;
  for (const Place& place : places) {
    const auto directory = co_await key_of(place.directory);
    if (!directory) co_return directory.error();
    out.places.push_back({*directory, std::nullopt, std::nullopt});
    directories.insert(*directory);
  }
  std::set<FileKey> wanted = directories;
  for (int turn = 0; turn < kTurns; ++turn) {
    out.pins.clear();
    auto pinned = co_await pin_together(change, wanted);
    if (!pinned) co_return pinned.error();
    out.pins = std::move(*pinned);
    bool all = true;
    std::set<FileKey> found = directories;
    for (std::size_t i = 0; i < places.size(); ++i) {
      Resolved& place = out.places[i];
      place.file.reset();
      place.handle = {};
      const auto child = co_await find(who, places[i].directory, place.directory, places[i].name);
      if (!child) co_return child.error();
      if (!*child) continue;
      const auto file = co_await key_of(**child);
      if (!file && is_gone(file.error())) continue;
      if (!file) co_return file.error();
      place.file = *file;
      place.handle = **child;
      if (!found.insert(*file).second || wanted.contains(*file)) continue;
      if (const auto mode = locks_.try_pin(*file, TokenUse::kWrite, Urgency::kKernelWaits)) {
        out.pins.emplace_back(locks_, *file, *mode);
        change.on_this_too(*file);
      } else {
        all = false;
      }
    }
    if (all && !change.lost()) co_return out;
    wanted = std::move(found);
  }
  co_return errno_code(EBUSY);
}

// What implies a file's token is the token of the directory where it was made, of which lockd knows
// (T8). Whoever finds the file in another directory asks for the file's own token, of which it does
// not, and would get it.
CachingBackend::Awaitable<void> CachingBackend::leave_cover(FileKey file, FileKey directory) {
  while (const auto cover = locks_.cover(file)) {
    if (*cover == directory) break;
    locks_.give_up(*cover);
    const auto next = co_await pin(locks_, *cover, TokenUse::kRead, Urgency::kMayWait);
    if (!next) co_return next.error();
  }
  co_return Result<void>{};
}

template <class Call>
CachingBackend::Awaitable<Entry> CachingBackend::make(Credentials who, FileHandle directory,
                                                      std::string name, Call call) {
  Reliance change(under_way_);
  const auto used = co_await use_names(change, std::move(who), one_place(directory, name));
  if (!used) co_return used.error();
  const Resolved& place = used->places.front();
  ChangeOfFile in_directory(files_, locks_, place.directory, now_());
  std::optional<ChangeOfFile> existing;
  if (place.file)
    existing.emplace(files_, locks_, *place.file, now_(), KeptFiles::Concerns::kPermissions);
  files_.name_is_unknown(place.directory, name);
  const auto entry = co_await change.send(call());
  if (!entry) co_return entry;
  const FileKey file = key_of_entry(*entry);
  files_.identify(entry->handle, file);
  if (place.file != file) {
    locks_.created(place.directory, file);
    existing.reset();
    existing.emplace(files_, locks_, file, now_());
  }
  existing->ended_with(entry->attributes);
  if (entry->directory_after) in_directory.ended_with(*entry->directory_after);
  files_.name_is(place.directory, generation(place.directory), name, entry->handle);
  co_return entry;
}

CachingBackend::Awaitable<Entry> CachingBackend::create(Credentials who, FileHandle directory,
                                                        std::string name, CreateMode mode,
                                                        SetAttributes attributes) {
  auto entry = co_await make(who, directory, name, [&] {
    return storage_.create(who, directory, name, mode, attributes);
  });
  co_return entry;
}

CachingBackend::Awaitable<Entry> CachingBackend::mkdir(Credentials who, FileHandle directory,
                                                       std::string name, SetAttributes attributes) {
  auto entry = co_await make(who, directory, name,
                             [&] { return storage_.mkdir(who, directory, name, attributes); });
  co_return entry;
}

CachingBackend::Awaitable<Entry> CachingBackend::symlink(Credentials who, FileHandle directory,
                                                         std::string name, std::string target) {
  auto entry = co_await make(who, directory, name,
                             [&] { return storage_.symlink(who, directory, name, target); });
  co_return entry;
}

CachingBackend::Awaitable<Entry> CachingBackend::mknod(Credentials who, FileHandle directory,
                                                       std::string name, FileType type,
                                                       SetAttributes attributes,
                                                       std::uint32_t rdev_major,
                                                       std::uint32_t rdev_minor) {
  auto entry = co_await make(who, directory, name, [&] {
    return storage_.mknod(who, directory, name, type, attributes, rdev_major, rdev_minor);
  });
  co_return entry;
}

CachingBackend::Awaitable<Attributes> CachingBackend::link(Credentials who, FileHandle file,
                                                           FileHandle directory, std::string name) {
  const auto key = co_await key_of(file);
  const auto directory_key = co_await key_of(directory);
  if (!key) co_return key.error();
  if (!directory_key) co_return directory_key.error();
  const auto known = co_await leave_cover(*key, *directory_key);
  if (!known) co_return known.error();
  std::set<FileKey> wanted;
  wanted.insert(*key);
  wanted.insert(*directory_key);
  Reliance change(under_way_);
  const auto pins = co_await pin_together(change, std::move(wanted));
  if (!pins) co_return pins.error();
  ChangeOfFile of_file(files_, locks_, *key, now_());
  const ChangeOfFile in_directory(files_, locks_, *directory_key, now_());
  files_.name_is_unknown(*directory_key, name);
  const auto attributes =
      co_await change.send(storage_.link(std::move(who), file, directory, name));
  if (!attributes) co_return attributes;
  of_file.ended_with(*attributes);
  files_.name_is(*directory_key, generation(*directory_key), name, file);
  co_return attributes;
}

CachingBackend::Awaitable<Removed> CachingBackend::remove(Credentials who, FileHandle directory,
                                                          std::string name) {
  Reliance change(under_way_);
  const auto used = co_await use_names(change, who, one_place(directory, name));
  if (!used) co_return used.error();
  const Resolved& place = used->places.front();
  ChangeOfFile in_directory(files_, locks_, place.directory, now_());
  std::optional<ChangeOfFile> of_file;
  if (place.file) of_file.emplace(files_, locks_, *place.file, now_());
  files_.name_is_unknown(place.directory, name);
  const auto removed = co_await change.send(storage_.remove(std::move(who), directory, name));
  if (!removed) co_return removed;
  files_.name_is_absent(place.directory, generation(place.directory), name);
  if (removed->directory_after) in_directory.ended_with(*removed->directory_after);
  co_return removed;
}

CachingBackend::Awaitable<void> CachingBackend::rmdir(Credentials who, FileHandle directory,
                                                      std::string name) {
  Reliance change(under_way_);
  const auto used = co_await use_names(change, who, one_place(directory, name));
  if (!used) co_return used.error();
  const Resolved& place = used->places.front();
  const ChangeOfFile in_directory(files_, locks_, place.directory, now_());
  files_.name_is_unknown(place.directory, name);
  const auto removed = co_await change.send(storage_.rmdir(std::move(who), directory, name));
  if (!removed) co_return removed;
  if (place.file) files_.drop(*place.file);
  files_.name_is_absent(place.directory, generation(place.directory), name);
  co_return removed;
}

CachingBackend::Awaitable<void> CachingBackend::rename(Credentials who, FileHandle from_directory,
                                                       std::string from_name,
                                                       FileHandle to_directory,
                                                       std::string to_name) {
  std::vector<Place> places = one_place(from_directory, from_name);
  places.push_back({to_directory, to_name});
  Reliance change(under_way_);
  auto used = co_await use_names(change, who, places);
  if (!used) co_return used.error();
  while (const auto moved_file = used->places[0].file) {
    const FileKey target = used->places[1].directory;
    const auto cover = locks_.cover(*moved_file);
    if (!cover || *cover == target) break;
    used->pins.clear();
    const auto known = co_await leave_cover(*moved_file, target);
    if (!known) co_return known.error();
    used = co_await use_names(change, who, places);
    if (!used) co_return used.error();
  }
  const Resolved& from = used->places[0];
  const Resolved& to = used->places[1];
  const ChangeOfFile in_source(files_, locks_, from.directory, now_());
  const ChangeOfFile in_target(files_, locks_, to.directory, now_());
  std::optional<ChangeOfFile> moved, replaced;
  if (from.file) moved.emplace(files_, locks_, *from.file, now_());
  if (to.file) replaced.emplace(files_, locks_, *to.file, now_());
  files_.name_is_unknown(from.directory, from_name);
  files_.name_is_unknown(to.directory, to_name);
  const auto renamed = co_await change.send(
      storage_.rename(std::move(who), from_directory, from_name, to_directory, to_name));
  // Two names of one file: rename(2) does nothing, and both stay.
  if (!renamed || from.file == to.file) co_return renamed;
  if (from.handle) {
    files_.name_is(to.directory, generation(to.directory), to_name, *from.handle);
  }
  files_.name_is_absent(from.directory, generation(from.directory), from_name);
  co_return renamed;
}

// As lookup().
CachingBackend::Awaitable<DirectoryPage> CachingBackend::readdir(Credentials who,
                                                                 FileHandle directory,
                                                                 std::uint64_t cookie,
                                                                 std::uint64_t verifier,
                                                                 std::uint32_t bytes_max) {
  Reliance relies(under_way_);
  while (true) {
    auto page = co_await list(relies, who, directory, cookie, verifier, bytes_max);
    if (!relies.lost()) co_return page;
  }
}

CachingBackend::Awaitable<DirectoryPage> CachingBackend::list(Reliance& relies, Credentials who,
                                                              FileHandle directory,
                                                              std::uint64_t cookie,
                                                              std::uint64_t verifier,
                                                              std::uint32_t bytes_max) {
  const auto used = co_await use_for(relies, directory);
  if (!used) co_return used.error();
  const FileKey key = used->file;
  const auto look = begin_look(key);
  const auto search = files_.begin_search(look.asked);
  const std::uint64_t volume = generation(kVolumeKey);
  auto page = co_await storage_.readdir(std::move(who), directory, cookie, verifier, bytes_max);
  if (!page) co_return page;
  for (DirectoryEntry& entry : page->entries) {
    if (!entry.entry || entry.name == "." || entry.name == "..") continue;
    learn(search, *entry.entry);
    files_.keep_name(look, entry.name, entry.entry->handle);
    if (is_good(volume, *entry.entry)) continue;
    const FileKey child = key_of_entry(*entry.entry);
    if (const auto kept =
            files_.attributes(child, generation(child), look.asked - ages_.attributes)) {
      entry.entry->attributes = *kept;
    } else {
      entry.entry.reset();  // to be looked up
    }
  }
  co_return page;
}

}  // namespace holdfast::fs
