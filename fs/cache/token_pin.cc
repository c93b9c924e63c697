#include "fs/cache/token_pin.h"

#include <utility>

namespace asio = boost::asio;

namespace holdfast::fs {

asio::awaitable<Result<TokenPin>> pin(LockService& locks, FileKey file, TokenUse use,
                                      Urgency urgency) {
  if (const auto mode = locks.try_pin(file, use, urgency)) {
    co_return TokenPin(locks, file, *mode);
  }
  const auto mode = co_await locks.pin(file, use, urgency, nullptr);
  if (!mode) co_return mode.error();
  co_return TokenPin(locks, file, *mode);
}

asio::awaitable<Result<std::vector<TokenPin>>> pin_all(LockService& locks,
                                                       std::set<FileKey> files) {
  std::vector<TokenPin> pins;
  pins.reserve(files.size());
  for (const FileKey& file : files) {
    auto pinned = co_await pin(locks, file, TokenUse::kWrite);
    if (!pinned) co_return pinned.error();
    pins.push_back(std::move(*pinned));
  }
  co_return pins;
}

}  // namespace holdfast::fs
