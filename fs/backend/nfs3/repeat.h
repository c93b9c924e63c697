#pragma once
/// Telling one's own earlier attempt from somebody else's object. Pure.

#include "fs/backend/types.h"

#include <cstdint>

namespace holdfast::fs::nfs3 {

/// One object under two names? Handles of one file may differ between directories (knfsd with
/// subtree_check puts the parent into them), so the file's number counts too.
[[nodiscard]] inline bool same_object(const Entry& a, const Entry& b) {
  return a.handle == b.handle ||
         (a.attributes.fsid == b.attributes.fsid && a.attributes.fileid == b.attributes.fileid &&
          a.attributes.type == b.attributes.type);
}

/// MKDIR and MKNOD have no verifier as EXCLUSIVE CREATE has one, so we sign the object with its
/// first times: this second, and a random part of it (in 100 ns, the coarsest step of a filesystem
/// that stores parts of a second well).
struct Signature {
  timespec time{};

  [[nodiscard]] static Signature make(timespec now, std::uint32_t chance) {
    Signature out;
    out.time.tv_sec = now.tv_sec;
    out.time.tv_nsec = static_cast<long>(chance % 10'000'000U) * 100;
    return out;
  }
  void sign(SetAttributes& attributes) const {
    if (!attributes.atime) attributes.atime = SetAttributes::Time{.now = false, .value = time};
    if (!attributes.mtime) attributes.mtime = SetAttributes::Time{.now = false, .value = time};
  }
  /// Access or modification may have changed one of the two by now. A server that drops them gives
  /// false: then the application gets EEXIST, since believing that somebody else's lock directory
  /// is ours would break a lock.
  [[nodiscard]] bool is_on(const Attributes& attributes) const {
    const auto equal = [this](const timespec& other) {
      return other.tv_sec == time.tv_sec && other.tv_nsec == time.tv_nsec;
    };
    return equal(attributes.atime) || equal(attributes.mtime);
  }
};

}  // namespace holdfast::fs::nfs3
