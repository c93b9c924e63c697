#pragma once
/// A backend whose answers about regular files' attributes come late: what a slow server does.
///
/// Thread: the loop. `inner` outlives it.

#include "fs/backend/backend.h"

#include <chrono>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace holdfast::test {

class SlowAttributes : public fs::Backend {
 public:
  SlowAttributes(boost::asio::any_io_executor loop, fs::Backend& inner,
                 std::chrono::milliseconds delay)
      : loop_(std::move(loop)), inner_(inner), delay_(delay) {}

  Awaitable<fs::Attributes> getattr(fs::Credentials who, fs::FileHandle file) override {
    const auto attributes = co_await inner_.getattr(std::move(who), file);
    if (attributes && attributes->type == fs::FileType::kRegular && delay_.count() > 0) {
      boost::asio::steady_timer timer(loop_, delay_);
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    co_return attributes;
  }

  Awaitable<fs::Entry> root() override { return inner_.root(); }
  [[nodiscard]] const fs::FilesystemLimits& limits() const override { return inner_.limits(); }
  [[nodiscard]] std::string describe() const override { return inner_.describe(); }
  Awaitable<fs::Attributes> setattr(fs::Credentials who, fs::FileHandle file,
                                    fs::SetAttributes change) override {
    return inner_.setattr(std::move(who), file, change);
  }
  Awaitable<fs::Entry> lookup(fs::Credentials who, fs::FileHandle directory,
                              std::string name) override {
    return inner_.lookup(std::move(who), directory, std::move(name));
  }
  Awaitable<std::uint32_t> access(fs::Credentials who, fs::FileHandle file,
                                  std::uint32_t wanted) override {
    return inner_.access(std::move(who), file, wanted);
  }
  Awaitable<std::string> readlink(fs::Credentials who, fs::FileHandle link) override {
    return inner_.readlink(std::move(who), link);
  }
  Awaitable<fs::ReadResult> read(fs::Credentials who, fs::FileHandle file, std::uint64_t offset,
                                 std::uint32_t count) override {
    return inner_.read(std::move(who), file, offset, count);
  }
  Awaitable<fs::WriteResult> write(fs::Credentials who, fs::FileHandle file, std::uint64_t offset,
                                   std::span<const std::uint8_t> data,
                                   fs::Stability stability) override {
    return inner_.write(std::move(who), file, offset, data, stability);
  }
  Awaitable<fs::CommitResult> commit(fs::Credentials who, fs::FileHandle file, std::uint64_t offset,
                                     std::uint32_t count) override {
    return inner_.commit(std::move(who), file, offset, count);
  }
  Awaitable<fs::Entry> create(fs::Credentials who, fs::FileHandle directory, std::string name,
                              fs::CreateMode mode, fs::SetAttributes attributes) override {
    return inner_.create(std::move(who), directory, std::move(name), mode, attributes);
  }
  Awaitable<fs::Entry> mkdir(fs::Credentials who, fs::FileHandle directory, std::string name,
                             fs::SetAttributes attributes) override {
    return inner_.mkdir(std::move(who), directory, std::move(name), attributes);
  }
  Awaitable<fs::Entry> symlink(fs::Credentials who, fs::FileHandle directory, std::string name,
                               std::string target) override {
    return inner_.symlink(std::move(who), directory, std::move(name), std::move(target));
  }
  Awaitable<fs::Entry> mknod(fs::Credentials who, fs::FileHandle directory, std::string name,
                             fs::FileType type, fs::SetAttributes attributes, std::uint32_t major,
                             std::uint32_t minor) override {
    return inner_.mknod(std::move(who), directory, std::move(name), type, attributes, major, minor);
  }
  Awaitable<fs::Attributes> link(fs::Credentials who, fs::FileHandle file, fs::FileHandle directory,
                                 std::string name) override {
    return inner_.link(std::move(who), file, directory, std::move(name));
  }
  Awaitable<fs::Removed> remove(fs::Credentials who, fs::FileHandle directory,
                                std::string name) override {
    return inner_.remove(std::move(who), directory, std::move(name));
  }
  Awaitable<void> rmdir(fs::Credentials who, fs::FileHandle directory, std::string name) override {
    return inner_.rmdir(std::move(who), directory, std::move(name));
  }
  Awaitable<void> rename(fs::Credentials who, fs::FileHandle from_directory, std::string from_name,
                         fs::FileHandle to_directory, std::string to_name) override {
    return inner_.rename(std::move(who), from_directory, std::move(from_name), to_directory,
                         std::move(to_name));
  }
  Awaitable<fs::DirectoryPage> readdir(fs::Credentials who, fs::FileHandle directory,
                                       std::uint64_t cookie, std::uint64_t verifier,
                                       std::uint32_t bytes_max) override {
    return inner_.readdir(std::move(who), directory, cookie, verifier, bytes_max);
  }
  Awaitable<fs::FilesystemStat> fsstat(fs::Credentials who) override {
    return inner_.fsstat(std::move(who));
  }
  void suspend() override { inner_.suspend(); }
  void resume() override { inner_.resume(); }
  boost::asio::awaitable<void> stop() override { return inner_.stop(); }

 private:
  boost::asio::any_io_executor loop_;
  fs::Backend& inner_;
  std::chrono::milliseconds delay_;
};

}  // namespace holdfast::test
