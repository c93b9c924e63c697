#pragma once
/// A storage in memory that counts its calls, and tokens as the test gives them.

#include "fs/backend/backend.h"
#include "fs/cache/kept_files.h"
#include "fs/lock/lock_service.h"
#include "holdfast/task/event.h"

#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast::fs::testing {

/// Calls are executed when they are made; while `holding`, answers come at let_go(). Each change of
/// a file gives it another ctime.
class FakeStorage final : public Backend {
 public:
  explicit FakeStorage(boost::asio::io_context& loop) : loop_(loop) {
    files_[1].attributes.type = FileType::kDirectory;
    files_[1].attributes.fileid = 1;
  }

  std::map<std::string, int> calls;
  int next_error = 0;             ///< of the next change of names, which is executed all the same
  bool tells_attributes = false;  ///< after a WRITE
  std::uint32_t granted = R_OK | W_OK | X_OK;
  bool holding = false;
  void let_go() {
    holding = false;
    for (const auto& one : held_)
      one->set();
  }

  static FileHandle handle(std::uint64_t fileid) {
    FileHandle out;
    for (int i = 0; i < 8; ++i)
      out.bytes.push_back(static_cast<std::uint8_t>(fileid >> (8 * i)));
    return out;
  }
  static FileKey key(std::uint64_t fileid) { return {fileid, handle(fileid).hash()}; }
  /// Behind the mount's back.
  std::uint64_t make(std::uint64_t directory, const std::string& name,
                     FileType type = FileType::kRegular) {
    const std::uint64_t fileid = ++last_;
    files_[fileid].attributes.type = type;
    files_[fileid].attributes.fileid = fileid;
    files_[fileid].attributes.nlink = 1;
    files_[directory].names[name] = fileid;
    touch(files_[fileid]);
    touch(files_[directory]);
    return fileid;
  }
  void resize(std::uint64_t fileid, std::uint64_t size) {
    files_[fileid].attributes.size = size;
    touch(files_[fileid]);
  }
  void change_mode(std::uint64_t fileid, std::uint32_t mode) {
    files_[fileid].attributes.mode = mode;
    touch(files_[fileid]);
  }
  void unlink(std::uint64_t directory, const std::string& name) {
    const auto removed = files_[directory].names.extract(name);
    --files_[removed.mapped()].attributes.nlink;
    touch(files_[removed.mapped()]);
    touch(files_[directory]);
  }

