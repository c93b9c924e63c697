#include "cli/torture/kill_vfs.h"

#include <csignal>

#include <sqlite3.h>
#include <unistd.h>

namespace holdfast::torture {
namespace {

std::uint64_t g_changes = 0;
std::uint64_t g_kill_at = 0;

void change() {
  if (++g_changes == g_kill_at) ::kill(::getpid(), SIGKILL);
}

struct File {
  sqlite3_file base;
  sqlite3_file* real;  ///< lies behind this struct in the memory SQLite gave
};

sqlite3_file* real(sqlite3_file* file) {
  return reinterpret_cast<File*>(file)->real;
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
  change();
  return real(f)->pMethods->xWrite(real(f), data, size, at);
}
int do_truncate(sqlite3_file* f, sqlite3_int64 size) {
  change();
  return real(f)->pMethods->xTruncate(real(f), size);
}
int do_sync(sqlite3_file* f, int flags) {
  change();
  return real(f)->pMethods->xSync(real(f), flags);
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
int do_characteristics(sqlite3_file* f) {
  return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

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
  const int code = real(vfs)->xOpen(real(vfs), name, ours->real, flags, out_flags);
  if (ours->real->pMethods != nullptr) ours->base.pMethods = &kMethods;
  return code;
}

int do_delete(sqlite3_vfs* vfs, const char* name, int sync_dir) {
  change();
  return real(vfs)->xDelete(real(vfs), name, sync_dir);
}
}  // namespace

void register_kill_vfs() {
  // Lives as long as the process: SQLite keeps the pointer.
  static sqlite3_vfs vfs;
  auto* below = sqlite3_vfs_find(nullptr);
  vfs = *below;
  vfs.pNext = nullptr;
  vfs.zName = kKillVfs;
  vfs.pAppData = below;
  vfs.szOsFile = below->szOsFile + static_cast<int>(sizeof(File));
  vfs.xOpen = do_open;
  vfs.xDelete = do_delete;
  // The other calls of the Unix VFS do not look at their vfs argument beyond its name.
  sqlite3_vfs_register(&vfs, 0);
}

void kill_at(std::uint64_t n) {
  g_changes = 0;
  g_kill_at = n;
}

std::uint64_t changes() {
  return g_changes;
}

}  // namespace holdfast::torture
