#pragma once
/// A backend whose user is killed at its n-th change: that call is carried out or not, and nothing
/// after it is.
///
/// Thread: the loop. `inner` outlives it.

#include "tests/support/fuse/slow_attributes.h"

#include <chrono>
#include <utility>

namespace holdfast::csi::testing {

struct Killed {};
enum class LastCall { kLost, kCarriedOut };

class MortalStorage final : public test::SlowAttributes {
 public:
  MortalStorage(boost::asio::any_io_executor loop, fs::Backend& inner, unsigned changes_left,
                LastCall last)
      : SlowAttributes(std::move(loop), inner, std::chrono::milliseconds(0)),
        left_(changes_left),
        last_(last) {}

  Awaitable<fs::Attributes> setattr(fs::Credentials who, fs::FileHandle file,
                                    fs::SetAttributes change) override {
    const bool dying = is_last();
    auto out = co_await SlowAttributes::setattr(std::move(who), file, change);
    if (dying) throw Killed();
    co_return out;
  }
  Awaitable<fs::WriteResult> write(fs::Credentials who, fs::FileHandle file, std::uint64_t offset,
                                   std::span<const std::uint8_t> data,
                                   fs::Stability stability) override {
    const bool dying = is_last();
    auto out = co_await SlowAttributes::write(std::move(who), file, offset, data, stability);
    if (dying) throw Killed();
    co_return out;
  }
  Awaitable<fs::Entry> create(fs::Credentials who, fs::FileHandle directory, std::string name,
                              fs::CreateMode mode, fs::SetAttributes attributes) override {
    const bool dying = is_last();
    auto out = co_await SlowAttributes::create(std::move(who), directory, name, mode, attributes);
    if (dying) throw Killed();
    co_return out;
  }
  Awaitable<fs::Entry> mkdir(fs::Credentials who, fs::FileHandle directory, std::string name,
                             fs::SetAttributes attributes) override {
    const bool dying = is_last();
    auto out = co_await SlowAttributes::mkdir(std::move(who), directory, name, attributes);
    if (dying) throw Killed();
    co_return out;
  }
  Awaitable<fs::Attributes> link(fs::Credentials who, fs::FileHandle file, fs::FileHandle directory,
                                 std::string name) override {
    const bool dying = is_last();
    auto out = co_await SlowAttributes::link(std::move(who), file, directory, name);
    if (dying) throw Killed();
    co_return out;
  }
  Awaitable<fs::Removed> remove(fs::Credentials who, fs::FileHandle directory,
                                std::string name) override {
    const bool dying = is_last();
    auto out = co_await SlowAttributes::remove(std::move(who), directory, name);
    if (dying) throw Killed();
    co_return out;
  }
  Awaitable<void> rmdir(fs::Credentials who, fs::FileHandle directory, std::string name) override {
    const bool dying = is_last();
    auto out = co_await SlowAttributes::rmdir(std::move(who), directory, name);
    if (dying) throw Killed();
    co_return out;
  }
  Awaitable<void> rename(fs::Credentials who, fs::FileHandle from, std::string from_name,
                         fs::FileHandle to, std::string to_name) override {
    const bool dying = is_last();
    auto out = co_await SlowAttributes::rename(std::move(who), from, from_name, to, to_name);
    if (dying) throw Killed();
    co_return out;
  }

 private:
  bool is_last() {
    if (left_ == 0 && last_ == LastCall::kLost) throw Killed();
    return left_-- == 0;
  }
  unsigned left_;
  const LastCall last_;
};

}  // namespace holdfast::csi::testing
