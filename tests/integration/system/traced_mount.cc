#include "tests/integration/system/traced_mount.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include <arpa/inet.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

namespace holdfast::test {
namespace {

constexpr std::uint32_t kNfsProgram = 100003;
constexpr std::uint32_t kWrite = 7;

bool copy_from(pid_t process, std::uint64_t address, void* to, std::size_t size) {
  iovec here{to, size};
  iovec there{reinterpret_cast<void*>(address), size};
  return ::process_vm_readv(process, &here, 1, &there, 1, 0) == static_cast<ssize_t>(size);
}

}  // namespace

TracedMount::TracedMount(pid_t process) : process_(process) {
  if (::ptrace(PTRACE_SEIZE, process_, nullptr, PTRACE_O_TRACESYSGOOD) != 0 ||
      ::ptrace(PTRACE_INTERRUPT, process_, nullptr, nullptr) != 0)
    throw std::runtime_error(std::string("ptrace: ") + std::strerror(errno));
  int status = 0;
  ::waitpid(process_, &status, __WALL);
  ::ptrace(PTRACE_SYSCALL, process_, nullptr, 0);
}

TracedMount::~TracedMount() {
  let_go();
}

bool TracedMount::enters_send_of_write() const {
  __ptrace_syscall_info call{};
  if (::ptrace(PTRACE_GET_SYSCALL_INFO, process_, sizeof call, &call) <= 0) return false;
  if (call.op != PTRACE_SYSCALL_INFO_ENTRY || call.entry.nr != SYS_sendmsg) return false;
  msghdr message{};
  iovec first{};
  std::array<std::uint32_t, 7>
      words{};  // mark, xid, type, RPC version, program, version, procedure
  return copy_from(process_, call.entry.args[1], &message, sizeof message) &&
         copy_from(process_, reinterpret_cast<std::uint64_t>(message.msg_iov), &first,
                   sizeof first) &&
         copy_from(process_, reinterpret_cast<std::uint64_t>(first.iov_base), words.data(),
                   sizeof words) &&
         ntohl(words[4]) == kNfsProgram && ntohl(words[6]) == kWrite;
}

bool TracedMount::stop_at_write() {
  for (;;) {
    int status = 0;
    if (::waitpid(process_, &status, __WALL) != process_ || !WIFSTOPPED(status)) return false;
    const bool at_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
    if (at_call && enters_send_of_write()) return stopped_ = true;
    // Signals are passed on; ptrace's own stops carry none.
    const bool signal = !at_call && (status >> 16) == 0;
    ::ptrace(PTRACE_SYSCALL, process_, nullptr, signal ? WSTOPSIG(status) : 0);
  }
}

void TracedMount::let_go() {
  if (!stopped_) return;
  stopped_ = false;
  ::ptrace(PTRACE_DETACH, process_, nullptr, 0);
}

}  // namespace holdfast::test