  [[nodiscard]] const FilesystemLimits& limits() const override { return limits_; }
  [[nodiscard]] std::string describe() const override { return "fake"; }
  Awaitable<Entry> root() override { return answer<Entry>("root", entry(1)); }
  Awaitable<Attributes> getattr(Credentials, FileHandle file) override {
    return answer<Attributes>("getattr", at(file).attributes);
  }
  Awaitable<Attributes> setattr(Credentials, FileHandle file, SetAttributes change) override {
    if (change.size) at(file).attributes.size = *change.size;
    if (change.mode) at(file).attributes.mode = *change.mode;
    if (change.uid) at(file).attributes.uid = *change.uid;
    touch(at(file));
    return answer<Attributes>("setattr", at(file).attributes);
  }
  Awaitable<Entry> lookup(Credentials, FileHandle directory, std::string name) override {
    return answer<Entry>("lookup", find(directory, name));
  }
  Awaitable<std::uint32_t> access(Credentials, FileHandle, std::uint32_t wanted) override {
    return answer<std::uint32_t>("access", wanted & granted);
  }
  Awaitable<std::string> readlink(Credentials, FileHandle) override {
    return answer<std::string>("readlink", std::string("target"));
  }
  Awaitable<ReadResult> read(Credentials, FileHandle, std::uint64_t, std::uint32_t) override {
    return answer<ReadResult>("read", ReadResult{});
  }
  Awaitable<WriteResult> write(Credentials, FileHandle file, std::uint64_t offset,
                               std::span<const std::uint8_t> data, Stability) override {
    WriteResult result;
    result.count = static_cast<std::uint32_t>(data.size());
    auto& size = at(file).attributes.size;
    size = std::max(size, offset + data.size());
    touch(at(file));
    if (tells_attributes) result.after = at(file).attributes;
    return answer<WriteResult>("write", result);
  }
  Awaitable<CommitResult> commit(Credentials, FileHandle, std::uint64_t, std::uint32_t) override {
    return answer<CommitResult>("commit", CommitResult{.verifier = 1});
  }
  Awaitable<Entry> create(Credentials, FileHandle directory, std::string name, CreateMode,
                          SetAttributes) override {
    return made("create", directory, name, FileType::kRegular);
  }
  Awaitable<Entry> mkdir(Credentials, FileHandle directory, std::string name,
                         SetAttributes) override {
    return made("mkdir", directory, name, FileType::kDirectory);
  }
  Awaitable<Entry> symlink(Credentials, FileHandle directory, std::string name,
                           std::string) override {
    return made("symlink", directory, name, FileType::kSymlink);
  }
  Awaitable<Entry> mknod(Credentials, FileHandle directory, std::string name, FileType type,
                         SetAttributes, std::uint32_t, std::uint32_t) override {
    return made("mknod", directory, name, type);
  }
  Awaitable<Attributes> link(Credentials, FileHandle file, FileHandle directory,
                             std::string name) override {
    at(directory).names[name] = at(file).attributes.fileid;
    ++at(file).attributes.nlink;
    touch(at(file));
    touch(at(directory));
    return answer<Attributes>("link", changed<Attributes>(at(file).attributes));
  }
  Awaitable<Removed> remove(Credentials, FileHandle directory, std::string name) override {
    at(directory).names.erase(name);
    touch(at(directory));
    return answer<Removed>("remove", changed<Removed>({}));
  }
  Awaitable<void> rmdir(Credentials, FileHandle directory, std::string name) override {
    at(directory).names.erase(name);
    touch(at(directory));
    return answer<void>("rmdir", changed());
  }
  Awaitable<void> rename(Credentials, FileHandle from, std::string from_name, FileHandle to,
                         std::string to_name) override {
    const auto moved = at(from).names.extract(from_name);
    if (!moved.empty()) at(to).names[to_name] = moved.mapped();
    touch(at(from));
    touch(at(to));
    return answer<void>("rename", changed());
  }
  Awaitable<DirectoryPage> readdir(Credentials, FileHandle directory, std::uint64_t, std::uint64_t,
                                   std::uint32_t) override {
    DirectoryPage page;
    page.eof = true;
    for (const auto& [name, fileid] : at(directory).names)
      page.entries.push_back({fileid, name, page.entries.size() + 1, entry(fileid)});
    return answer<DirectoryPage>("readdir", std::move(page));
  }
  Awaitable<FilesystemStat> fsstat(Credentials) override {
    return answer<FilesystemStat>("fsstat", FilesystemStat{});
  }
  void suspend() override {}
  void resume() override {}
  boost::asio::awaitable<void> stop() override { co_return; }

 private:
  struct File {
    Attributes attributes;
    std::map<std::string, std::uint64_t> names;
  };
  void touch(File& file) { file.attributes.ctime.tv_sec = ++changes_; }
  File& at(const FileHandle& handle) {
    std::uint64_t fileid = 0;
    for (int i = 7; i >= 0; --i)
      fileid = (fileid << 8) | handle.bytes[static_cast<std::size_t>(i)];
    return files_[fileid];
  }
  Entry entry(std::uint64_t fileid) { return {handle(fileid), files_[fileid].attributes}; }
  Result<Entry> find(const FileHandle& directory, const std::string& name) {
    const auto& names = at(directory).names;
    const auto found = names.find(name);
    if (found == names.end()) return errno_code(ENOENT);
    return entry(found->second);
  }
  Result<void> changed() {
    const int error = std::exchange(next_error, 0);
    return error == 0 ? Result<void>{} : Result<void>(errno_code(error));
  }
  template <class T>
  Result<T> changed(T value) {
    const auto outcome = changed();
    return outcome ? Result<T>(std::move(value)) : Result<T>(outcome.error());
  }
  Awaitable<Entry> made(const char* call, const FileHandle& directory, const std::string& name,
                        FileType type) {
    const std::uint64_t fileid = make(at(directory).attributes.fileid, name, type);
    return answer<Entry>(call, changed<Entry>(entry(fileid)));
  }
  template <class T>
  Awaitable<T> answer(const char* call, Result<T> result) {
    ++calls[call];
    return later<T>(std::move(result));
  }
  template <class T>
  Awaitable<T> later(Result<T> result) {
    if (holding) {
      const auto event = std::make_shared<task::Event>(loop_.get_executor());
      held_.push_back(event);
      co_await event->wait();
    }
    co_return result;
  }

