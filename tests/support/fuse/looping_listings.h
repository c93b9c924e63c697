#pragma once
/// A backend that lists a directory round and round if there is a file `loops` in it: what some NFS
/// servers do (nfs-ganesha 4.3 over tmpfs, once the file that it lists last is removed).
///
/// Thread: the loop. `inner` outlives it.

#include "tests/support/fuse/slow_attributes.h"

#include <chrono>
#include <utility>

namespace holdfast::test {

class LoopingListings final : public SlowAttributes {
 public:
  LoopingListings(boost::asio::any_io_executor loop, fs::Backend& inner)
      : SlowAttributes(std::move(loop), inner, std::chrono::milliseconds(0)) {}

  Awaitable<fs::DirectoryPage> readdir(fs::Credentials who, fs::FileHandle directory,
                                       std::uint64_t cookie, std::uint64_t verifier,
                                       std::uint32_t bytes_max) override {
    const auto looping = co_await SlowAttributes::lookup(who, directory, "loops");
    auto page = co_await SlowAttributes::readdir(who, directory, cookie, verifier, bytes_max);
    if (!looping || !page || !page->eof) co_return page;
    page->eof = false;
    if (!page->entries.empty()) co_return page;
    auto first = co_await SlowAttributes::readdir(who, directory, 0, 0, bytes_max);
    if (first) first->eof = false;
    co_return first;
  }
};

}  // namespace holdfast::test
