#pragma once
/// A backend whose changes are on their way as long as there is a file `hold` in its directory:
/// what a server does that does not answer. `held` there says how many are.
///
/// Thread: the loop. `inner` outlives it.

#include "tests/support/fuse/slow_attributes.h"

#include <fstream>
#include <string>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <unistd.h>

namespace holdfast::test {

class HeldChanges final : public SlowAttributes {
 public:
  HeldChanges(boost::asio::any_io_executor loop, fs::Backend& inner, std::string directory)
      : SlowAttributes(loop, inner, std::chrono::milliseconds(0)),
        loop_(loop),
        directory_(std::move(directory)) {}

  Awaitable<fs::Attributes> setattr(fs::Credentials who, fs::FileHandle file,
                                    fs::SetAttributes change) override {
    return held(SlowAttributes::setattr(std::move(who), file, change));
  }
  Awaitable<fs::WriteResult> write(fs::Credentials who, fs::FileHandle file, std::uint64_t offset,
                                   std::span<const std::uint8_t> data,
                                   fs::Stability stability) override {
    return held(SlowAttributes::write(std::move(who), file, offset, data, stability));
  }
  Awaitable<fs::Entry> create(fs::Credentials who, fs::FileHandle directory, std::string name,
                              fs::CreateMode mode, fs::SetAttributes attributes) override {
    return held(
        SlowAttributes::create(std::move(who), directory, std::move(name), mode, attributes));
  }
  Awaitable<fs::Entry> mkdir(fs::Credentials who, fs::FileHandle directory, std::string name,
                             fs::SetAttributes attributes) override {
    return held(SlowAttributes::mkdir(std::move(who), directory, std::move(name), attributes));
  }
  Awaitable<fs::Entry> symlink(fs::Credentials who, fs::FileHandle directory, std::string name,
                               std::string target) override {
    return held(
        SlowAttributes::symlink(std::move(who), directory, std::move(name), std::move(target)));
  }
  Awaitable<fs::Attributes> link(fs::Credentials who, fs::FileHandle file, fs::FileHandle directory,
                                 std::string name) override {
    return held(SlowAttributes::link(std::move(who), file, directory, std::move(name)));
  }
  Awaitable<fs::Removed> remove(fs::Credentials who, fs::FileHandle directory,
                                std::string name) override {
    return held(SlowAttributes::remove(std::move(who), directory, std::move(name)));
  }
  Awaitable<void> rmdir(fs::Credentials who, fs::FileHandle directory, std::string name) override {
    return held(SlowAttributes::rmdir(std::move(who), directory, std::move(name)));
  }
  Awaitable<void> rename(fs::Credentials who, fs::FileHandle from_directory, std::string from_name,
                         fs::FileHandle to_directory, std::string to_name) override {
    return held(SlowAttributes::rename(std::move(who), from_directory, std::move(from_name),
                                       to_directory, std::move(to_name)));
  }

 private:
  template <class T>
  Awaitable<T> held(Awaitable<T> call) {
    const std::string sign = directory_ + "/hold";
    if (::access(sign.c_str(), F_OK) == 0) std::ofstream(directory_ + "/held") << ++held_;
    while (::access(sign.c_str(), F_OK) == 0) {
      boost::asio::steady_timer timer(loop_, std::chrono::milliseconds(5));
      co_await timer.async_wait(boost::asio::use_awaitable);
    }
    auto result = co_await std::move(call);
    co_return result;
  }

  boost::asio::any_io_executor loop_;
  std::string directory_;
  int held_ = 0;
};

}  // namespace holdfast::test
