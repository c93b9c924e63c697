#pragma once
/// A storage of one file that restarts at chosen calls: unstable data is lost, the verifier
/// changes.
///
/// Calls are executed when they are made; answers come some turns of the loop later, also after a
/// restart.

#include "fs/backend/backend.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace holdfast::fs::testing {

class RestartingStorage final : public Backend {
 public:
  using Bytes = std::vector<std::uint8_t>;

  RestartingStorage(boost::asio::io_context& io, unsigned seed) : io_(io), random_(seed) {
    limits_.write_max = 64;
  }

  void set_write_max(std::uint32_t bytes) { limits_.write_max = bytes; }

  /// Restart before (the call is then executed by the new instance) or after the n-th call.
  unsigned restart_every = 0;
  /// Take fewer bytes than offered now and then.
  bool short_writes = false;
  /// The next commits fail with this, and lose what was unstable.
  int failing_commits = 0;
  int commit_errno = EIO;
  /// One in so many commits fails so, too; 0 = none.
  unsigned commits_failing_every = 0;
  /// One in so many WRITEs and SETATTRs fails with this; 0 = none.
  unsigned failing_every = 0;
  int write_errno = ENOSPC;
  /// WRITEs are not executed while it is set, as if the storage could not be reached.
  bool held = false;
  /// COMMITs are not answered while it is set; those that fail lose nothing before.
  bool commits_held = false;
  /// WRITEs are executed and not answered while it is set.
  bool answers_held = false;
  unsigned calls = 0;
  unsigned commits = 0;
  unsigned unstable_writes = 0;
  unsigned stable_writes = 0;

  void restart() {
    visible_ = stable_;
    ++verifier_;
  }
  [[nodiscard]] std::uint64_t interruptions() const override { return verifier_; }
  [[nodiscard]] const Bytes& visible() const { return visible_; }
  [[nodiscard]] const Bytes& stable() const { return stable_; }

  [[nodiscard]] const FilesystemLimits& limits() const override { return limits_; }
  [[nodiscard]] std::string describe() const override { return "restarting"; }

  Awaitable<WriteResult> write(Credentials, FileHandle, std::uint64_t offset,
                               std::span<const std::uint8_t> data, Stability stability) override {
    while (held)
      co_await boost::asio::post(io_, boost::asio::use_awaitable);
    before();
    ++(stability == Stability::kFileSync ? stable_writes : unstable_writes);
    if (fails()) {
      co_await delay();
      co_return errno_code(write_errno);
    }
    std::size_t count = std::min<std::size_t>(data.size(), limits_.write_max);
    if (short_writes && count > 1 && random_() % 3 == 0) count = 1 + random_() % (count - 1);
    put(visible_, offset, data.first(count));
    // FILE_SYNC makes these bytes stable, not what else is pending.
    if (stability == Stability::kFileSync) put(stable_, offset, data.first(count));
    WriteResult result;
    result.count = static_cast<std::uint32_t>(count);
    result.committed = stability;
    result.verifier = verifier_;
    while (answers_held)
      co_await boost::asio::post(io_, boost::asio::use_awaitable);
    co_await delay();
    co_return result;
  }

  Awaitable<CommitResult> commit(Credentials, FileHandle, std::uint64_t, std::uint32_t) override {
    ++commits;
    before();
    const bool fails = commits_failing_every != 0 && random_() % commits_failing_every == 0;
    if (failing_commits > 0 || fails) {
      if (!fails) --failing_commits;
      while (commits_held)
        co_await boost::asio::post(io_, boost::asio::use_awaitable);
      visible_ = stable_;  // the worst a server may do: same verifier, data gone
      co_await delay();
      co_return errno_code(commit_errno);
    }
    stable_ = visible_;
    const auto verifier = verifier_;
    while (commits_held)
      co_await boost::asio::post(io_, boost::asio::use_awaitable);
    co_await delay();
    co_return CommitResult{.verifier = verifier};
  }

