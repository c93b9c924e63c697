#include "tests/support/store/fault_vfs.h"

#include <csignal>
#include <fstream>
#include <list>
#include <random>
#include <sstream>
#include <vector>

#include <sqlite3.h>
#include <unistd.h>

namespace holdfast::support {
namespace {

// A file as the disk would have it after a power cut: what was synced, and what may have got there.
struct Disk {
  struct Change {
    bool truncate = false;
    std::uint64_t at = 0;  // or the new size
    std::string data;
  };
  std::string path;
  std::string synced;
  std::vector<Change> pending;

  void read_synced() {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    synced = text.str();
    pending.clear();
  }
  void cut(std::minstd_rand& random) const {
    std::string out = synced;
    for (const Change& change : pending) {
      if (random() % 2 == 0) continue;
      if (change.truncate) {
        out.resize(change.at);
        continue;
      }
      if (out.size() < change.at + change.data.size()) out.resize(change.at + change.data.size());
      out.replace(change.at, change.data.size(), change.data);
    }
    std::ofstream(path, std::ios::binary | std::ios::trunc) << out;
  }
};

StorageFaultAt g_at;
std::uint64_t g_changes = 0;
std::list<Disk> g_disks;

struct File {
  sqlite3_file base;
  sqlite3_file* real;  // lies behind this struct in the memory SQLite gave
  Disk* disk;
};

// What the change should answer instead of happening; SQLITE_OK = let it happen.
int change(bool is_write) {
  ++g_changes;
  if (g_at.n == 0 || g_changes < g_at.n) return SQLITE_OK;
  switch (g_at.fault) {
    case StorageFault::kNone:
      return SQLITE_OK;
    case StorageFault::kFull:
      return is_write ? SQLITE_FULL : SQLITE_OK;
    case StorageFault::kError:
      return g_changes == g_at.n ? SQLITE_IOERR_WRITE : SQLITE_OK;
    case StorageFault::kPowerCut: {
      std::minstd_rand random(g_at.seed + 1);
      for (const Disk& disk : g_disks)
        disk.cut(random);
      break;
    }
    case StorageFault::kKill:
      break;
  }
  ::kill(::getpid(), SIGKILL);
  return SQLITE_ABORT;
}

sqlite3_file* real(sqlite3_file* file) {
  return reinterpret_cast<File*>(file)->real;
}
Disk* disk(sqlite3_file* file) {
  return reinterpret_cast<File*>(file)->disk;
}
sqlite3_vfs* real(sqlite3_vfs* vfs) {
  return static_cast<sqlite3_vfs*>(vfs->pAppData);
}

int do_close(sqlite3_file* f) {
  return real(f)->pMethods->xClose(real(f));
}
int do_read(sqlite3_file* f, void* data, int size, sqlite3_int64 at) {
  return real(f)->pMethods->xRead(real(f), data, size, at);
}
int do_write(sqlite3_file* f, const void* data, int size, sqlite3_int64 at) {
  if (const int code = change(true); code != SQLITE_OK) return code;
  if (disk(f) != nullptr) {
    disk(f)->pending.push_back(
        {.truncate = false,
         .at = static_cast<std::uint64_t>(at),
         .data = {static_cast<const char*>(data), static_cast<std::size_t>(size)}});
  }
  return real(f)->pMethods->xWrite(real(f), data, size, at);
}
int do_truncate(sqlite3_file* f, sqlite3_int64 size) {
  if (const int code = change(false); code != SQLITE_OK) return code;
  if (disk(f) != nullptr) {
    disk(f)->pending.push_back(
        {.truncate = true, .at = static_cast<std::uint64_t>(size), .data = {}});
  }
  return real(f)->pMethods->xTruncate(real(f), size);
}
int do_sync(sqlite3_file* f, int flags) {
  if (const int code = change(false); code != SQLITE_OK) return code;
  const int code = real(f)->pMethods->xSync(real(f), flags);
  if (code == SQLITE_OK && disk(f) != nullptr) disk(f)->read_synced();
  return code;
}
int do_size(sqlite3_file* f, sqlite3_int64* size) {
  return real(f)->pMethods->xFileSize(real(f), size);
}
int do_lock(sqlite3_file* f, int level) {
  return real(f)->pMethods->xLock(real(f), level);
}
int do_unlock(sqlite3_file* f, int level) {
  return real(f)->pMethods->xUnlock(real(f), level);
}
int do_check_reserved(sqlite3_file* f, int* held) {
  return real(f)->pMethods->xCheckReservedLock(real(f), held);
}
int do_control(sqlite3_file* f, int op, void* arg) {
  return real(f)->pMethods->xFileControl(real(f), op, arg);
}
int do_sector_size(sqlite3_file* f) {
  return real(f)->pMethods->xSectorSize(real(f));
}
// The least any disk promises, whatever this one says.
int do_characteristics(sqlite3_file*) {
  return 0;
}

// Version 1: no shared memory, no memory mapping.
constexpr sqlite3_io_methods kMethods = {1,
                                         do_close,
                                         do_read,
                                         do_write,
                                         do_truncate,
                                         do_sync,
                                         do_size,
                                         do_lock,
                                         do_unlock,
                                         do_check_reserved,
                                         do_control,
                                         do_sector_size,
                                         do_characteristics,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr,
                                         nullptr};

int do_open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto* ours = reinterpret_cast<File*>(file);
  ours->base.pMethods = nullptr;
  ours->real = reinterpret_cast<sqlite3_file*>(ours + 1);
  ours->disk = nullptr;
  const int code = real(vfs)->xOpen(real(vfs), name, ours->real, flags, out_flags);
  if (ours->real->pMethods != nullptr) ours->base.pMethods = &kMethods;
  if (code == SQLITE_OK && name != nullptr) {
    for (Disk& known : g_disks) {
      if (known.path == name) ours->disk = &known;
    }
    if (ours->disk == nullptr) {
      ours->disk = &g_disks.emplace_back();
      ours->disk->path = name;
      // What a former life left counts as synced: POSIX's close drops SQLite's locks on a file that
      // is read here, but nobody else is there yet.
      ours->disk->read_synced();
    }
  }
  return code;
}

int do_delete(sqlite3_vfs* vfs, const char* name, int sync_dir) {
  if (const int code = change(false); code != SQLITE_OK) return code;
  std::erase_if(g_disks, [&](const Disk& one) { return one.path == name; });
  return real(vfs)->xDelete(real(vfs), name, sync_dir);
}

}  // namespace

void plant_storage_fault(const StorageFaultAt& at) {
  static sqlite3_vfs vfs;  // SQLite keeps the pointer
  if (vfs.pAppData == nullptr) {
    auto* below = ::sqlite3_vfs_find(nullptr);
    vfs = *below;
    vfs.pNext = nullptr;
    vfs.zName = "holdfast-faults";
    vfs.pAppData = below;
    vfs.szOsFile = below->szOsFile + static_cast<int>(sizeof(File));
    vfs.xOpen = do_open;
    vfs.xDelete = do_delete;
    ::sqlite3_vfs_register(&vfs, 1);
  }
  g_at = at;
  g_changes = 0;
}

std::uint64_t storage_changes() {
  return g_changes;
}

}  // namespace holdfast::support
