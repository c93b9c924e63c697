#pragma once
/// An inode and an open handle as the loop keeps them.

#include "fs/backend/types.h"
#include "fs/core/inode_table.h"
#include "fs/core/kernel_size.h"
#include "fs/core/lock_book.h"
#include "fs/core/shm_file.h"
#include "fs/fuse/kernel_pages.h"
#include "fs/fuse/lock_order.h"
#include "fs/io/inode_writer.h"
#include "holdfast/lock/types.h"

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>

namespace holdfast::fs {

class Inode;

/// Where an unlinked but open file stays until its last close.
struct SillyPlace {
  FileHandle directory;
  std::string name;
  Credentials who;  ///< who unlinked it: may remove it
};

/// A virtual file: the wal-index `name` of `database`.
struct WalIndex {
  ShmFile content;
  std::shared_ptr<Inode> database;
  FileHandle directory;
  std::string name;
  bool linked = true;
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  timespec born{};  ///< all its times, for ever: the kernel must never drop its pages
};

/// What bytes 18 and 19 of a SQLite database say.
enum class JournalKind : std::uint8_t { kUnknown, kRollback, kWal };

/// Whether this mount uses the database's wal-index, see op_wal.cc.
struct WalState {
  JournalKind journal = JournalKind::kUnknown;
  bool claimed = false;
  std::uint32_t refusals = 0;    ///< of a claim, since the last one that succeeded
  std::uint64_t generation = 0;  ///< grows when what we know became void
  std::uint64_t kept_under = 0;  ///< nobody locks it, but `journal` is good under this generation
                                 ///< of the database's token
  std::weak_ptr<Inode> index;
};

/// There may be a hundred thousand: what few of them need is not inside.
class Inode : public InodeNames, public std::enable_shared_from_this<Inode> {
 public:
  Inode(NodeId node_id, const FileHandle& storage_handle, const FileKey& file_key,
        FileType file_type)
      : InodeNames(node_id, storage_handle, file_key), type(file_type) {}

  const FileType type;

  KernelPages pages;
  std::uint64_t pages_of = 0;  ///< all pages that the kernel has were read under this generation
                               ///< of the token (Operations::generation); 0 = of any
  std::uint64_t changes_elsewhere = 0;  ///< that were noticed under a token of ours
  KernelSize kernel_size;
  /// Where nobody has asked for a lock it is an empty one.
  [[nodiscard]] const LockBook& book() const;
  /// To write into.
  [[nodiscard]] LockBook& own_book();
  LockOrder order;
  /// Made at the first write. Shared with the operations that use it: one that lost its session is
  /// replaced while they end.
  std::shared_ptr<InodeWriter> writer;
  /// Something is written that the storage has not made stable.
  [[nodiscard]] bool dirty() const { return writer && writer->dirty(); }
  pid_t last_writer = 0;                 ///< the thread; 0 = the kernel
  bool written_alone = false;            ///< the last write was under a token that nobody else has
  std::optional<timespec> kernel_mtime;  ///< as the kernel was told last
  std::uint32_t opens = 0;               ///< open handles, and OPENs being answered
  std::uint32_t poisoned = 0;            ///< open handles that are poisoned
  std::unique_ptr<SillyPlace> silly;     ///< set = unlinked, and open
  WalState wal;
  std::unique_ptr<WalIndex> wal_index;  ///< set = virtual

 private:
  std::unique_ptr<LockBook> book_;
};
using InodePointer = std::shared_ptr<Inode>;

/// What read(2) through a poisoned handle gets; all else gets EIO. SQLite takes EIO of a read for a
/// damaged medium and reports SQLITE_CORRUPT (sqlite: src/os_unix.c, unixRead), and what is lost is
/// a lock. Of other errors it says "disk I/O error".
constexpr int kReadAfterLoss = ESTALE;

/// An open file description.
struct Handle {
  HandleId id;
  InodePointer inode;
  Credentials who;               ///< who opened it: writeback comes without a caller
  ErrorCursor errors;            ///< write errors already reported to this handle
  pid_t locked_by = 0;           ///< the thread that set the last exclusive lock through it
  bool unsent = false;           ///< something was written through it behind, and not sent for it
  bool poisoned = false;         ///< its inode's locks were lost (I6)
  bool poison_reported = false;  ///< fsync or close said so once
};
using HandlePointer = std::shared_ptr<Handle>;

}  // namespace holdfast::fs
