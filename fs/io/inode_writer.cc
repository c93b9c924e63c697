#include "fs/io/inode_writer.h"

#include "fs/io/change.h"
#include "fs/io/range_order.h"
#include "fs/io/uncommitted.h"
#include "holdfast/base/assert.h"
#include "holdfast/base/log.h"

#include <algorithm>
#include <utility>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

/// Rounds of commit and resend within one commit(): each needs another server restart, or a server
/// that answers stable writes as unstable. Past it EIO, and the data stays kept.
constexpr int kCommitRoundsMax = 64;

/// Counts a call as running for the length of a scope.
class Running {
 public:
  explicit Running(unsigned& count) : count_(count) { ++count_; }
  ~Running() { --count_; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  unsigned& count_;
};

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

struct InodeWriter::State {
  State(asio::any_io_executor executor, Backend& to, WriteBudget& shared, FileHandle of)
      : backend(to), budget(shared), file(of), order(executor), commit_done(executor) {}

  Backend& backend;
  WriteBudget& budget;
  FileHandle file;
  Uncommitted kept;
  RangeOrder order;
  Change commit_done;
  bool committing = false;
  std::uint64_t charged = 0;  // our part of budget.uncommitted_bytes
  std::uint64_t error_count = 0;
  ErrorCode last_error;
  unsigned running = 0;

  /// Brings the budget up to date with what is kept.
  void charge() {
    budget.uncommitted_bytes += kept.bytes() - charged;  // modular: the difference may be negative
    charged = kept.bytes();
  }
  void record(ErrorCode error) {
    ++error_count;
    last_error = error;
    log::warn("write.commit_failed", "fileid_hash={:016x} error=\"{}\" kept_bytes={}", file.hash(),
              error.message(), kept.bytes());
  }
  /// Our turn must have come for the range.
  void took(std::uint64_t offset, std::span<const std::uint8_t> data, const WriteResult& result) {
    if (result.committed == Stability::kFileSync) {
      kept.erase(offset, offset + data.size());
    } else {
      kept.put(offset, data, result.verifier);
    }
    charge();
  }

