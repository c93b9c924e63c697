// SQLite in WAL mode: its wal-index `NAME-shm` is memory shared by mmap, which does not reach over
// nodes. So one mount at a time may use a database's wal-index, and the file is virtual: in this
// mount's memory, never on the storage. Bytes and reasons: docs/filesystem.md, "SQLite's WAL".

#include "fs/core/derived_key.h"
#include "fs/fuse/operations.h"
#include "holdfast/base/log.h"

#include <bit>
#include <ctime>

namespace holdfast::fs {
namespace {

// sqlite: src/os.h, PENDING_BYTE, RESERVED_BYTE, SHARED_FIRST, SHARED_SIZE.
constexpr std::uint64_t kPendingByte = 0x40000000;
constexpr std::uint64_t kLockBytesEnd = kPendingByte + 512;
const ByteRange kLockBytes = *ByteRange::make(kPendingByte, kLockBytesEnd);
const ByteRange kSharedRange = *ByteRange::make(kPendingByte + 2, kLockBytesEnd);

// SQLite's file format, section 1.3, bytes 16 to 23: page size, write and read versions (2 = WAL),
// unused bytes of a page, and three numbers that are what they are. SQLite takes nothing else for a
// database. Other programs lock whole files, and theirs may have a 2 anywhere. (Not the magic
// string before it: an encrypted database has only these eight bytes in the clear.)
constexpr std::uint64_t kVersions = 16, kVersionsEnd = 24;

bool says_wal(std::span<const std::uint8_t> header) {
  if (header.size() != kVersionsEnd - kVersions) return false;
  const unsigned page = header[0] * 256U + header[1];
  const bool size = page == 1 || (page >= 512 && std::has_single_bit(page));
  const bool fixed = header[5] == 64 && header[6] == 32 && header[7] == 32;
  return size && fixed && (header[2] == 2 || header[3] == 2);
}

constexpr std::size_t kVirtualFilesMax = 10'000;  // ENOSPC beyond

std::string key_bytes(const FileHandle& handle) {
  return {handle.bytes.begin(), handle.bytes.end()};
}

}  // namespace

bool Operations::is_database_lock(const Inode& inode, const LockCall& call) {
  return !inode.wal_index && inode.type == FileType::kRegular && call.space == LockSpace::kRange &&
         call.range.overlaps(kSharedRange);
}

// Only while we hold a lock of the database: lockd takes the ownership back when our last one goes,
// so a claim that arrived after it would stay for ever.
Operations::Awaitable<Result<void>> Operations::claim_wal(InodePointer database) {
  if (database->wal.claimed) co_return Result<void>{};
  if (!database->book().anybody_holds(kLockBytes)) {
    co_return make_error_code(LockErrc::kWalOwnedElsewhere);
  }
  const std::uint64_t generation = database->wal.generation;
  ClaimWalRequest request;
  request.database = database->key;
  const auto claimed = co_await locks_.claim_wal(request);
  if (claimed) {
    if (generation == database->wal.generation) database->wal.claimed = true;
    database->wal.refusals = 0;
  } else if (std::has_single_bit(++database->wal.refusals)) {  // programs ask again and again
    log::info("wal.owned_elsewhere", "fileid={} answer=SQLITE_BUSY times={}", database->key.fileid,
              database->wal.refusals);
  }
  co_return claimed;
}

Operations::Awaitable<Result<void>> Operations::claim_before(InodePointer inode,
                                                             const LockCall& call) {
  if (inode->wal_index) {
    const InodePointer database = inode->wal_index->database;
    const auto claimed = co_await claim_wal(database);
    co_return claimed;
  }
  // We switched it to WAL under an exclusive lock that is about to be downgraded: claimed before
  // anybody else can look at it. (SQLite takes a refused downgrade for an I/O error.)
  if (!is_database_lock(*inode, call) || inode->wal.journal != JournalKind::kWal) {
    co_return Result<void>{};
  }
  const auto claimed = co_await claim_wal(inode);
  co_return claimed;
}

Operations::Awaitable<Result<void>> Operations::check_wal(InodePointer inode,
                                                          HandlePointer handle) {
  WalState& wal = inode->wal;
  if (wal.claimed) co_return Result<void>{};
  if (const auto kept = std::exchange(wal.kept_under, 0); kept != 0 && kept != generation(*inode)) {
    forget_header(*inode);
  }
  JournalKind journal = wal.journal;
  if (journal == JournalKind::kUnknown) {
    const std::uint64_t generation = wal.generation;
    co_await locks_.wait_entitled();
    const auto header = co_await read_current(handle, kVersions, kVersionsEnd - kVersions);
    // Without the right to read it nobody can use it as a database.
    if (!header && header.error() != errno_code(EACCES)) co_return header.error();
    const bool is_wal = header && says_wal(header->data);
    journal = is_wal ? JournalKind::kWal : JournalKind::kRollback;
    if (generation == wal.generation && wal.journal == JournalKind::kUnknown) wal.journal = journal;
  }
  if (journal != JournalKind::kWal) co_return Result<void>{};
  const auto claimed = co_await claim_wal(inode);
  co_return claimed;
}

void Operations::review_wal(Inode& inode) {
  Inode& database = inode.wal_index ? *inode.wal_index->database : inode;
  WalState& wal = database.wal;
  // Other nodes can switch the journal mode only while we hold none of the shared range.
  if (!database.book().anybody_holds(kSharedRange)) {
    wal.kept_under = generation(database);
    if (wal.kept_under == 0) forget_header(database);
  }
  if (database.book().anybody_holds(kLockBytes)) return;
  const auto index = wal.index.lock();
  if (index && !index->book().empty()) return;
  wal.claimed = false;
  ++wal.generation;
}

void Operations::forget_header(Inode& inode) {
  inode.wal.journal = JournalKind::kUnknown;
  ++inode.wal.generation;
}

void Operations::note_header_write(Inode& inode, std::uint64_t offset,
                                   std::span<const std::uint8_t> data) {
  if (offset >= kVersionsEnd || offset + data.size() <= kVersions) return;
  const bool whole = offset <= kVersions && offset + data.size() >= kVersionsEnd;
  if (!whole || !inode.book().anybody_holds(kSharedRange)) return forget_header(inode);
  const auto at = static_cast<std::size_t>(kVersions - offset);
  const bool is_wal = says_wal(data.subspan(at, kVersionsEnd - kVersions));
  inode.wal.journal = is_wal ? JournalKind::kWal : JournalKind::kRollback;
}

Operations::Awaitable<Result<std::optional<Operations::Virtual>>> Operations::resolve_virtual(
    Credentials who, InodePointer parent, std::string name) {
  using Found = std::optional<Virtual>;
  const auto database_name = wal_index_database(name);
  if (!database_name) co_return Found{};
  const auto entry = co_await backend_.lookup(who, parent->handle, std::string(*database_name));
  const auto existing = virtual_.find({key_bytes(parent->handle), name});
  const InodePointer index = existing == virtual_.end() ? nullptr : existing->second;
  if (!entry) {
    if (entry.error() != errno_code(ENOENT)) co_return entry.error();
    // The database was unlinked first: its wal-index can still be.
    if (index) co_return Found(Virtual{index, index->wal_index->database});
    co_return Found{};
  }
  if (entry->attributes.type != FileType::kRegular) co_return Found{};
  InodePointer database = known(entry->handle, entry->attributes);
  if (index && index->wal_index->database == database) co_return Found(Virtual{index, database});
  if (index) unlink_virtual(*index);  // another file has the database's name now
  co_return Found(Virtual{nullptr, database});
}

Operations::Awaitable<Result<InodePointer>> Operations::create_virtual(
    Credentials who, InodePointer parent, std::string name, mode_t mode, InodePointer database) {
  const std::pair key(key_bytes(parent->handle), name);
  if (const auto it = virtual_.find(key); it != virtual_.end()) co_return it->second;
  if (virtual_.size() >= kVirtualFilesMax) co_return errno_code(ENOSPC);
  auto inode = inodes_.make_virtual([&](NodeId node) {
    return std::make_shared<Inode>(node, FileHandle{}, derive(database->key, DerivedKey::kWalIndex),
                                   FileType::kRegular);
  });
  inode->wal_index = std::make_unique<WalIndex>();
  WalIndex& index = *inode->wal_index;
  index.database = database;
  index.directory = parent->handle;
  index.name = name;
  index.mode = mode & 07777U;
  index.uid = who.uid;
  index.gid = who.gid;
  ::clock_gettime(CLOCK_REALTIME, &index.born);
  database->wal.index = inode;
  virtual_.emplace(key, inode);
  co_return inode;
}

void Operations::unlink_virtual(Inode& index) {
  WalIndex& file = *index.wal_index;
  file.linked = false;
  virtual_.erase({key_bytes(file.directory), file.name});
}

std::vector<InodePointer> Operations::virtual_files_in(const FileHandle& directory) const {
  std::vector<InodePointer> files;
  const std::string bytes = key_bytes(directory);
  for (auto it = virtual_.lower_bound({bytes, ""});
       it != virtual_.end() && it->first.first == bytes; ++it)
    files.push_back(it->second);
  return files;
}

}  // namespace holdfast::fs
