#include "deploy/csi/storage/tree.h"

#include "deploy/csi/storage/acting.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace asio = boost::asio;

namespace holdfast::csi {
namespace {

constexpr std::uint32_t kParentMode = 0755;
constexpr std::uint32_t kOwnerAll = 0700;
constexpr std::uint32_t kPageBytes = 65'536;

bool is_gone(const ErrorCode& error) {
  return error == errno_code(ENOENT) || error == errno_code(ESTALE);
}

/// A directory that is being emptied, and those in it that were seen but not entered yet.
struct Level {
  fs::Entry directory;
  std::string name;
  std::vector<fs::DirectoryEntry> below;
};

/// The first entries besides "." and ".."; none: the directory is empty.
Storage<std::vector<fs::DirectoryEntry>> first_entries(fs::Backend& backend, fs::Entry directory) {
  std::vector<fs::DirectoryEntry> out;
  std::uint64_t cookie = 0;
  std::uint64_t verifier = 0;
  while (true) {
    auto page = co_await list(backend, directory, cookie, verifier);
    if (!page) co_return page.error();
    for (auto& entry : page->entries) {
      cookie = entry.cookie;
      if (entry.name != "." && entry.name != "..") out.push_back(std::move(entry));
    }
    verifier = page->verifier;
    if (!out.empty() || page->eof || page->entries.empty()) co_return out;
  }
}

/// A directory whose owner may not enter or change it (read-only module caches are such) is opened
/// for the owner first.
Storage<void> open_for_owner(fs::Backend& backend, fs::Entry directory) {
  const auto mode = directory.attributes.mode;
  if ((mode & kOwnerAll) == kOwnerAll) co_return Result<void>();
  fs::SetAttributes wider;
  wider.mode = mode | kOwnerAll;
  auto changed = co_await change(backend, directory, wider);
  if (!changed && !is_gone(changed.error())) co_return changed.error();
  co_return Result<void>();
}

Storage<void> remove_directory(fs::Backend& backend, fs::Entry parent, std::string name) {
  const auto call = [&](fs::Credentials who) {
    return backend.rmdir(std::move(who), parent.handle, name);
  };
  auto removed = co_await as_one_of<void>(root_or_owner(parent), call);
  if (!removed && !is_gone(removed.error())) co_return removed;
  co_return Result<void>();
}

/// Files go at once; directories are left for later.
Storage<void> empty_page(fs::Backend& backend, Level& level,
                         std::vector<fs::DirectoryEntry> entries) {
  for (auto& entry : entries) {
    if (!entry.entry) {
      auto found = co_await find_in(backend, level.directory, entry.name);
      if (!found && is_gone(found.error())) continue;
      if (!found) co_return found.error();
      entry.entry = *found;
    }
    if (entry.entry->attributes.type == fs::FileType::kDirectory) {
      level.below.push_back(std::move(entry));
      continue;
    }
    auto removed = co_await remove_file(backend, level.directory, entry.name);
    if (!removed) co_return removed.error();
  }
  co_return Result<void>();
}

}  // namespace

Storage<fs::DirectoryPage> list(fs::Backend& backend, fs::Entry directory, std::uint64_t cookie,
                                std::uint64_t verifier) {
  const auto call = [&](fs::Credentials who) {
    return backend.readdir(std::move(who), directory.handle, cookie, verifier, kPageBytes);
  };
  co_return co_await as_one_of<fs::DirectoryPage>(root_or_owner(directory), call);
}

Storage<fs::Entry> find_in(fs::Backend& backend, fs::Entry directory, std::string name) {
  const auto call = [&](fs::Credentials who) {
    return backend.lookup(std::move(who), directory.handle, name);
  };
  co_return co_await as_one_of<fs::Entry>(root_or_owner(directory), call);
}

Storage<fs::Entry> make_in(fs::Backend& backend, fs::Entry directory, std::string name,
                           fs::SetAttributes attributes) {
  auto there = co_await find_in(backend, directory, name);
  if (!there && there.error() == errno_code(ENOENT)) {
    const auto call = [&](fs::Credentials who) {
      return backend.mkdir(std::move(who), directory.handle, name, attributes);
    };
    there = co_await as_one_of<fs::Entry>(root_or_owner(directory), call);
    // Somebody else's, a moment ago.
    if (!there && there.error() == errno_code(EEXIST))
      there = co_await find_in(backend, directory, name);
  }
  if (there && there->attributes.type != fs::FileType::kDirectory) co_return errno_code(ENOTDIR);
  co_return there;
}

Storage<void> move(fs::Backend& backend, fs::Entry from, std::string from_name, fs::Entry to,
                   std::string to_name) {
  const auto call = [&](fs::Credentials who) {
    return backend.rename(std::move(who), from.handle, from_name, to.handle, to_name);
  };
  People people = root_or_owner(from);
  people.push_back(owner_of(to));
  co_return co_await as_one_of<void>(std::move(people), call);
}

Storage<void> remove_file(fs::Backend& backend, fs::Entry directory, std::string name) {
  const auto call = [&](fs::Credentials who) {
    return backend.remove(std::move(who), directory.handle, name);
  };
  auto removed = co_await as_one_of<fs::Removed>(root_or_owner(directory), call);
  if (!removed && !is_gone(removed.error())) co_return removed.error();
  co_return Result<void>();
}

Storage<fs::Attributes> change(fs::Backend& backend, fs::Entry entry,
                               fs::SetAttributes attributes) {
  const auto call = [&](fs::Credentials who) {
    return backend.setattr(std::move(who), entry.handle, attributes);
  };
  co_return co_await as_one_of<fs::Attributes>(root_or_owner(entry), call);
}

Storage<Parent> find_parent(fs::Backend& backend, fs::Entry root, std::string path,
                            Missing missing) {
  Parent out{std::move(root), {}};
  std::string_view rest = path;
  while (true) {
    const auto slash = std::min(rest.find('/'), rest.size());
    out.name = rest.substr(0, slash);
    if (slash == rest.size()) co_return out;
    rest.remove_prefix(slash + 1);
    fs::SetAttributes attributes;
    attributes.mode = kParentMode;
    Result<fs::Entry> next = errno_code(ENOENT);
    if (missing == Missing::kMake) {
      next = co_await make_in(backend, out.directory, out.name, attributes);
    } else {
      next = co_await find_in(backend, out.directory, out.name);
    }
    if (!next) co_return next.error();
    if (next->attributes.type != fs::FileType::kDirectory) co_return errno_code(ENOTDIR);
    out.directory = *next;
  }
}

Storage<void> remove_tree(fs::Backend& backend, fs::Entry directory, std::string name) {
  auto top = co_await find_in(backend, directory, name);
  if (!top && is_gone(top.error())) co_return Result<void>();
  if (!top) co_return top.error();
  if (top->attributes.type != fs::FileType::kDirectory)
    co_return co_await remove_file(backend, directory, name);
  // No recursion: how deep it goes is in the hands of whoever filled it.
  std::vector<Level> levels;
  levels.push_back(Level{directory, {}, {}});
  levels.back().below.push_back(fs::DirectoryEntry{0, name, 0, *top});
  while (true) {
    Level& level = levels.back();
    if (!level.below.empty()) {
      fs::DirectoryEntry next = std::move(level.below.back());
      level.below.pop_back();
      auto opened = co_await open_for_owner(backend, *next.entry);
      if (!opened) co_return opened;
      levels.push_back(Level{*next.entry, next.name, {}});
      continue;
    }
    if (levels.size() == 1) co_return Result<void>();
    auto entries = co_await first_entries(backend, level.directory);
    if (!entries && !is_gone(entries.error())) co_return entries.error();
    if (entries && !entries->empty()) {
      auto emptied = co_await empty_page(backend, level, std::move(*entries));
      if (!emptied) co_return emptied;
      continue;
    }
    auto removed =
        co_await remove_directory(backend, levels[levels.size() - 2].directory, level.name);
    if (!removed) co_return removed;
    levels.pop_back();
  }
}

}  // namespace holdfast::csi
