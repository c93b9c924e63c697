#pragma once
/// The storage, as far as this mount may keep it: each call is made under the token it needs, and
/// what the token allows to keep is kept and answered from memory.
///
///   attributes    of files with a token PR or EX; from replies that nothing has overtaken
///   permissions   what ACCESS said, per caller, until mode or owner change; our writes leave them
///   names         of directories with a token PR or EX: those that are there, those that are not
///
/// Tokens tell what other mounts do. What is changed without one (on the server itself, or through
/// another NFS client) is noticed when what is kept is too old (KeptAges): then the storage is
/// asked whether it is still right.
///
/// Who writes or changes attributes has pinned the file itself: that is a part of something larger
/// (an append, a queue of writes), and giving up a token writes too (Urgency::kWithin).
///
/// Data is kept by the kernel (pages) and by InodeWriter, above.
///
/// Thread: the loop. Memory: that of KeptFiles.
/// Source of the rules: docs/tokens.md.

#include "fs/backend/backend.h"
#include "fs/cache/kept_ages.h"
#include "fs/cache/kept_files.h"
#include "fs/cache/reliance.h"
#include "fs/cache/token_pin.h"
#include "fs/lock/lock_service.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::fs {

class CachingBackend final : public Backend {
 public:
  /// Both outlive this. `now`: boot_time_now, or a test's clock.
  CachingBackend(Backend& storage, LockService& locks, KeptAges ages, std::function<Instant()> now)
      : storage_(storage), locks_(locks), ages_(ages), now_(std::move(now)), under_token_(*this) {}

  /// Called when a file turns out to be changed by somebody without a token: what was read of it
  /// under ours is void. What we have written and not sent is not concerned.
  void on_changed(std::function<void(const FileKey&)> call) { changed_ = std::move(call); }
  [[nodiscard]] const KeptAges& ages() const { return ages_; }

  /// See KeptFiles.
  void keep_at_most(std::size_t files) { files_.keep_at_most(files); }
  /// Of files whose token the caller sees to: pinned, or not given up before the call has ended. If
  /// it is lost nothing more is written: EIO.
  [[nodiscard]] FileWrites& writes_under_token() { return under_token_; }

  /// The token is given up.
  void drop(const FileKey& file) { files_.drop(file); }
  /// The token is lost, or all are. What relies on it: Reliance.
  void lost(const FileKey& file) {
    under_way_.lost(file);
    files_.drop(file);
  }
  void lost_all() {
    under_way_.lost_all();
    files_.drop_all();
  }

  Awaitable<Entry> root() override;
  [[nodiscard]] const FilesystemLimits& limits() const override { return storage_.limits(); }
  [[nodiscard]] std::string describe() const override { return storage_.describe(); }

  Awaitable<Attributes> getattr(Credentials who, FileHandle file) override;
  /// For a caller that has pinned the file.
  Awaitable<Attributes> getattr_within(Credentials who, FileHandle file);
  /// Before the file is opened: what is kept of it is not older than KeptAges::at_open. ESTALE:
  /// nobody has a name of it any more; the next lookup asks the storage.
  Awaitable<void> look_before_open(Credentials who, FileHandle file);
  Awaitable<Attributes> setattr(Credentials who, FileHandle file, SetAttributes change) override;
  Awaitable<Entry> lookup(Credentials who, FileHandle directory, std::string name) override;
  Awaitable<std::uint32_t> access(Credentials who, FileHandle file, std::uint32_t wanted) override;
  Awaitable<std::string> readlink(Credentials who, FileHandle link) override;

  Awaitable<ReadResult> read(Credentials who, FileHandle file, std::uint64_t offset,
                             std::uint32_t count) override;
  Awaitable<WriteResult> write(Credentials who, FileHandle file, std::uint64_t offset,
                               std::span<const std::uint8_t> data, Stability stability) override;
  Awaitable<CommitResult> commit(Credentials who, FileHandle file, std::uint64_t offset,
                                 std::uint32_t count) override;

  Awaitable<Entry> create(Credentials who, FileHandle directory, std::string name, CreateMode mode,
                          SetAttributes attributes) override;
  Awaitable<Entry> mkdir(Credentials who, FileHandle directory, std::string name,
                         SetAttributes attributes) override;
  Awaitable<Entry> symlink(Credentials who, FileHandle directory, std::string name,
                           std::string target) override;
  Awaitable<Entry> mknod(Credentials who, FileHandle directory, std::string name, FileType type,
                         SetAttributes attributes, std::uint32_t rdev_major,
                         std::uint32_t rdev_minor) override;
  Awaitable<Attributes> link(Credentials who, FileHandle file, FileHandle directory,
                             std::string name) override;
  Awaitable<Removed> remove(Credentials who, FileHandle directory, std::string name) override;
  Awaitable<void> rmdir(Credentials who, FileHandle directory, std::string name) override;
  Awaitable<void> rename(Credentials who, FileHandle from_directory, std::string from_name,
                         FileHandle to_directory, std::string to_name) override;

