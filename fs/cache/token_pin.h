#pragma once
/// An operation that relies on a token: as long as one of these lives, the token is not given up.
///
/// Thread: the loop. Lifetime: the LockService outlives it.

#include "fs/lock/lock_service.h"

#include <set>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

class TokenPin {
 public:
  TokenPin() = default;
  /// Of `file`, which is pinned under `mode`.
  TokenPin(LockService& locks, const FileKey& file, TokenMode mode)
      : locks_(&locks), file_(file), mode_(mode) {}
  TokenPin(TokenPin&& other) noexcept { swap(other); }
  TokenPin& operator=(TokenPin&& other) noexcept {
    TokenPin old(std::move(*this));
    swap(other);
    return *this;
  }
  TokenPin(const TokenPin&) = delete;
  TokenPin& operator=(const TokenPin&) = delete;
  ~TokenPin() {
    if (locks_ != nullptr) locks_->unpin(file_);
  }
  /// What the operation may do, unless the token is lost.
  [[nodiscard]] TokenMode mode() const { return mode_; }

 private:
  void swap(TokenPin& other) {
    std::swap(locks_, other.locks_);
    std::swap(file_, other.file_);
    std::swap(mode_, other.mode_);
  }
  LockService* locks_ = nullptr;
  FileKey file_;
  TokenMode mode_ = TokenMode::kShared;
};

/// Returns with the right to use `file`, when the mount is entitled. At once if the token is here.
/// Nearly all that asks comes from the kernel with something locked, and what does not ends soon.
[[nodiscard]] boost::asio::awaitable<Result<TokenPin>> pin(LockService& locks, FileKey file,
                                                           TokenUse use,
                                                           Urgency urgency = Urgency::kKernelWaits);

/// Several, for a change, in the order of their keys, so that no two mounts wait for each other.
[[nodiscard]] boost::asio::awaitable<Result<std::vector<TokenPin>>> pin_all(
    LockService& locks, std::set<FileKey> files);

}  // namespace holdfast::fs
