#include "fs/fuse/request_counts.h"

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <linux/fuse.h>

namespace holdfast::fs {
namespace {

/// Those that can come to this filesystem.
constexpr std::pair<std::uint32_t, std::string_view> kNames[] = {
    {FUSE_LOOKUP, "LOOKUP"},
    {FUSE_FORGET, "FORGET"},
    {FUSE_GETATTR, "GETATTR"},
    {FUSE_SETATTR, "SETATTR"},
    {FUSE_READLINK, "READLINK"},
    {FUSE_SYMLINK, "SYMLINK"},
    {FUSE_MKNOD, "MKNOD"},
    {FUSE_MKDIR, "MKDIR"},
    {FUSE_UNLINK, "UNLINK"},
    {FUSE_RMDIR, "RMDIR"},
    {FUSE_RENAME, "RENAME"},
    {FUSE_LINK, "LINK"},
    {FUSE_OPEN, "OPEN"},
    {FUSE_READ, "READ"},
    {FUSE_WRITE, "WRITE"},
    {FUSE_STATFS, "STATFS"},
    {FUSE_RELEASE, "RELEASE"},
    {FUSE_FSYNC, "FSYNC"},
    {FUSE_FLUSH, "FLUSH"},
    {FUSE_INIT, "INIT"},
    {FUSE_OPENDIR, "OPENDIR"},
    {FUSE_READDIR, "READDIR"},
    {FUSE_RELEASEDIR, "RELEASEDIR"},
    {FUSE_FSYNCDIR, "FSYNCDIR"},
    {FUSE_GETLK, "GETLK"},
    {FUSE_SETLK, "SETLK"},
    {FUSE_SETLKW, "SETLKW"},
    {FUSE_CREATE, "CREATE"},
    {FUSE_INTERRUPT, "INTERRUPT"},
    {FUSE_IOCTL, "IOCTL"},
    {FUSE_BATCH_FORGET, "BATCH_FORGET"},
    {FUSE_READDIRPLUS, "READDIRPLUS"},
    {FUSE_RENAME2, "RENAME2"},
};

}  // namespace

RequestCounts::RequestCounts(counters::Counters* counters) {
  if (counters == nullptr) return;
  others_ = counters->counter("fuse.other");
  requests_.fill(others_);
  for (const auto& [opcode, name] : kNames)
    requests_[opcode] = counters->counter("fuse." + std::string(name));
  bytes_in_ = counters->counter("fuse.bytes_in");
  bytes_out_ = counters->counter("fuse.bytes_out");
}

void RequestCounts::request(const void* bytes, std::size_t size) {
  fuse_in_header header{};
  if (size < sizeof header) return;
  std::memcpy(&header, bytes, sizeof header);
  (header.opcode < kOpcodes ? requests_[header.opcode] : others_).add();
  bytes_in_.add(size);
}

}  // namespace holdfast::fs
