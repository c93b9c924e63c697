#pragma once
/// An NFS export in memory, to which every share leads. It looks at each name that it is asked for:
/// one that leads out of its directory ends the run.
///
/// On it are a volume with its record, "pvc-1", and "notes", which is nobody's. Every call of the
/// storage is an answer at once: nothing suspends. Thread: one.

#include "fs/backend/backend.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::csi::fuzz {

class Export final : public fs::Backend {
 public:
  Export();
  /// What is in that file; nothing: no such file.
  [[nodiscard]] std::optional<std::string> content(const std::vector<std::string>& path) const;

  [[nodiscard]] const fs::FilesystemLimits& limits() const override { return limits_; }
  [[nodiscard]] std::string describe() const override { return "memory:/export"; }
  Awaitable<fs::Entry> root() override;
  Awaitable<fs::Attributes> getattr(fs::Credentials who, fs::FileHandle file) override;
  Awaitable<fs::Attributes> setattr(fs::Credentials who, fs::FileHandle file,
                                    fs::SetAttributes change) override;
  Awaitable<fs::Entry> lookup(fs::Credentials who, fs::FileHandle directory,
                              std::string name) override;
  Awaitable<std::uint32_t> access(fs::Credentials who, fs::FileHandle file,
                                  std::uint32_t wanted) override;
  Awaitable<std::string> readlink(fs::Credentials who, fs::FileHandle link) override;
  Awaitable<fs::ReadResult> read(fs::Credentials who, fs::FileHandle file, std::uint64_t offset,
                                 std::uint32_t count) override;
  Awaitable<fs::WriteResult> write(fs::Credentials who, fs::FileHandle file, std::uint64_t offset,
                                   std::span<const std::uint8_t> data,
                                   fs::Stability stability) override;
  Awaitable<fs::CommitResult> commit(fs::Credentials who, fs::FileHandle file, std::uint64_t offset,
                                     std::uint32_t count) override;
  Awaitable<fs::Entry> create(fs::Credentials who, fs::FileHandle directory, std::string name,
                              fs::CreateMode mode, fs::SetAttributes attributes) override;
  Awaitable<fs::Entry> mkdir(fs::Credentials who, fs::FileHandle directory, std::string name,
                             fs::SetAttributes attributes) override;
  Awaitable<fs::Entry> symlink(fs::Credentials who, fs::FileHandle directory, std::string name,
                               std::string target) override;
  Awaitable<fs::Entry> mknod(fs::Credentials who, fs::FileHandle directory, std::string name,
                             fs::FileType type, fs::SetAttributes attributes,
                             std::uint32_t rdev_major, std::uint32_t rdev_minor) override;
  Awaitable<fs::Attributes> link(fs::Credentials who, fs::FileHandle file, fs::FileHandle directory,
                                 std::string name) override;
  Awaitable<fs::Removed> remove(fs::Credentials who, fs::FileHandle directory,
                                std::string name) override;
  Awaitable<void> rmdir(fs::Credentials who, fs::FileHandle directory, std::string name) override;
  Awaitable<void> rename(fs::Credentials who, fs::FileHandle from_directory, std::string from_name,
                         fs::FileHandle to_directory, std::string to_name) override;
  Awaitable<fs::DirectoryPage> readdir(fs::Credentials who, fs::FileHandle directory,
                                       std::uint64_t cookie, std::uint64_t verifier,
                                       std::uint32_t bytes_max) override;
  Awaitable<fs::FilesystemStat> fsstat(fs::Credentials who) override;
  void suspend() override {}
  void resume() override {}
  boost::asio::awaitable<void> stop() override { co_return; }

 private:
  struct Node {
    std::uint64_t id = 0;
    fs::FileType type = fs::FileType::kRegular;
    std::string data;
    std::map<std::string, std::shared_ptr<Node>> children;
  };
  using NodePtr = std::shared_ptr<Node>;

  [[nodiscard]] NodePtr add(Node& directory, const std::string& name, fs::FileType type);
  [[nodiscard]] Result<NodePtr> node(const fs::FileHandle& handle) const;
  [[nodiscard]] Result<NodePtr> directory(const fs::FileHandle& handle) const;
  [[nodiscard]] Result<NodePtr> child(const fs::FileHandle& handle, const std::string& name) const;
  [[nodiscard]] static fs::Entry entry_of(const Node& node);

  fs::FilesystemLimits limits_;
  std::map<std::uint64_t, NodePtr> nodes_;  // removed ones stay: handles of them are ESTALE nowhere
  NodePtr root_;
};

/// The one that visit_share() leads to. A new one for each input.
extern Export* the_export;

}  // namespace holdfast::csi::fuzz
