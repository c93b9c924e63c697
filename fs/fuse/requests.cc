#include "fs/fuse/requests.h"

#include "fs/state/names.h"

#include <cstring>
#include <string>

#include <linux/fuse.h>

namespace holdfast::fs {

Requests::Requests(counters::Counters* counters, state::State* state) : state_(state) {
  if (counters == nullptr) return;
  others_ = counters->counter("fuse.other");
  counts_.fill(others_);
  for (const auto& [opcode, name] : state::operations()) {
    counts_[opcode] = counters->counter("fuse." + std::string(name));
    if (state::is_answered(opcode))
      timings_[opcode] = counters->timing("fuse." + std::string(name));
  }
  under_way_ = counters->gauge("fuse.under_way");
  bytes_in_ = counters->counter("fuse.bytes_in");
  bytes_out_ = counters->counter("fuse.bytes_out");
}

void Requests::arrived(const void* bytes, std::size_t size) {
  fuse_in_header header{};
  if (size < sizeof header) return;
  std::memcpy(&header, bytes, sizeof header);
  (header.opcode < kOpcodes ? counts_[header.opcode] : others_).add();
  bytes_in_.add(size);
  if (!state::is_answered(header.opcode)) return;
  Open open{.opcode = header.opcode, .since = boot_time_now(), .shown = nullptr};
  if (state_ != nullptr) {
    open.shown = state_->begin({.unique = header.unique,
                                .opcode = header.opcode,
                                .node = header.nodeid,
                                .pid = header.pid},
                               open.since);
  }
  open_.insert_or_assign(header.unique, open);
  under_way_.set(open_.size());
}

void Requests::answered(const iovec* parts, int count, ssize_t written) {
  if (written > 0) bytes_out_.add(static_cast<std::size_t>(written));
  fuse_out_header header{};
  if (count < 1 || parts[0].iov_len < sizeof header) return;
  std::memcpy(&header, parts[0].iov_base, sizeof header);
  if (header.unique == 0) return;  // a notification; it may come from any thread
  const auto found = open_.find(header.unique);
  if (found == open_.end()) return;
  const Open& open = found->second;
  if (state_ != nullptr) state_->end(open.shown);
  // An answer that the kernel did not take (the request was aborted) is over, and took no time.
  if (written > 0 && open.opcode < kOpcodes)
    timings_[open.opcode].add(boot_time_now() - open.since);
  open_.erase(found);
  under_way_.set(open_.size());
}

}  // namespace holdfast::fs