  asio::awaitable<Stability> choose_stability(Credentials who, std::size_t size);
  asio::awaitable<Result<void>> send(Credentials who, std::uint64_t offset,
                                     std::span<const std::uint8_t> data, Stability stability);
  asio::awaitable<Result<void>> commit_round(Credentials who, Uncommitted::Generation upto);
  asio::awaitable<Result<void>> resend(Credentials who, Uncommitted::Generation upto);
  asio::awaitable<Result<void>> commit(Credentials who);
};

asio::awaitable<Result<void>> InodeWriter::State::send(Credentials who, std::uint64_t offset,
                                                       std::span<const std::uint8_t> data,
                                                       Stability stability) {
  while (!data.empty()) {
    const auto piece = data.first(std::min<std::size_t>(data.size(), backend.limits().write_max));
    auto result = co_await backend.write(who, file, offset, piece, stability);
    if (!result) co_return result.error();
    if (result->count == 0 || result->count > piece.size()) co_return errno_code(EIO);
    took(offset, piece.first(result->count), *result);
    // RFC 1813 section 3.3.7: FILE_SYNC must be answered with FILE_SYNC. What such a server took
    // stays kept, but nobody may be told that it is stable.
    if (stability == Stability::kFileSync && result->committed != Stability::kFileSync)
      co_return errno_code(EIO);
    offset += result->count;
    data = data.subspan(result->count);
  }
  co_return Result<void>();
}

asio::awaitable<Stability> InodeWriter::State::choose_stability(Credentials who, std::size_t size) {
  const auto fits = [&] { return budget.uncommitted_bytes + size <= budget.uncommitted_bytes_max; };
  if (fits()) co_return Stability::kUnstable;
  ++budget.budget_reached;
  // A failure is recorded for the handles; this write has its own answer.
  if (!kept.empty()) (void)co_await commit(who);
  // Else other files hold the budget: nothing is kept of a stable write.
  co_return fits() ? Stability::kUnstable : Stability::kFileSync;
}

asio::awaitable<Result<void>> InodeWriter::State::resend(Credentials who,
                                                         Uncommitted::Generation upto) {
  std::uint64_t from = 0;
  while (true) {
    auto piece = kept.next(upto, from);
    if (!piece) co_return Result<void>();
    const std::uint64_t start = piece->offset;
    const std::uint64_t end = start + piece->data.size();
    from = end;
    RangeOrder::Turn turn(order, start, end);
    co_await turn.wait();
    // While we waited a newer write may have replaced part of it.
    for (auto rest = kept.next(upto, start); rest && rest->offset < end;
         rest = kept.next(upto, rest->offset)) {
      const auto size = std::min<std::uint64_t>(rest->data.size(), end - rest->offset);
      // A copy: what is kept changes with each answer.
      const std::vector<std::uint8_t> bytes(rest->data.begin(),
                                            rest->data.begin() + static_cast<std::ptrdiff_t>(size));
      budget.resent_bytes += size;
      const std::uint64_t offset = rest->offset;
      auto sent = co_await send(who, offset, bytes, Stability::kFileSync);
      if (!sent) co_return sent;
      rest->offset = offset + size;
    }
  }
}

asio::awaitable<Result<void>> InodeWriter::State::commit_round(Credentials who,
                                                               Uncommitted::Generation upto) {
  auto verifier = co_await backend.commit(who, file, 0, 0);
  if (!verifier) co_return verifier.error();
  kept.prove(upto, *verifier);
  charge();
  if (!kept.holds(upto)) co_return Result<void>();
  log::info("write.resend", "fileid_hash={:016x} kept_bytes={} reason=server_restarted",
            file.hash(), kept.bytes());
  co_return co_await resend(who, upto);
}

asio::awaitable<Result<void>> InodeWriter::State::commit(Credentials who) {
  const auto wanted = kept.generation();
  const auto errors_before = error_count;
  for (int round = 0; kept.holds(wanted); ++round) {
    if (committing) {  // whatever it proves is ours too
      co_await commit_done.wait();
      if (error_count != errors_before) co_return last_error;
      continue;
    }
    committing = true;
    const auto upto = kept.close();
    Result<void> done = errno_code(EIO);
    std::exception_ptr cancelled;
    try {
      if (round < kCommitRoundsMax) done = co_await commit_round(who, upto);
    } catch (...) {
      cancelled = std::current_exception();
    }
    committing = false;
    commit_done.notify();
    if (cancelled) std::rethrow_exception(cancelled);
    if (done) continue;
    if (done.error() == errno_code(ESTALE)) {
      kept.erase(0, UINT64_MAX);  // the file is gone, and with it whom to send to
    } else {
      kept.distrust(upto);
    }
    charge();
    record(done.error());
    co_return done;
  }
  co_return Result<void>();
}

InodeWriter::InodeWriter(asio::any_io_executor executor, Backend& backend, WriteBudget& budget,
                         FileHandle file)
    : state_(std::make_unique<State>(std::move(executor), backend, budget, file)) {}

InodeWriter::~InodeWriter() {
  HOLDFAST_ASSERT(idle(), "a file's writer was destroyed while a call ran");
  if (dirty())
    log::error("write.lost", "fileid_hash={:016x} bytes={}", state_->file.hash(),
               state_->kept.bytes());
  state_->budget.uncommitted_bytes -= state_->charged;
}

asio::awaitable<Result<void>> InodeWriter::write(Credentials who, std::uint64_t offset,
                                                 std::span<const std::uint8_t> data) {
  State& state = *state_;
  const Running running(state.running);
  if (data.size() > UINT64_MAX - offset) co_return errno_code(EFBIG);
  // Before we take our turn: a commit may have to resend what we overlap.
  const auto stability = co_await state.choose_stability(who, data.size());
  const Reservation reserved(state.budget, stability == Stability::kUnstable ? data.size() : 0);
  RangeOrder::Turn turn(state.order, offset, offset + data.size());
  co_await turn.wait();
  co_return co_await state.send(who, offset, data, stability);
}

asio::awaitable<void> InodeWriter::written(std::uint64_t start, std::uint64_t end) {
  const Running running(state_->running);
  RangeOrder::Turn turn(state_->order, start, end);
  co_await turn.wait();
}

asio::awaitable<Result<void>> InodeWriter::commit(Credentials who) {
  const Running running(state_->running);
  co_return co_await state_->commit(std::move(who));
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
  state_->kept.erase(size, UINT64_MAX);
  state_->charge();
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
  return !state_->kept.empty();
}

bool InodeWriter::idle() const {
  return state_->running == 0;
}

}  // namespace holdfast::fs
