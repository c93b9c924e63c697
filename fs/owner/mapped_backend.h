#pragma once
/// A storage whose files all belong to one owner: OwnerMapping, applied to each call and each
/// answer. The one place of it: below the cache, so what is kept is what is shown.
///
/// Thread, arguments, cancellation, errors: as Backend's. Besides: EPERM for a change of owner that
/// is not to the owner himself.

#include "fs/backend/backend.h"
#include "fs/core/owner_mapping.h"

#include <optional>
#include <string>

namespace holdfast::fs {

class MappedBackend final : public Backend {
 public:
  /// `storage` outlives it, and is not used beside it but by who knows it (volume marker).
  MappedBackend(Backend& storage, OwnerMapping mapping)
      : storage_(storage), mapping_(mapping), identity_(mapping.identity()) {}

  [[nodiscard]] const FilesystemLimits& limits() const override { return storage_.limits(); }
  [[nodiscard]] std::string describe() const override { return storage_.describe(); }
  Awaitable<Entry> root() override;

  Awaitable<Attributes> getattr(Credentials who, FileHandle file) override;
  Awaitable<Attributes> setattr(Credentials who, FileHandle file, SetAttributes change) override;
  Awaitable<Entry> lookup(Credentials who, FileHandle directory, std::string name) override;
  Awaitable<std::uint32_t> access(Credentials who, FileHandle file, std::uint32_t wanted) override;
  Awaitable<std::string> readlink(Credentials, FileHandle link) override {
    return storage_.readlink(identity_, link);
  }

  Awaitable<ReadResult> read(Credentials, FileHandle file, std::uint64_t offset,
                             std::uint32_t count) override {
    return storage_.read(identity_, file, offset, count);
  }
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
  Awaitable<void> rmdir(Credentials, FileHandle directory, std::string name) override {
    return storage_.rmdir(identity_, directory, std::move(name));
  }
  Awaitable<void> rename(Credentials, FileHandle from_directory, std::string from_name,
                         FileHandle to_directory, std::string to_name) override {
    return storage_.rename(identity_, from_directory, std::move(from_name), to_directory,
                           std::move(to_name));
  }

  Awaitable<DirectoryPage> readdir(Credentials who, FileHandle directory, std::uint64_t cookie,
                                   std::uint64_t verifier, std::uint32_t bytes_max) override;
  Awaitable<FilesystemStat> fsstat(Credentials) override { return storage_.fsstat(identity_); }

  [[nodiscard]] std::uint64_t interruptions() const override { return storage_.interruptions(); }
  void suspend() override { storage_.suspend(); }
  void resume() override { storage_.resume(); }
  boost::asio::awaitable<void> stop() override { return storage_.stop(); }

 private:
  void show(Attributes& attributes) const { attributes = mapping_.shown(attributes); }
  void show(std::optional<Attributes>& attributes) const {
    if (attributes) show(*attributes);
  }
  void show(Entry& entry) const {
    show(entry.attributes);
    show(entry.directory_after);
  }
  /// `call`, as whoever makes something for `who`.
  template <class Call>
  Awaitable<Entry> make(Credentials who, FileHandle directory, Call call);
  /// The answer to `call`, as it is shown.
  Awaitable<Entry> shown_entry(Awaitable<Entry> call);
  Awaitable<Attributes> shown_attributes(Awaitable<Attributes> call);
  void say_refused(const SetAttributes& change);
  void say_not_kept(const Owner& wanted);

  Backend& storage_;
  const OwnerMapping mapping_;
  const Credentials identity_;
  std::uint64_t refused_ = 0;   ///< changes of owner
  std::uint64_t not_kept_ = 0;  ///< owners: the storage has not set the group
};

}  // namespace holdfast::fs
