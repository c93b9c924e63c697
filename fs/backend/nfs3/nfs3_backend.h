#pragma once
/// NFS version 3 storage (RFC 1813) over our own RPC transport. What happens on failures:
/// docs/nfs.md.

#include "fs/backend/backend.h"
#include "fs/backend/nfs3/client.h"
#include "fs/backend/nfs3/mount.h"
#include "fs/backend/nfs3/options.h"

#include <memory>
#include <string>

namespace holdfast::fs::nfs3 {

class Nfs3Backend final : public Backend {
 public:
  struct Outcome {
    std::unique_ptr<Nfs3Backend> backend;  ///< null = failed
    Failure failure;                       ///< then one clear line is in failure.text
  };
  /// Connects, mounts and asks for the limits. Fails after options.mount_timeout for each step,
  /// hard or not.
  static boost::asio::awaitable<Outcome> mount(boost::asio::any_io_executor executor,
                                               Options options);

  /// For mount() only.
  struct Token {
   private:
    Token() = default;
    friend class Nfs3Backend;
  };
  Nfs3Backend(Token token, boost::asio::any_io_executor executor, Options options, FileHandle root);

  Awaitable<Entry> root() override;
  [[nodiscard]] const FilesystemLimits& limits() const override { return limits_; }
  [[nodiscard]] std::string describe() const override;

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

  [[nodiscard]] std::uint64_t interruptions() const override { return client_.connects(); }

  void suspend() override;
  void resume() override;
  boost::asio::awaitable<void> stop() override;

 private:
  boost::asio::awaitable<Failure> ask_limits();
  Awaitable<Entry> create_unchecked(Credentials who, FileHandle directory, std::string name,
                                    SetAttributes attributes);
  Awaitable<Entry> create_exclusive(Credentials who, FileHandle directory, std::string name,
                                    SetAttributes attributes);
  /// The entry of an object that `answer` says was made; asks for what the server left out.
  Awaitable<Entry> made(Credentials who, FileHandle directory, std::string name, Answer answer,
                        std::string_view procedure);

  boost::asio::any_io_executor executor_;
  Options options_;
  FileHandle root_;
  FilesystemLimits limits_;
  Client client_;
  bool plus_ = true;  // READDIRPLUS works here
  bool suspended_ = false;
};

}  // namespace holdfast::fs::nfs3
