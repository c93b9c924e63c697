#pragma once
/// The `dir` backend's class. Only for this folder; others use make_dir_backend().

#include "fs/backend/backend.h"
#include "fs/backend/dir/acting.h"
#include "fs/backend/dir/handles.h"
#include "fs/backend/dir/open_files.h"
#include "fs/backend/dir/sync_thread.h"
#include "holdfast/task/event.h"

#include <string>

namespace holdfast::fs::dir {

[[nodiscard]] Attributes to_attributes(const struct stat& status);

class Directory final : public Backend {
 public:
  Directory(boost::asio::any_io_executor executor, std::string path, Handles handles,
            WriteVerifier verifier, std::uint32_t name_max);

  Awaitable<Entry> root() override;
  [[nodiscard]] const FilesystemLimits& limits() const override { return limits_; }
  [[nodiscard]] std::string describe() const override { return path_; }
  Awaitable<Attributes> getattr(Credentials who, FileHandle file) override;
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
  Awaitable<FilesystemStat> fsstat(Credentials who) override;
  void suspend() override { open_gate_.clear(); }
  void resume() override { open_gate_.set(); }
  boost::asio::awaitable<void> stop() override;

 private:
  /// Waits while suspended; ECANCELED once stopped. First line of every call.
  Awaitable<void> enter();

  Result<Node> directory(const FileHandle& handle);
  Result<Entry> child(const Credentials& who, const FileHandle& handle, const Node& directory,
                      const std::string& name);
  /// The object `name` was just made; returns it with the rest of `attributes` applied.
  Result<Entry> made(const Credentials& who, const FileHandle& handle, const Node& directory,
                     const std::string& name, const SetAttributes& attributes);
  Result<void> apply(const Credentials& who, const FileHandle& file, const Node& node,
                     const SetAttributes& change);
  /// Closes cached descriptors of the file `name`, which is about to lose a link.
  void forget(const Node& directory, const std::string& name);
  Result<DirectoryPage> list(const Credentials& who, const FileHandle& handle, std::uint64_t cookie,
                             std::uint32_t bytes_max);

  std::string path_;
  Privilege privilege_;
  Handles handles_;
  OpenFiles open_files_;
  SyncThread sync_thread_;
  task::Event open_gate_;
  WriteVerifier verifier_;
  FilesystemLimits limits_;
  bool stopped_ = false;
};

}  // namespace holdfast::fs::dir
