#pragma once
/// When to ask the kernel for the inodes that it does not use. Pure.
///
/// The kernel remembers names, and with them inodes, until it is short of memory; the mount must
/// remember each of them as long. So above a bound the kernel is asked to give back all that are
/// not in use (fs/fuse/give_back.h). It need not have any, and the FORGETs come later: it is asked
/// again only after it was told of a quarter of the bound more. So it knows at most the bound and
/// that quarter, and what is in use.
///
/// Thread: one owner.

#include <cstddef>

namespace holdfast::fs {

class CacheBound {
 public:
  explicit CacheBound(std::size_t inodes_max) : inodes_max_(inodes_max) {}

  /// The kernel was told of one more, and knows `known` now. True: it is to be asked, then ended()
  /// is to be called.
  [[nodiscard]] bool told(std::size_t known) {
    ++told_;
    return !asking_ && ask(known);
  }
  /// What the kernel gives back is given back, or on its way as FORGETs. True: it was told of so
  /// many meanwhile that it is to be asked once more.
  [[nodiscard]] bool ended(std::size_t known) {
    asking_ = false;
    return ask(known);
  }

 private:
  bool ask(std::size_t known) {
    if (known <= inodes_max_ || told_ <= inodes_max_ / 4) return false;
    told_ = 0;
    asking_ = true;
    return true;
  }

  std::size_t inodes_max_;
  std::size_t told_ = 0;  // since it was asked last
  bool asking_ = false;
};

}  // namespace holdfast::fs