  boost::asio::io_context& loop_;
  FilesystemLimits limits_;
  std::map<std::uint64_t, File> files_;
  std::uint64_t last_ = 1;
  time_t changes_ = 0;
  std::vector<std::shared_ptr<task::Event>> held_;
};

/// Tokens: kShared of every file, unless the test says otherwise.
class FakeTokens final : public LockService {
 public:
  explicit FakeTokens(boost::asio::io_context& loop) : loop_(loop) {}

  void give(const FileKey& file, TokenMode mode) {
    modes_[file] = mode;
    generations_[file] = ++last_generation_;
  }
  /// Who asks waits from now on, until give().
  void withhold(const FileKey& file) { give(file, TokenMode::kNone); }
  void wake() {
    for (const auto& one : waiting_)
      one->set();
  }

  struct Pin {
    FileKey file;
    TokenUse use;
    Urgency urgency;
  };
  std::vector<Pin> pinned;  ///< all there were, in their order
  std::map<FileKey, int> pins;
  std::vector<std::pair<FileKey, FileKey>> told_created;
  std::map<FileKey, FileKey> covers;
  std::vector<FileKey> given_up;

  std::optional<TokenMode> try_pin(const FileKey& file, TokenUse use, Urgency urgency) override {
    if (mode(file) == TokenMode::kNone) return std::nullopt;
    pinned.push_back({file, use, urgency});
    ++pins[file];
    return mode(file);
  }
  Awaitable<TokenMode> pin(FileKey file, TokenUse use, Urgency urgency, task::Interrupt*) override {
    while (true) {
      if (const auto mode = try_pin(file, use, urgency)) co_return *mode;
      const auto event = std::make_shared<task::Event>(loop_.get_executor());
      waiting_.push_back(event);
      co_await event->wait();
    }
  }
  void unpin(const FileKey& file) override { --pins[file]; }
  void created(const FileKey& directory, const FileKey& file) override {
    told_created.emplace_back(directory, file);
  }
  [[nodiscard]] std::optional<FileKey> cover(const FileKey& file) const override {
    const auto found = covers.find(file);
    return found == covers.end() ? std::nullopt : std::optional(found->second);
  }
  /// Waits for whoever has it pinned, as the real one.
  void give_up(const FileKey& file) override {
    EXPECT_EQ(pins[file], 0) << "it would wait for ever";
    given_up.push_back(file);
    std::erase_if(covers, [&](const auto& one) { return one.second == file; });
  }
  [[nodiscard]] std::uint64_t token_generation(const FileKey& file) const override {
    const TokenMode now = mode(file);
    const bool keeps = now == TokenMode::kRead || now == TokenMode::kExclusive;
    return keeps ? generations_.at(file) : 0;
  }

  Awaitable<Granted> lock(LockRequest, task::Interrupt*) override { return refuse<Granted>(); }
  Awaitable<void> unlock(UnlockRequest) override { return refuse<void>(); }
  Awaitable<QueryResult> query(QueryRequest) override { return refuse<QueryResult>(); }
  Awaitable<void> release_owner(ReleaseOwnerRequest) override { return refuse<void>(); }
  Awaitable<void> release_handle(ReleaseHandleRequest) override { return refuse<void>(); }
  Awaitable<void> claim_wal(ClaimWalRequest) override { return refuse<void>(); }
  [[nodiscard]] bool entitled() const override { return true; }
  boost::asio::awaitable<void> wait_entitled() override { co_return; }
  void listen(Listener) override {}

 private:
  [[nodiscard]] TokenMode mode(const FileKey& file) const {
    const auto found = modes_.find(file);
    if (found != modes_.end()) return found->second;
    return file == kVolumeKey ? TokenMode::kNone : TokenMode::kShared;
  }
  template <class T>
  Awaitable<T> refuse() {
    co_return make_error_code(LockErrc::kBadRequest);
  }

  boost::asio::io_context& loop_;
  std::map<FileKey, TokenMode> modes_;
  std::map<FileKey, std::uint64_t> generations_;
  std::uint64_t last_generation_ = 0;
  std::vector<std::shared_ptr<task::Event>> waiting_;
};

}  // namespace holdfast::fs::testing
