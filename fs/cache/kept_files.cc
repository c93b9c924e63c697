#include "fs/cache/kept_files.h"

#include <algorithm>
#include <utility>

namespace holdfast::fs {
namespace {

bool same_time(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/// What any change of data, names or permissions changes (not what looking changes: atime).
bool same_version(const Attributes& a, const Attributes& b) {
  return a.size == b.size && same_time(a.mtime, b.mtime) && same_time(a.ctime, b.ctime);
}

}  // namespace

void KeptFiles::identify(const FileHandle& handle, const FileKey& file) {
  if (keys_.size() >= 2 * files_max_) keys_.clear();  // they are found out again
  keys_.insert_or_assign(handle, file);
}

std::optional<FileKey> KeptFiles::key(const FileHandle& handle) const {
  const auto found = keys_.find(handle);
  if (found == keys_.end()) return std::nullopt;
  return found->second;
}

KeptFiles::Kept& KeptFiles::at(const FileKey& file) {
  const auto [found, added] = files_.try_emplace(file);
  Kept& kept = found->second;
  if (!added) {
    used_.splice(used_.begin(), used_, kept.used);
    return kept;
  }
  kept.used = used_.insert(used_.begin(), file);
  kept.changes = ++changes_;
  // One that is being changed stays: its end must find what its beginning did.
  for (auto last = std::prev(used_.end()); files_.size() > files_max_ && last != used_.begin();) {
    const auto oldest = files_.find(*last);
    const auto before = std::prev(last);
    if (oldest->second.changing == 0) {
      forgot_some_ = true;
      files_.erase(oldest);
      used_.erase(last);
    }
    last = before;
  }
  return kept;
}

KeptFiles::Kept* KeptFiles::good(const FileKey& file, std::uint64_t generation) {
  const auto found = files_.find(file);
  if (found == files_.end() || generation == 0 || found->second.generation != generation)
    return nullptr;
  used_.splice(used_.begin(), used_, found->second.used);
  return &found->second;
}

void KeptFiles::forget(Kept& kept) {
  kept.attributes.reset();
  kept.access.clear();
  forget_names(kept);
}

void KeptFiles::forget_names(Kept& kept) {
  kept.names.clear();
  kept.names_mixed = false;
}

// ---- Looking

KeptFiles::Look KeptFiles::begin_look(const FileKey& file, std::uint64_t generation, Instant now) {
  return {file, generation, at(file).changes, now};
}

KeptFiles::Kept* KeptFiles::to_keep(const Look& look) {
  if (look.generation == 0) return nullptr;
  Kept& kept = at(look.file);
  if (kept.changing > 0 || kept.changes != look.changes) return nullptr;
  // Asked under a token that is gone: what is known under the present one is not given up for it.
  if (look.generation < kept.generation) return nullptr;
  if (std::exchange(kept.generation, look.generation) != look.generation) forget(kept);
  return &kept;
}

bool KeptFiles::keep(const Look& look, const Attributes& attributes) {
  Kept* kept = to_keep(look);
  // Answers may overtake each other: the one that was asked for last is not older than the others.
  if (kept == nullptr || (kept->attributes && look.asked < kept->asked)) return false;
  const bool known = kept->attributes.has_value();
  const bool same = known && same_version(*kept->attributes, attributes);
  // Who is not known may have been, before it had to make room.
  const bool by_others = known ? !same && !kept->void_by_us : forgot_some_;
  if (!same) {
    kept->access.clear();
    // What else was asked meanwhile may have been answered before it changed.
    kept->changes = ++changes_;
  }
  if (!kept->names_mixed) {
    if (!same) forget_names(*kept);
    kept->names_asked = look.asked;
  }
  kept->attributes = attributes;
  kept->void_by_us = false;
  kept->asked = look.asked;
  return by_others;
}

bool KeptFiles::keep_found(const Search& search, const FileKey& file, std::uint64_t generation,
                           const Attributes& attributes) {
  const auto found = files_.find(file);
  if (found != files_.end() && found->second.changes > search.changes) return false;
  return keep(begin_look(file, generation, search.asked), attributes);
}

void KeptFiles::keep_access(const Look& look, const Credentials& who, std::uint32_t asked,
                            std::uint32_t granted) {
  Kept* kept = to_keep(look);
  if (kept == nullptr) return;
  const auto same = [&](const Access& one) { return one.who == who; };
  const auto found = std::find_if(kept->access.begin(), kept->access.end(), same);
  if (found != kept->access.end()) {
    found->granted = (found->granted & ~asked) | (granted & asked);
    found->asked |= asked;
    return;
  }
  if (kept->access.size() >= kCallersMax) kept->access.erase(kept->access.begin());
  kept->access.push_back({who, asked, granted & asked});
}

void KeptFiles::set_name(Kept& kept, const std::string& name, std::optional<FileHandle> child) {
  const bool is_new = !kept.names.contains(name);
  if (is_new && kept.names.size() >= kNamesMax) kept.names.clear();
  if (is_new && ++names_ > 2 * files_max_) {
    for (auto& [key, file] : files_)
      forget_names(file);
    names_ = 1;
  }
  kept.names.insert_or_assign(name, std::move(child));
}

void KeptFiles::keep_name(const Look& look, const std::string& name, const FileHandle& child) {
  keep_as(look, name, child);
}

void KeptFiles::keep_absent(const Look& look, const std::string& name) {
  keep_as(look, name, std::nullopt);
}

void KeptFiles::keep_as(const Look& look, const std::string& name,
                        std::optional<FileHandle> child) {
  Kept* kept = to_keep(look);
  // Before the directory was looked at last, the name may have been another file's.
  if (kept == nullptr || look.asked < kept->names_asked) return;
  if (kept->names.empty()) kept->names_asked = look.asked;
  set_name(*kept, name, std::move(child));
}

// ---- Changing

KeptFiles::Change KeptFiles::begin_change(const FileKey& file, Instant now) {
  Kept& kept = at(file);
  kept.changes = ++changes_;
  ++kept.changing;
  kept.void_by_us = true;
  kept.access.clear();
  // What an earlier change that is still under way will tell is as old as its beginning.
  if (kept.names.empty() && kept.changing == 1) kept.names_asked = now;
  kept.names_mixed = true;
  return {file, kept.changes, now};
}

void KeptFiles::end_change(const Change& change, std::uint64_t generation,
                           const std::optional<Attributes>& after) {
  Kept& kept = at(change.file);
  const bool alone = kept.changing == 1 && kept.changes == change.changes;
  if (kept.changing > 0) --kept.changing;
  kept.changes = ++changes_;
  kept.void_by_us = true;
  kept.names_mixed = true;
  if (!alone || !after || generation == 0) return;
  if (std::exchange(kept.generation, generation) != generation) forget(kept);
  kept.attributes = *after;
  kept.void_by_us = false;
  kept.asked = change.asked;
}

KeptFiles::Kept* KeptFiles::changed_directory(const FileKey& directory, std::uint64_t generation) {
  Kept& kept = at(directory);
  if (generation == 0) {
    kept.names.clear();
    return nullptr;
  }
  if (std::exchange(kept.generation, generation) != generation) forget(kept);
  return &kept;
}

void KeptFiles::name_is(const FileKey& directory, std::uint64_t generation, const std::string& name,
                        const FileHandle& child) {
  if (Kept* kept = changed_directory(directory, generation)) set_name(*kept, name, child);
}

void KeptFiles::name_is_absent(const FileKey& directory, std::uint64_t generation,
                               const std::string& name) {
  if (Kept* kept = changed_directory(directory, generation)) set_name(*kept, name, std::nullopt);
}

void KeptFiles::name_is_unknown(const FileKey& directory, const std::string& name) {
  const auto found = files_.find(directory);
  if (found != files_.end()) found->second.names.erase(name);
}

// ---- What is kept

std::optional<Attributes> KeptFiles::attributes(const FileKey& file, std::uint64_t generation,
                                                Instant oldest) {
  const Kept* kept = good(file, generation);
  if (kept == nullptr || kept->changing > 0 || kept->void_by_us) return std::nullopt;
  return kept->asked < oldest ? std::nullopt : kept->attributes;
}

std::optional<std::uint32_t> KeptFiles::access(const FileKey& file, std::uint64_t generation,
                                               const Credentials& who, std::uint32_t wanted) {
  const Kept* kept = good(file, generation);
  if (kept == nullptr || kept->changing > 0) return std::nullopt;
  for (const Access& one : kept->access) {
    if (one.who == who && (one.asked & wanted) == wanted) return one.granted & wanted;
  }
  return std::nullopt;
}

KeptFiles::Name KeptFiles::name(const FileKey& directory, std::uint64_t generation,
                                const std::string& name, Instant oldest) {
  const Kept* kept = good(directory, generation);
  if (kept == nullptr || kept->changing > 0 || kept->names_asked < oldest) return {};
  const auto found = kept->names.find(name);
  if (found == kept->names.end()) return {};
  if (!found->second) return {Name::State::kAbsent, {}};
  return {Name::State::kPresent, *found->second};
}

bool KeptFiles::names_need_a_look(const FileKey& directory, std::uint64_t generation,
                                  Instant oldest, Instant now) {
  Kept* kept = good(directory, generation);
  if (kept == nullptr || kept->changing > 0 || kept->names_asked >= oldest) return false;
  if (kept->names_mixed) forget_names(*kept);
  if (!kept->names.empty()) return true;
  kept->names_asked = now;  // none is right
  return false;
}

// ---- Giving up

void KeptFiles::drop(const FileKey& file) {
  const auto found = files_.find(file);
  if (found == files_.end()) return;
  forget(found->second);
  found->second.generation = 0;
  found->second.changes = ++changes_;  // what is being looked at is not kept either
}

void KeptFiles::drop_all() {
  for (auto& [file, kept] : files_) {
    forget(kept);
    kept.generation = 0;
    kept.changes = ++changes_;
  }
}

std::size_t KeptFiles::names() const {
  std::size_t sum = 0;
  for (const auto& [key, kept] : files_)
    sum += kept.names.size();
  return sum;
}

}  // namespace holdfast::fs