  Awaitable<Attributes> setattr(Credentials, FileHandle, SetAttributes change) override {
    before();
    if (fails()) {
      co_await delay();
      co_return errno_code(write_errno);
    }
    if (change.size) {
      visible_.resize(*change.size);
      stable_.resize(*change.size);  // metadata is stable at once (RFC 1813 section 1.6)
    }
    Attributes out;
    out.size = visible_.size();
    co_await delay();
    co_return out;
  }

  Awaitable<Attributes> getattr(Credentials, FileHandle) override {
    before();
    Attributes out;
    out.size = visible_.size();
    co_await delay();
    co_return out;
  }

  Awaitable<ReadResult> read(Credentials, FileHandle, std::uint64_t offset,
                             std::uint32_t count) override {
    before();
    ReadResult out;
    const auto start = std::min<std::size_t>(offset, visible_.size());
    const auto end = std::min<std::size_t>(offset + count, visible_.size());
    out.data.assign(visible_.begin() + static_cast<std::ptrdiff_t>(start),
                    visible_.begin() + static_cast<std::ptrdiff_t>(end));
    out.eof = end == visible_.size();
    co_await delay();
    co_return out;
  }

  // Not used by writers.
  Awaitable<Entry> root() override { return refuse<Entry>(); }
  Awaitable<Entry> lookup(Credentials, FileHandle, std::string) override { return refuse<Entry>(); }
  Awaitable<std::uint32_t> access(Credentials, FileHandle, std::uint32_t) override {
    return refuse<std::uint32_t>();
  }
  Awaitable<std::string> readlink(Credentials, FileHandle) override {
    return refuse<std::string>();
  }
  Awaitable<Entry> create(Credentials, FileHandle, std::string, CreateMode,
                          SetAttributes) override {
    return refuse<Entry>();
  }
  Awaitable<Entry> mkdir(Credentials, FileHandle, std::string, SetAttributes) override {
    return refuse<Entry>();
  }
  Awaitable<Entry> symlink(Credentials, FileHandle, std::string, std::string) override {
    return refuse<Entry>();
  }
  Awaitable<Entry> mknod(Credentials, FileHandle, std::string, FileType, SetAttributes,
                         std::uint32_t, std::uint32_t) override {
    return refuse<Entry>();
  }
  Awaitable<Attributes> link(Credentials, FileHandle, FileHandle, std::string) override {
    return refuse<Attributes>();
  }
  Awaitable<Removed> remove(Credentials, FileHandle, std::string) override {
    return refuse<Removed>();
  }
  Awaitable<void> rmdir(Credentials, FileHandle, std::string) override { return refuse<void>(); }
  Awaitable<void> rename(Credentials, FileHandle, std::string, FileHandle, std::string) override {
    return refuse<void>();
  }
  Awaitable<DirectoryPage> readdir(Credentials, FileHandle, std::uint64_t, std::uint64_t,
                                   std::uint32_t) override {
    return refuse<DirectoryPage>();
  }
  Awaitable<FilesystemStat> fsstat(Credentials) override { return refuse<FilesystemStat>(); }
  void suspend() override {}
  void resume() override {}
  boost::asio::awaitable<void> stop() override { co_return; }

 private:
  template <class T>
  Awaitable<T> refuse() {
    co_return errno_code(EOPNOTSUPP);
  }
  void before() {
    ++calls;
    if (restart_every != 0 && calls % restart_every == 0) restart();
  }
  [[nodiscard]] bool fails() { return failing_every != 0 && random_() % failing_every == 0; }
  static void put(Bytes& bytes, std::uint64_t offset, std::span<const std::uint8_t> data) {
    if (bytes.size() < offset + data.size()) bytes.resize(offset + data.size());
    std::copy(data.begin(), data.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  boost::asio::awaitable<void> delay() {
    for (auto turns = random_() % 4; turns > 0; --turns)
      co_await boost::asio::post(io_, boost::asio::use_awaitable);
  }

  boost::asio::io_context& io_;
  std::minstd_rand random_;
  FilesystemLimits limits_;
  Bytes visible_;
  Bytes stable_;
  WriteVerifier verifier_ = 1;
};

}  // namespace holdfast::fs::testing
