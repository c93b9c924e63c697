#include "fs/fuse/caller.h"

#include "fs/fuse/proc.h"
#include "holdfast/base/unique_fd.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

namespace holdfast::fs {
namespace {

// linux: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h. A 32-bit task
// shows another number and stays unchecked.
#if defined(__x86_64__)
constexpr long kFcntlNumber = 72;
#elif defined(__aarch64__)
constexpr long kFcntlNumber = 25;
#else
constexpr long kFcntlNumber = -1;
#endif

}  // namespace

Credentials CallerGroups::credentials(fuse_req_t request) {
  if (everybody_) return *everybody_;
  const fuse_ctx* context = fuse_req_ctx(request);
  Credentials who{context->uid, context->gid, {}};
  if (context->pid <= 0) return who;  // the kernel itself
  const auto now = std::chrono::steady_clock::now();
  const std::tuple key(context->pid, context->uid, context->gid);
  const auto known = entries_.find(key);
  if (known != entries_.end() && now - known->second.read < kKeep) {
    who.groups = known->second.groups;
    return who;
  }
  std::vector<gid_t> groups(64);
  int count = fuse_req_getgroups(request, static_cast<int>(groups.size()), groups.data());
  if (count > static_cast<int>(groups.size())) {
    groups.resize(static_cast<std::size_t>(count));
    count = fuse_req_getgroups(request, count, groups.data());
  }
  // Unreadable (the thread is of another pid namespace, or gone): the primary group only.
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  who.groups = groups;
  if (entries_.size() >= kEntriesMax) entries_.clear();
  entries_[key] = {now, std::move(groups)};
  return who;
}

std::optional<OwnerKind> owner_kind_of_blocked(pid_t tid) {
  if (tid <= 0) return OwnerKind::kUnchecked;
  const std::string path = proc_path(tid, "syscall");
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 256> text{};
  if (!file || ::read(file.get(), text.data(), text.size() - 1) <= 0) return OwnerKind::kUnchecked;
  // proc_pid_syscall(5): number in decimal, then six arguments, the stack and program counters in
  // hexadecimal; "running" otherwise.
  if (std::string_view(text.data()).starts_with("running")) return std::nullopt;
  char* at = nullptr;
  const long number = std::strtol(text.data(), &at, 10);
  if (at == text.data() || number != kFcntlNumber) return OwnerKind::kUnchecked;
  std::strtoull(at, &at, 16);
  const unsigned long long command = std::strtoull(at, &at, 16);
  return command == F_SETLKW ? OwnerKind::kPosix : OwnerKind::kUnchecked;
}

}  // namespace holdfast::fs
