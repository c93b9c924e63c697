#include "fs/state/state.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

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

std::uint64_t ms_of(Instant at) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count());
}

std::size_t place(std::uint64_t unique, std::size_t probe) {
  return (unique / 2 + probe) % kRequestsMax;
}

}  // namespace

std::uint64_t now_ms() {
  return ms_of(boot_time_now());
}

std::string file_of(std::string_view directory, std::string_view connection) {
  return published::path_of(directory, kKind, connection);
}

std::set<std::string> published_in(const std::string& directory) {
  return published::connections_in(directory, kKind);
}

State::State(std::string directory)
    : file_(std::move(directory), kKind), page_(::new (file_.memory()) Page) {
  page_->head = file_.head();
  page_->started = now_ms();
}

void State::identify(const Identity& identity) {
  write_text(page_->source, identity.source);
  write_text(page_->mountpoint, identity.mountpoint);
  write_text(page_->lockd, identity.lockd);
  write_text(page_->node, identity.node);
  page_->volume = identity.volume;
}

RequestCell* State::begin(const Request& request, Instant now) {
  page_->requests.fetch_add(1, kRelaxed);
  for (std::size_t probe = 0; probe < kProbesMax; ++probe) {
    RequestCell& cell = page_->request[place(request.unique, probe)];
    if (cell.unique.load(kRelaxed) != 0) continue;
    cell.since.store(ms_of(now), kRelaxed);
    cell.node.store(request.node, kRelaxed);
    cell.opcode.store(request.opcode, kRelaxed);
    cell.pid.store(request.pid, kRelaxed);
    cell.unique.store(request.unique, std::memory_order_release);
    return &cell;
  }
  return nullptr;
}

void State::end(RequestCell* shown) {
  page_->requests.fetch_sub(1, kRelaxed);
  if (shown != nullptr) shown->unique.store(0, std::memory_order_release);
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
