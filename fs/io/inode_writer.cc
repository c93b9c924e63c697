#include "fs/io/inode_writer.h"

#include "fs/io/writer_state.h"
#include "holdfast/base/assert.h"
#include "holdfast/base/log.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

/// Writes on their way count against the budget too, or a burst of them would pass it.
class Reservation {
 public:
  Reservation(WriteBudget& budget, std::uint64_t bytes) : budget_(budget), bytes_(bytes) {
    budget_.uncommitted_bytes += bytes_;
  }
  ~Reservation() { budget_.uncommitted_bytes -= bytes_; }
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

 private:
  WriteBudget& budget_;
  std::uint64_t bytes_;
};

}  // namespace

void InodeWriter::State::charge() {
  const std::uint64_t bytes = kept.bytes() + dirty.bytes();
  budget.uncommitted_bytes += bytes - charged;  // modular: the difference may be negative
  charged = bytes;
}

void InodeWriter::State::record(ErrorCode error) {
  ++error_count;
  last_error = error;
  // Mostly a temporary file that was removed before anybody wanted it stored. Who has it open is
  // told.
  if (error == errno_code(ESTALE)) {
    log::info("write.file_gone", "fileid_hash={:016x}", file.hash());
    return;
  }
  log::warn("write.commit_failed", "fileid_hash={:016x} error=\"{}\" kept_bytes={}", file.hash(),
            error.message(), kept.bytes());
}

void InodeWriter::State::took(std::uint64_t offset, const Chunk& data, const WriteResult& result,
                              const Before& before) {
  if (discarded) return;
  if (result.committed == Stability::kFileSync) {
    kept.erase(offset, offset + data.size());
  } else {
    kept.put(offset, data, result.verifier);
    distrust_since(before);
    if (!trusted_at) trusted_at = before.interruptions;
    if (deferring) behind->dirty(shared_from_this());  // no close makes it stable
  }
  charge();
}

bool InodeWriter::State::suspect() const {
  return trusted_at && !kept.empty() && *trusted_at != backend.interruptions();
}

bool InodeWriter::State::may_defer() const {
  // One on its way through may overlap, and its answer must not count for what came after it.
  return deferring && running_through == 0 && !failing && !discarded;
}

void InodeWriter::State::defer(std::uint64_t offset, const Chunk& data) {
  dirty.put(offset, data);
  ::clock_gettime(CLOCK_REALTIME, &deferred_at);
  charge();
  behind->dirty(shared_from_this());
}

void InodeWriter::State::cut(std::uint64_t size) {
  dirty.cut(size);
  kept.erase(size, UINT64_MAX);
  for (LocalBytes* const read : reads)
    read->cut(size);
  if (dirty.empty() && kept.empty() && behind != nullptr) behind->clean(*this);
  charge();
}

void InodeWriter::State::add_to(LocalBytes& local) const {
  local.reaches(std::max(kept.alone_end(), dirty.end()));
  const auto add = [&](std::uint64_t offset, std::span<const std::uint8_t> data) {
    local.add(offset, data);
  };
  kept.visit_alone(local.start(), local.end(), add);
  dirty.visit(local.start(), local.end(), add);
}

asio::awaitable<Stability> InodeWriter::State::choose_stability(Credentials who, std::size_t size) {
  if (budget.fits(size)) co_return Stability::kUnstable;
  ++budget.budget_reached;
  // A failure is recorded for the handles; this write has its own answer.
  if (!kept.empty()) (void)co_await bring(who, Until::kStable);
  // Else other files hold the budget: nothing is kept of a stable write.
  co_return budget.fits(size) ? Stability::kUnstable : Stability::kFileSync;
}

asio::awaitable<Result<void>> InodeWriter::State::write_through(Credentials who,
                                                                std::uint64_t offset, Chunk data) {
  const Running through(running_through);
  // What was deferred is older. A disk that is full is reported here, not at the next fsync.
  if (!dirty.empty()) {
    const auto flushed = co_await bring(last_writer, Until::kStable);
    if (!flushed) co_return flushed;
  }
  // Before we take our turn: a commit may have to resend what we overlap.
  const auto stability = co_await choose_stability(who, data.size());
  const Reservation reserved(budget, stability == Stability::kUnstable ? data.size() : 0);
  RangeOrder::Turn turn(order, offset, offset + data.size());
  co_await turn.wait();
  while (!data.empty()) {
    const Before when_sent = before();
    const auto sent = co_await send_once(who, offset, data.bytes(), stability);
    if (!sent) co_return sent.error();
    took(offset, data.part(0, sent->count), *sent, when_sent);
    // RFC 1813 section 3.3.7: FILE_SYNC must be answered with FILE_SYNC. What such a server took
    // stays kept, but nobody may be told that it is stable.
    if (stability == Stability::kFileSync && sent->committed != Stability::kFileSync)
      co_return errno_code(EIO);
    offset += sent->count;
    data = data.part(sent->count, data.size() - sent->count);
  }
  co_return Result<void>();
}

