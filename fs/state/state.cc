#include "fs/state/state.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <new>
#include <utility>

#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

namespace ipc = boost::interprocess;

namespace holdfast::fs::state {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
/// Cells that a request may be in; numbers of requests are even and grow (fuse_get_unique()).
constexpr std::size_t kProbesMax = 16;

template <std::size_t N>
void write_text(std::array<char, N>& to, std::string_view from) {
  to.fill('\0');
  from = from.substr(0, N - 1);
  std::copy(from.begin(), from.end(), to.begin());
}

std::size_t place(std::uint64_t unique, std::size_t probe) {
  return (unique / 2 + probe) % kRequestsMax;
}

}  // namespace

struct State::Mapped {
  ipc::mapped_region region;
};

std::uint64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

std::string file_of(std::string_view directory, std::string_view connection) {
  return fmt::format("{}/state-{}", directory, connection);
}

State::State(std::string directory) : directory_(std::move(directory)) {
  failed_ = begin_file();
  if (failed_) file_.reset();
  mapped_ = std::make_unique<Mapped>();
  if (file_) {
    // The file that is open here, whatever has become of its name.
    const ipc::file_mapping file(fmt::format("/proc/self/fd/{}", file_.get()).c_str(),
                                 ipc::read_write);
    mapped_->region = ipc::mapped_region(file, ipc::read_write, 0, sizeof(Page));
  } else {
    mapped_->region = ipc::anonymous_shared_memory(sizeof(Page));
  }
  page_ = ::new (mapped_->region.get_address()) Page;
  std::copy(kMagic.begin(), kMagic.end(), page_->magic.begin());
  page_->version = kVersion;
  page_->pid = static_cast<std::uint32_t>(::getpid());
  page_->started = now_ms();
}

ErrorCode State::begin_file() {
  path_ = fmt::format("{}/state-new-{}", directory_, ::getpid());
  ::unlink(path_.c_str());
  file_.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (file_ && ::flock(file_.get(), LOCK_EX | LOCK_NB) == 0 &&
      ::ftruncate(file_.get(), sizeof(Page)) == 0)
    return {};
  return errno_code(errno);
}

State::~State() {
  if (file_) ::unlink(path_.c_str());
}

void State::identify(const Identity& identity) {
  write_text(page_->source, identity.source);
  write_text(page_->mountpoint, identity.mountpoint);
  write_text(page_->lockd, identity.lockd);
  write_text(page_->node, identity.node);
  page_->volume = identity.volume;
}

Result<void> State::publish(std::string_view connection) {
  if (failed_) return failed_;
  std::string target = file_of(directory_, connection);
  if (::rename(path_.c_str(), target.c_str()) != 0) return errno_code(errno);
  path_ = std::move(target);
  return {};
}

void State::begin(std::uint64_t unique, std::uint32_t opcode, std::uint64_t node,
                  std::uint32_t pid) {
  page_->requests.fetch_add(1, kRelaxed);
  for (std::size_t probe = 0; probe < kProbesMax; ++probe) {
    RequestCell& cell = page_->request[place(unique, probe)];
    if (cell.unique.load(kRelaxed) != 0) continue;
    cell.since.store(now_ms(), kRelaxed);
    cell.node.store(node, kRelaxed);
    cell.opcode.store(opcode, kRelaxed);
    cell.pid.store(pid, kRelaxed);
    cell.unique.store(unique, std::memory_order_release);
    return;
  }
}

void State::end(std::uint64_t unique) {
  page_->requests.fetch_sub(1, kRelaxed);
  for (std::size_t probe = 0; probe < kProbesMax; ++probe) {
    RequestCell& cell = page_->request[place(unique, probe)];
    if (cell.unique.load(kRelaxed) != unique) continue;
    cell.unique.store(0, std::memory_order_release);
    return;
  }
}

State::Call::Call(State* state, std::uint32_t procedure) : state_(state) {
  if (state_ == nullptr) return;
  at_ = state_->calls_.insert(state_->calls_.end(), {now_ms(), procedure});
  state_->tell_oldest_call();
}

State::Call::~Call() {
  if (state_ == nullptr) return;
  state_->calls_.erase(at_);
  state_->tell_oldest_call();
}

void State::tell_oldest_call() {
  page_->storage_calls.store(calls_.size(), kRelaxed);
  page_->storage_oldest.store(calls_.empty() ? 0 : calls_.front().since, kRelaxed);
  page_->storage_procedure.store(calls_.empty() ? 0 : calls_.front().procedure, kRelaxed);
}

}  // namespace holdfast::fs::state