  Awaitable<DirectoryPage> readdir(Credentials who, FileHandle directory, std::uint64_t cookie,
                                   std::uint64_t verifier, std::uint32_t bytes_max) override;
  Awaitable<FilesystemStat> fsstat(Credentials who) override { return storage_.fsstat(who); }

  [[nodiscard]] std::uint64_t interruptions() const override { return storage_.interruptions(); }
  void suspend() override { storage_.suspend(); }
  void resume() override { storage_.resume(); }
  boost::asio::awaitable<void> stop() override { return storage_.stop(); }

  struct Place {
    FileHandle directory;
    std::string name;
  };

 private:
  class UnderToken final : public FileWrites {
   public:
    explicit UnderToken(CachingBackend& of) : of_(of) {}
    [[nodiscard]] const FilesystemLimits& limits() const override { return of_.limits(); }
    [[nodiscard]] std::uint64_t interruptions() const override { return of_.interruptions(); }
    Awaitable<Attributes> setattr(Credentials who, FileHandle file, SetAttributes change) override;
    Awaitable<WriteResult> write(Credentials who, FileHandle file, std::uint64_t offset,
                                 std::span<const std::uint8_t> data, Stability stability) override;
    Awaitable<CommitResult> commit(Credentials who, FileHandle file, std::uint64_t offset,
                                   std::uint32_t count) override;

   private:
    CachingBackend& of_;
  };

  /// From the entry that named it; else the storage is asked.
  Awaitable<FileKey> key_of(FileHandle file);
  struct InUse {
    FileKey file;
    TokenPin pin;
  };
  Awaitable<Attributes> attributes(Credentials who, FileHandle file, Urgency urgency);
  /// Under its token.
  Awaitable<Attributes> attributes_not_older(Credentials who, FileHandle file, FileKey key,
                                             Duration age);
  Awaitable<InUse> use(FileHandle file, TokenUse use, Urgency urgency = Urgency::kKernelWaits);

  /// Of a directory whose names are looked at, as `look`.
  Awaitable<InUse> use_for(Reliance& look, FileHandle directory);
  /// The same under one token; void if that is lost meanwhile.
  Awaitable<Entry> look_up(Reliance& look, Credentials who, FileHandle directory, std::string name);
  Awaitable<DirectoryPage> list(Reliance& relies, Credentials who, FileHandle directory,
                                std::uint64_t cookie, std::uint64_t verifier,
                                std::uint32_t bytes_max);
  /// The caller of `change` sees to the file's token. EIO: it was lost before the change's turn
  /// came.
  Awaitable<InUse> still_held(Reliance& change, FileHandle file);

  struct Resolved {
    FileKey directory;
    std::optional<FileKey> file;  ///< that has the name now
    std::optional<FileHandle> handle;
  };
  /// Tokens for a change of names: of the directories, and of the files that have the names.
  struct NamesInUse {
    std::vector<TokenPin> pins;
    std::vector<Resolved> places;  ///< one for each
  };
  Awaitable<NamesInUse> use_names(Reliance& change, Credentials who, std::vector<Place> places);
  /// All of them at the same time, also if one is lost while the next is waited for.
  Awaitable<std::vector<TokenPin>> pin_together(Reliance& change, std::set<FileKey> files);
  /// `file` gets a name outside `directory`, perhaps: returns when lockd knows its token. Nothing
  /// may be pinned.
  Awaitable<void> leave_cover(FileKey file, FileKey directory);
  /// The storage's answer, kept. Under the directory's token, as the next.
  Awaitable<Entry> ask_for_name(Credentials who, FileHandle directory, FileKey directory_key,
                                std::string name);
  /// What is kept of it, if it is not too old. Under the directory's token, too.
  boost::asio::awaitable<KeptFiles::Name> kept_name(Credentials who, FileHandle directory,
                                                    FileKey directory_key, std::string name);
  Awaitable<std::optional<FileHandle>> find(Credentials who, FileHandle directory,
                                            FileKey directory_key, std::string name);
  /// `call` makes `name`.
  template <class Call>
  Awaitable<Entry> make(Credentials who, FileHandle directory, std::string name, Call call);
  [[nodiscard]] std::uint64_t generation(const FileKey& file) const {
    return locks_.token_generation(file);
  }
  /// Of what a search found: kept if the volume is ours, or the file was all the time, so that
  /// nobody else can have changed it.
  void learn(const KeptFiles::Search& search, const Entry& entry);
  [[nodiscard]] bool held_since_before(const KeptFiles::Search& search, const FileKey& file);
  /// The storage's answer to `look`.
  void enter(const KeptFiles::Look& look, const Attributes& attributes);
  [[nodiscard]] KeptFiles::Look begin_look(const FileKey& file) {
    return files_.begin_look(file, generation(file), now_());
  }
  /// The attributes in `found` may be believed. `volume_before`: the generation of the volume's
  /// token before the storage was asked.
  [[nodiscard]] bool is_good(std::uint64_t volume_before, const Entry& found) const;

  Backend& storage_;
  LockService& locks_;
  KeptAges ages_;
  std::function<Instant()> now_;
  std::function<void(const FileKey&)> changed_;
  KeptFiles files_;
  Reliances under_way_;
  UnderToken under_token_;
};

}  // namespace holdfast::fs
