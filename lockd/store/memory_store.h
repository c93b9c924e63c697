#pragma once
/// A store that lives as long as its `Contents`: for lockd embedded in one mount, whose sessions
/// die with the process, and for tests, which hand the same contents to the next life.
///
/// Thread: any, one at a time; nothing blocks.

#include "lockd/store/contents.h"
#include "lockd/store/store.h"

#include <cstdint>
#include <memory>

namespace holdfast::lockd {

class MemoryStore final : public Store {
 public:
  /// `contents` is shared with whoever wants it back for a next life.
  MemoryStore(std::shared_ptr<Contents> contents, std::uint64_t wall_seconds)
      : contents_(std::move(contents)), wall_seconds_(wall_seconds) {}

  boost::asio::awaitable<Opened> open(std::chrono::milliseconds lease_ttl) override;
  boost::asio::awaitable<Result<void>> write(StoreChanges changes) override;
  boost::asio::awaitable<void> close() override;

 private:
  std::shared_ptr<Contents> contents_;
  std::uint64_t wall_seconds_;
  std::chrono::milliseconds lease_ttl_{0};
};

}  // namespace holdfast::lockd
