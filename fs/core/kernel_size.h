#pragma once
/// What size the kernel believes a file to have, as far as we can know. Pure.
///
/// The kernel reads within its own idea of the size. It drops the attributes of an answer if it
/// adopted others, invalidated the inode or wrote to it since it asked (linux: fs/fuse/inode.c,
/// fuse_change_attributes, attr_version), and the read(2) that asked goes on with the old size: it
/// misses what another node appended, though its program holds the lock. No answer says whether it
/// was adopted. So: sizes that agree with what the kernel has for sure need no care; any other has
/// to be made known in a way that can be verified (Notifier::adopt_size), after which adopted()
/// says so.
///
/// Thread: the loop.

#include <cstdint>
#include <optional>
#include <utility>

namespace holdfast::fs {

class KernelSize {
 public:
  using Mark = std::uint64_t;

  /// The kernel has this size, whatever is still under way.
  [[nodiscard]] bool is(std::uint64_t size) const { return size_ == size; }
  [[nodiscard]] bool known() const { return size_.has_value(); }

  /// An answer that it may adopt or drop is on its way to the kernel.
  void told(std::uint64_t size) {
    // The first one makes the kernel's inode.
    if (!std::exchange(told_any_, true)) {
      size_ = size;
    } else if (size_ != size) {
      forget();
    }
  }
  /// One that it always adopts: of a SETATTR with a size.
  void set(std::uint64_t size) {
    told_any_ = true;
    ++changes_;
    size_ = size;
  }
  /// A write(2) up to `end` through the kernel, which raises its size by itself.
  void wrote(std::uint64_t end) {
    if (size_ && end <= *size_) return;
    ++changes_;
    if (size_) size_ = end;
  }
  void forget() {
    ++changes_;
    size_.reset();
  }

  /// The kernel is about to be asked...
  [[nodiscard]] Mark mark() const { return changes_; }
  /// ...and had `size`. Counts unless something else happened since the mark.
  void adopted(std::uint64_t size, Mark since) {
    if (changes_ == since) size_ = size;
  }

 private:
  std::optional<std::uint64_t> size_;
  bool told_any_ = false;
  std::uint64_t changes_ = 0;
};

}  // namespace holdfast::fs
