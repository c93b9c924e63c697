#pragma once
/// Notices a storage that lists a directory round and round. Pure.
///
/// A cookie is a place in a listing, and a listing passes each place once (RFC 1813
/// section 3.3.16). A server that breaks this keeps whoever lists the directory busy for ever;
/// Linux's own NFS client gives ELOOP then, and so do we. One cookie is remembered, further and
/// further apart (Brent's way to find a cycle): any cycle is found within some rounds, in memory
/// that does not grow with the directory.
///
/// Thread: one owner, for one reading of a directory; assign a fresh one when it begins anew or
/// goes on elsewhere (rewinddir(3), seekdir(3)).

#include <cstdint>
#include <optional>

namespace holdfast::fs {

class ListingLoop {
 public:
  /// The next entry has this cookie. True: the listing does not end.
  [[nodiscard]] bool meets(std::uint64_t cookie) {
    // Once may be a step back that a server takes because the directory has changed.
    if (remembered_ == cookie) ++returns_;
    if (found()) return true;
    if (++since_ < until_) return false;
    remembered_ = cookie;
    until_ *= 2;
    since_ = 0;
    returns_ = 0;
    return false;
  }
  /// It has been true.
  [[nodiscard]] bool found() const { return returns_ > 1; }

 private:
  std::optional<std::uint64_t> remembered_;
  std::uint64_t since_ = 0;  // entries met after it
  std::uint64_t until_ = 1;  // so many, then another one is remembered
  unsigned returns_ = 0;     // how often it came again
};

}  // namespace holdfast::fs
