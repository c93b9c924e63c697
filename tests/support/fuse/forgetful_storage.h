#pragma once
/// A backend that keeps unstable writes in memory until COMMIT, and restarts when told to: then
/// they are gone, as at a server that lost power. And it may be full.
///
/// Thread: the loop. `inner` outlives it.

#include "fs/io/dirty_bytes.h"
#include "tests/support/fuse/slow_attributes.h"

#include <algorithm>
#include <cerrno>
#include <unordered_map>
#include <utility>

namespace holdfast::test {

class ForgetfulStorage final : public SlowAttributes {
 public:
  ForgetfulStorage(boost::asio::any_io_executor loop, fs::Backend& inner)
      : SlowAttributes(std::move(loop), inner, std::chrono::milliseconds(0)) {}

  void restart() {
    unstable_.clear();
    ++verifier_;
  }
  /// From now on it takes nothing, or takes it again.
  bool full = false;
  [[nodiscard]] std::uint64_t interruptions() const override { return verifier_; }

  Awaitable<fs::Attributes> getattr(fs::Credentials who, fs::FileHandle file) override {
    auto out = co_await SlowAttributes::getattr(std::move(who), file);
    if (out) out->size = std::max(out->size, unstable_[file].end());
    co_return out;
  }
  Awaitable<fs::Entry> lookup(fs::Credentials who, fs::FileHandle directory,
                              std::string name) override {
    auto out = co_await SlowAttributes::lookup(std::move(who), directory, std::move(name));
    if (out) out->attributes.size = std::max(out->attributes.size, unstable_[out->handle].end());
    co_return out;
  }
  Awaitable<fs::ReadResult> read(fs::Credentials who, fs::FileHandle file, std::uint64_t offset,
                                 std::uint32_t count) override {
    auto out = co_await SlowAttributes::read(std::move(who), file, offset, count);
    if (!out) co_return out;
    const fs::DirtyBytes& bytes = unstable_[file];
    const auto end = std::min<std::uint64_t>(bytes.end(), offset + count);
    if (end > offset + out->data.size()) out->data.resize(static_cast<std::size_t>(end - offset));
    bytes.visit(offset, offset + count, [&](std::uint64_t at, std::span<const std::uint8_t> data) {
      std::copy(data.begin(), data.end(),
                out->data.begin() + static_cast<std::ptrdiff_t>(at - offset));
    });
    co_return out;
  }
  Awaitable<fs::WriteResult> write(fs::Credentials who, fs::FileHandle file, std::uint64_t offset,
                                   std::span<const std::uint8_t> data,
                                   fs::Stability stability) override {
    if (full) co_return errno_code(ENOSPC);
    if (stability == fs::Stability::kUnstable) {
      unstable_[file].put(offset, fs::Chunk::copy_of(data));
      fs::WriteResult out;
      out.count = static_cast<std::uint32_t>(data.size());
      out.verifier = verifier_;
      co_return out;
    }
    auto out = co_await SlowAttributes::write(std::move(who), file, offset, data, stability);
    co_return out;
  }
  Awaitable<fs::CommitResult> commit(fs::Credentials who, fs::FileHandle file, std::uint64_t,
                                     std::uint32_t) override {
    if (full) co_return errno_code(ENOSPC);
    for (const auto& [offset, data] : unstable_[file].take()) {
      const auto written =
          co_await SlowAttributes::write(who, file, offset, data.bytes(), fs::Stability::kFileSync);
      if (!written) co_return written.error();
    }
    co_return fs::CommitResult{.verifier = verifier_};
  }

 private:
  std::unordered_map<fs::FileHandle, fs::DirtyBytes> unstable_;
  fs::WriteVerifier verifier_ = 1;
};

}  // namespace holdfast::test
