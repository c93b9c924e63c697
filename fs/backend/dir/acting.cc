#include "fs/backend/dir/acting.h"

#include "holdfast/base/assert.h"

#include <vector>

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast::fs::dir {
namespace {

constexpr std::uint32_t kUnchanged = 0xffffffffU;

// Groups of the process, to return to. Read once: a daemon does not change them later.
const std::vector<gid_t>& own_groups() {
  static const std::vector<gid_t> groups = [] {
    std::vector<gid_t> out(static_cast<std::size_t>(::getgroups(0, nullptr)));
    const int count = ::getgroups(static_cast<int>(out.size()), out.data());
    out.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return out;
  }();
  return groups;
}

void set_thread_groups(const gid_t* groups, std::size_t count) {
  const long failed = ::syscall(SYS_setgroups, count, groups);
  HOLDFAST_ASSERT(failed == 0, "setgroups as root must not fail: we would act with wrong groups");
}

void set_thread_fsids(uid_t uid, gid_t gid) {
  ::syscall(SYS_setfsgid, gid);
  ::syscall(SYS_setfsuid, uid);
  // setfsuid reports no errors; asking with an invalid id shows what is in force (setfsuid(2)).
  const bool in_force = static_cast<uid_t>(::syscall(SYS_setfsuid, kUnchanged)) == uid &&
                        static_cast<gid_t>(::syscall(SYS_setfsgid, kUnchanged)) == gid;
  HOLDFAST_ASSERT(in_force, "setfsuid as root must not fail: we would act as somebody else");
}

}  // namespace

Privilege Privilege::current() {
  return {.root = ::geteuid() == 0};
}

Acting::Acting(const Privilege& privilege, const Credentials& who) {
  if (!privilege.root || who.uid == 0) return;
  (void)own_groups();  // read before the first change
  const std::vector<gid_t> groups(who.groups.begin(), who.groups.end());
  set_thread_groups(groups.data(), groups.size());
  set_thread_fsids(who.uid, who.gid);
  changed_ = true;
}

Acting::~Acting() {
  if (!changed_) return;
  set_thread_fsids(::geteuid(), ::getegid());
  set_thread_groups(own_groups().data(), own_groups().size());
}

NoUmask::NoUmask() : saved_(::umask(0)) {}
NoUmask::~NoUmask() {
  ::umask(saved_);
}

}  // namespace holdfast::fs::dir
