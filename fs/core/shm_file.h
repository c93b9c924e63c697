#pragma once
/// Content of a virtual file: SQLite's wal-index (`NAME-shm`), in memory, never on the storage.
/// Pure.
///
/// SQLite shares it between processes by mmap; the kernel's page cache of this mount is what they
/// share, and this is the truth behind those pages: READ is served from here, WRITE (also of dirty
/// mapped pages) ends here. Its times never change, so the kernel never drops its pages.

#include "holdfast/base/result.h"

#include <cstdint>
#include <span>
#include <vector>

namespace holdfast::fs {

class ShmFile {
 public:
  /// 32 KiB of wal-index cover 4096 frames of the WAL (https://sqlite.org/walformat.html); this
  /// much covers a WAL of a hundred GiB. More is refused with EFBIG.
  static constexpr std::uint64_t kSizeMax = 256ULL << 20;

  [[nodiscard]] std::uint64_t size() const { return bytes_.size(); }
  /// What is there of [offset, offset + count); empty past the end.
  [[nodiscard]] std::span<const std::uint8_t> read(std::uint64_t offset, std::size_t count) const;
  /// Grows the file as needed, zeros in the gap. EFBIG: nothing changed.
  [[nodiscard]] Result<void> write(std::uint64_t offset, std::span<const std::uint8_t> data);
  /// Cuts, or grows with zeros. EFBIG: nothing changed.
  [[nodiscard]] Result<void> resize(std::uint64_t size);

 private:
  std::vector<std::uint8_t> bytes_;
};

}  // namespace holdfast::fs
