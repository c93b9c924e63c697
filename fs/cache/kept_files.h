#pragma once
/// What a mount keeps of files and directories under its tokens: attributes, permissions, names,
/// absent names. Pure.
///
/// Everything kept belongs to a *generation* of its file's token (LockService::token_generation)
/// and is good for that one only; 0 keeps nothing. An answer of the storage is kept only if nothing
/// changed the file between question and answer: looks and changes are announced before the storage
/// is asked.
///
/// Tokens say what other mounts do; whoever changes files without one (on the server itself, or
/// through another NFS client) is noticed by *age*: all that is kept is known to have been right
/// at some moment, and whoever asks says how long ago that may be. After that the storage is asked
/// for attributes, and if the times or the size are others than those known, what was kept is void.
///  - A file whose attributes differ after a change of ours is taken to differ for that.
///  - Names of a directory that we have changed ourselves are forgotten when they are too old.
///
/// Thread: the loop. Memory: keep_at_most() files, the one unused for longest goes first; kNamesMax
/// names of a directory, and twice as many names as files of all, then they begin anew.

#include "fs/backend/types.h"
#include "holdfast/base/clock.h"
#include "holdfast/lock/types.h"

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace holdfast::fs {

[[nodiscard]] inline FileKey key_of_entry(const Entry& entry) {
  return {entry.attributes.fileid, entry.handle.hash()};
}

class KeptFiles {
 public:
  static constexpr std::size_t kFilesMax = 100'000;
  static constexpr std::size_t kNamesMax = 20'000;
  static constexpr std::size_t kCallersMax = 8;  ///< whose permissions are kept of one file

  explicit KeptFiles(std::size_t files_max = kFilesMax) : files_max_(files_max) {}
  /// From now on.
  void keep_at_most(std::size_t files_max) { files_max_ = files_max; }

  // ---- Identities: they never change, but may be forgotten
  void identify(const FileHandle& handle, const FileKey& file);
  [[nodiscard]] std::optional<FileKey> key(const FileHandle& handle) const;

  // ---- Looking at the storage
  struct Look {
    FileKey file;
    std::uint64_t generation = 0;
    std::uint64_t changes = 0;
    Instant asked{};
  };
  [[nodiscard]] Look begin_look(const FileKey& file, std::uint64_t generation, Instant now);
  /// True: somebody without a token has changed the file, or nobody knows whether: what was read
  /// of it before is not to be used any more.
  [[nodiscard]] bool keep(const Look& look, const Attributes& attributes);
  /// For answers about files that are not known yet: a name is looked up, a directory listed.
  struct Search {
    std::uint64_t changes = 0;
    Instant asked{};
  };
  [[nodiscard]] Search begin_search(Instant now) const { return {changes_, now}; }
  /// As keep().
  [[nodiscard]] bool keep_found(const Search& search, const FileKey& file, std::uint64_t generation,
                                const Attributes& attributes);
  /// What ACCESS answered; `asked`: the bits it was asked for.
  void keep_access(const Look& look, const Credentials& who, std::uint32_t asked,
                   std::uint32_t granted);
  /// `look` is of the directory.
  void keep_name(const Look& look, const std::string& name, const FileHandle& child);
  void keep_absent(const Look& look, const std::string& name);

  // ---- Changing the storage. What was kept of the file's attributes is void.
  struct Change {
    FileKey file;
    std::uint64_t changes = 0;
    Instant asked{};
  };
  [[nodiscard]] Change begin_change(const FileKey& file, Instant now);
  /// `after`: what the storage said with its answer. Kept if no other change was under way.
  void end_change(const Change& change, std::uint64_t generation,
                  const std::optional<Attributes>& after = std::nullopt);
  /// Names of a directory, between begin_change() and end_change() of it. Nothing is kept of a name
  /// whose change failed in a way that leaves it unknown.
  void name_is(const FileKey& directory, std::uint64_t generation, const std::string& name,
               const FileHandle& child);
  void name_is_absent(const FileKey& directory, std::uint64_t generation, const std::string& name);
  void name_is_unknown(const FileKey& directory, const std::string& name);

  // ---- What is kept. `oldest`: nothing that was last known to be right before
  [[nodiscard]] std::optional<Attributes> attributes(const FileKey& file, std::uint64_t generation,
                                                     Instant oldest);
  [[nodiscard]] std::optional<std::uint32_t> access(const FileKey& file, std::uint64_t generation,
                                                    const Credentials& who, std::uint32_t wanted);
  struct Name {
    enum class State : std::uint8_t { kUnknown, kPresent, kAbsent } state = State::kUnknown;
    FileHandle child;
  };
  [[nodiscard]] Name name(const FileKey& directory, std::uint64_t generation,
                          const std::string& name, Instant oldest);
  /// Names are kept that are too old to be told: they are good again once keep() is told that the
  /// directory has not changed. Those that cannot be judged so are forgotten.
  [[nodiscard]] bool names_need_a_look(const FileKey& directory, std::uint64_t generation,
                                       Instant oldest, Instant now);

  // ---- Giving up
  void drop(const FileKey& file);
  void drop_all();

  [[nodiscard]] std::size_t size() const { return files_.size(); }
  /// Of all directories.
  [[nodiscard]] std::size_t names() const;

 private:
  struct Access {
    Credentials who;
    std::uint32_t asked = 0;
    std::uint32_t granted = 0;
  };
  struct Kept {
    std::uint64_t generation = 0;
    std::uint64_t changes = 0;  // begun and ended ones
    unsigned changing = 0;
    std::optional<Attributes> attributes;  // as the storage told them last
    bool void_by_us = false;               // we have changed the file since
    Instant asked{};                       // when they were right
    std::vector<Access> access;
    std::unordered_map<std::string, std::optional<FileHandle>> names;  // nothing: absent
    Instant names_asked{};
    bool names_mixed = false;  // with changes of ours, which hide those of others
    std::list<FileKey>::iterator used;
  };
  Kept& at(const FileKey& file);
  Kept* good(const FileKey& file, std::uint64_t generation);
  Kept* to_keep(const Look& look);
  Kept* changed_directory(const FileKey& directory, std::uint64_t generation);
  void keep_as(const Look& look, const std::string& name, std::optional<FileHandle> child);
  static void forget(Kept& kept);
  static void forget_names(Kept& kept);
  void set_name(Kept& kept, const std::string& name, std::optional<FileHandle> child);

  std::size_t files_max_;
  std::unordered_map<FileKey, Kept> files_;
  std::list<FileKey> used_;  // the one used last first
  std::unordered_map<FileHandle, FileKey> keys_;
  bool forgot_some_ = false;
  std::size_t names_ = 0;      // kept since all were forgotten: at least those that are there
  std::uint64_t changes_ = 0;  // of all files, so that one that was forgotten does not count anew
};

}  // namespace holdfast::fs
