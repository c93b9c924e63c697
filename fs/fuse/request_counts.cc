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

/// fuse: these have no reply.
bool is_answered(std::uint32_t opcode) {
  return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT &&
         opcode != FUSE_NOTIFY_REPLY && opcode != FUSE_DESTROY;
}

}  // namespace

RequestCounts::RequestCounts(counters::Counters* counters) {
  if (counters == nullptr) return;
  others_ = counters->counter("fuse.other");
  requests_.fill(others_);
  for (const auto& [opcode, name] : kNames) {
    requests_[opcode] = counters->counter("fuse." + std::string(name));
    if (is_answered(opcode)) timings_[opcode] = counters->timing("fuse." + std::string(name));
  }
  under_way_ = counters->gauge("fuse.under_way");
  bytes_in_ = counters->counter("fuse.bytes_in");
  bytes_out_ = counters->counter("fuse.bytes_out");
}

void RequestCounts::request(const void* bytes, std::size_t size) {
  fuse_in_header header{};
  if (size < sizeof header) return;
  std::memcpy(&header, bytes, sizeof header);
  (header.opcode < kOpcodes ? requests_[header.opcode] : others_).add();
  bytes_in_.add(size);
  if (header.opcode >= kOpcodes || !is_answered(header.opcode)) return;
  unanswered_.insert_or_assign(header.unique,
                               Begun{header.opcode, std::chrono::steady_clock::now()});
  under_way_.set(unanswered_.size());
}

void RequestCounts::written(const iovec* parts, std::size_t size) {
  bytes_out_.add(size);
  fuse_out_header header{};
  if (parts[0].iov_len < sizeof header) return;
  std::memcpy(&header, parts[0].iov_base, sizeof header);
  if (header.unique != 0) answered(header.unique);
}

void RequestCounts::answered(std::uint64_t unique) {
  const auto found = unanswered_.find(unique);
  if (found == unanswered_.end()) return;
  timings_[found->second.opcode].add(std::chrono::steady_clock::now() - found->second.at);
  unanswered_.erase(found);
  under_way_.set(unanswered_.size());
}

}  // namespace holdfast::fs