InodeWriter::InodeWriter(asio::any_io_executor executor, FileWrites& backend, WriteBudget& budget,
                         FileHandle file)
    : state_(std::make_shared<State>(std::move(executor), backend, budget, file)) {}

InodeWriter::~InodeWriter() {
  HOLDFAST_ASSERT(state_->running == 0, "a file's writer was destroyed while a call ran");
  if (dirty()) {
    log::error("write.lost", "fileid_hash={:016x} bytes={}", state_->file.hash(), state_->charged);
  }
  discard();
}

void InodeWriter::begin_behind(WriteBehind& with) {
  state_->behind = &with;
  state_->deferring = true;
}

void InodeWriter::end_behind() {
  state_->deferring = false;
}

void InodeWriter::discard() {
  State& state = *state_;
  const bool lost = dirty();
  state.discarded = true;
  state.stop_sending();
  state.cut(0);
  if (lost) state.record(errno_code(EIO));
}

asio::awaitable<Result<void>> InodeWriter::write(Credentials who, std::uint64_t offset,
                                                 Chunk data) {
  State& state = *state_;
  const Running running(state.running);
  if (data.size() > UINT64_MAX - offset) co_return errno_code(EFBIG);
  if (state.may_defer()) co_await state.behind->make_room(data.size());
  if (state.discarded) co_return errno_code(EIO);
  state.last_writer = who;
  if (state.may_defer() && state.budget.fits(data.size())) {
    state.defer(offset, data);
    co_return Result<void>();
  }
  co_return co_await state.write_through(std::move(who), offset, std::move(data));
}

asio::awaitable<void> InodeWriter::written(std::uint64_t start, std::uint64_t end) {
  State& state = *state_;
  if (state.running_through == 0) co_return;
  const Running running(state.running);
  RangeOrder::Turn turn(state.order, start, end);
  co_await turn.wait();
}

bool InodeWriter::suspect() const {
  return state_->suspect();
}

bool InodeWriter::flushed_since(std::uint64_t then) const {
  return state_->flushed_at > then;
}

const Credentials& InodeWriter::last_writer() const {
  return state_->last_writer;
}

asio::awaitable<Result<void>> InodeWriter::commit(Credentials who) {
  const Running running(state_->running);
  co_return co_await state_->bring(std::move(who), Until::kStable);
}

asio::awaitable<Result<void>> InodeWriter::send(Credentials who) {
  const Running running(state_->running);
  co_return co_await state_->bring(std::move(who), Until::kSent);
}

asio::awaitable<Result<Attributes>> InodeWriter::truncate(Credentials who, SetAttributes change) {
  State& state = *state_;
  const Running running(state.running);
  HOLDFAST_ASSERT(change.size.has_value(), "truncate() needs a size");
  RangeOrder::Turn turn(state.order, *change.size, UINT64_MAX);
  co_await turn.wait();
  auto done = co_await state.backend.setattr(std::move(who), state.file, change);
  if (done) truncated(*change.size);
  co_return done;
}

void InodeWriter::truncated(std::uint64_t size) {
  state_->cut(size);
}

ErrorCursor InodeWriter::error_cursor() const {
  return {state_->error_count};
}

ErrorCode InodeWriter::take_error(ErrorCursor& cursor) const {
  if (cursor.seen == state_->error_count) return {};
  cursor.seen = state_->error_count;
  return state_->last_error;
}

bool InodeWriter::dirty() const {
  return !state_->kept.empty() || !state_->dirty.empty();
}

bool InodeWriter::idle() const {
  return state_->running == 0 && !state_->sending && !state_->committing;
}

InodeWriter::Reading::Reading(const InodeWriter& writer, std::uint64_t start, std::uint64_t end)
    : state_(writer.state_),
      local_(start, end),
      interruptions_(state_->backend.interruptions()),
      kept_(state_->trusted_at && !state_->kept.empty()) {
  state_->add_to(local_);
  place_ = state_->reads.insert(state_->reads.end(), &local_);
}

InodeWriter::Reading::~Reading() {
  state_->reads.erase(place_);
}

bool InodeWriter::Reading::outdated() const {
  return kept_ && interruptions_ != state_->backend.interruptions();
}

void InodeWriter::Reading::correct(std::vector<std::uint8_t>& data) {
  state_->add_to(local_);
  local_.lay_over(data);
}

void InodeWriter::Reading::correct(Attributes& attributes) {
  state_->add_to(local_);
  if (local_.size() == 0) return;  // nobody waits to be sent
  attributes.size = std::max(attributes.size, local_.size());
  const auto later = [](const timespec& a, const timespec& b) {
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
  };
  if (later(state_->deferred_at, attributes.mtime)) attributes.mtime = state_->deferred_at;
  if (later(state_->deferred_at, attributes.ctime)) attributes.ctime = state_->deferred_at;
}

}  // namespace holdfast::fs
