// How what was written becomes stable.
#include "fs/io/writer_state.h"
#include "holdfast/base/log.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

/// Rounds within one commit(): more than two need another server restart each, or a server that
/// answers stable writes as unstable. Past it EIO, and the data stays kept.
constexpr int kRoundsMax = 64;

/// WRITEs of one flush on their way at once.
constexpr std::size_t kFlushWidth = 8;

}  // namespace

asio::awaitable<Result<WriteResult>> InodeWriter::State::send_once(
    Credentials who, std::uint64_t offset, std::span<const std::uint8_t> data,
    Stability stability) {
  const auto piece = data.first(std::min<std::size_t>(data.size(), backend.limits().write_max));
  auto result = co_await backend.write(std::move(who), file, offset, piece, stability);
  if (!result) co_return result;
  if (result->count == 0 || result->count > piece.size()) co_return errno_code(EIO);
  co_return result;
}

void InodeWriter::State::distrust_since(const Before& before) {
  if (error_count != before.errors) kept.distrust(kept.close());
}

asio::awaitable<Result<void>> InodeWriter::State::send_kept(Credentials who,
                                                            Uncommitted::Generation upto,
                                                            std::uint64_t start, std::uint64_t end,
                                                            Which which, Stability stability) {
  RangeOrder::Turn turn(order, start, end);
  co_await turn.wait();
  // Looked up again after each wait: newer bytes may have replaced some, or a truncation cut them.
  while (true) {
    const auto piece =
        which == Which::kUnsent ? kept.next_unsent(upto, start) : kept.next(upto, start);
    if (!piece || piece->offset >= end) co_return Result<void>();
    const auto size = std::min<std::uint64_t>(piece->data.size(), end - piece->offset);
    const auto offset = piece->offset;
    const auto generation = piece->generation;
    // `piece` holds the bytes: what is kept changes while they are on their way.
    const auto bytes = piece->data.bytes().first(static_cast<std::size_t>(size));
    const Before when_sent = before();
    const auto sent = co_await send_once(who, offset, bytes, stability);
    if (!sent) co_return sent.error();
    if (which == Which::kUnsent) flushed_at = ++budget.flushed;
    kept.answered(generation, offset, sent->count, *sent);
    distrust_since(when_sent);
    charge();
    // RFC 1813 section 3.3.7: FILE_SYNC must be answered with FILE_SYNC. Nobody may be told that
    // what such a server took is stable.
    if (stability == Stability::kFileSync && sent->committed != Stability::kFileSync)
      co_return errno_code(EIO);
    if (which == Which::kAll) budget.resent_bytes += sent->count;
    start = offset + sent->count;
  }
}

/// What the senders of one flush share; it outlives them.
struct InodeWriter::State::Flushing {
  Uncommitted::Generation upto = 0;
  Stability stability = Stability::kUnstable;
  std::uint64_t from = 0;  // what lies before has a sender
  Result<void> result;
};

asio::awaitable<void> InodeWriter::State::flush_some(Flushing& flushing) {
  while (flushing.result) {
    const auto piece = kept.next_unsent(flushing.upto, flushing.from);
    if (!piece) co_return;
    const std::uint64_t start = piece->offset;
    const std::uint64_t size =
        std::min<std::uint64_t>(piece->data.size(), backend.limits().write_max);
    flushing.from = start + size;
    const auto sent = co_await send_kept(last_writer, flushing.upto, start, start + size,
                                         Which::kUnsent, flushing.stability);
    if (!sent) flushing.result = sent;
  }
}

asio::awaitable<Result<void>> InodeWriter::State::send_unsent(Uncommitted::Generation upto,
                                                              Until until) {
  const auto first = kept.next_unsent(upto, 0);
  if (!first) co_return Result<void>();
  Flushing flushing;
  flushing.upto = upto;
  // A stable WRITE costs the server what COMMIT does; if it is the only one, the COMMIT is saved.
  const bool alone = kept.extents() == 1 && first->data.size() <= backend.limits().write_max;
  if (alone && until == Until::kStable) {
    flushing.stability = Stability::kFileSync;
    co_await flush_some(flushing);
    co_return flushing.result;
  }
  const auto sender = [&] {
    return asio::co_spawn(executor, flush_some(flushing), asio::deferred);
  };
  std::vector<decltype(sender())> senders;
  for (std::size_t i = 0; i < std::min(kFlushWidth, kept.extents()); ++i)
    senders.push_back(sender());
  // Also if this is cancelled, it returns only when all of them have ended.
  auto all = asio::experimental::make_parallel_group(std::move(senders));
  const auto [finished, failures] =
      co_await all.async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  co_return flushing.result;
}

asio::awaitable<Result<void>> InodeWriter::State::resend(Credentials who,
                                                         Uncommitted::Generation upto) {
  std::uint64_t from = 0;
  while (true) {
    const auto piece = kept.next(upto, from);
    if (!piece) co_return Result<void>();
    const std::uint64_t start = piece->offset;
    from = start + piece->data.size();
    const auto sent = co_await send_kept(who, upto, start, from, Which::kAll, Stability::kFileSync);
    if (!sent) co_return sent;
  }
}

asio::awaitable<Result<void>> InodeWriter::State::commit_round(Credentials who,
                                                               Uncommitted::Generation upto) {
  const auto committed = co_await backend.commit(who, file, 0, 0);
  if (!committed) co_return committed.error();
  kept.prove(upto, committed->verifier);
  charge();
  if (!kept.holds(upto)) co_return Result<void>();
  log::info("write.resend", "fileid_hash={:016x} kept_bytes={} reason=server_restarted",
            file.hash(), kept.bytes());
  co_return co_await resend(who, upto);
}

// Each as far as it can: whoever waits meanwhile finds done what it came for.
asio::awaitable<Result<void>> InodeWriter::State::round_of(Kind kind, Credentials who,
                                                           Until until) {
  return kind == Kind::kSend ? send_unsent(kept.close(), until)
                             : commit_round(std::move(who), kept.close_sent());
}

void InodeWriter::State::failed(ErrorCode error) {
  failing = true;
  if (error == errno_code(ESTALE)) {
    cut(0);  // the file is gone, and with it whom to send to
  } else {
    kept.distrust(kept.close());
  }
  record(error);
}

bool InodeWriter::State::done(Uncommitted::Generation upto, Until until) const {
  return until == Until::kStable ? !kept.holds(upto) : !kept.next_unsent(upto, 0);
}

// In rounds of two kinds, one of each kind at a time: while the storage carries out a COMMIT, what
// was written since is on its way there.
asio::awaitable<Result<void>> InodeWriter::State::bring(Credentials who, Until until) {
  if (discarded) co_return errno_code(EIO);
  const auto interruptions = backend.interruptions();
  const auto wanted = dirty.empty() ? kept.close() : kept.add_unsent(dirty.take());
  charge();
  // What is only sent stays listed: nobody else may come to make it stable.
  if (until == Until::kStable && behind != nullptr) behind->clean(*this);
  const auto errors_at_start = error_count;
  for (int rounds = 0; !done(wanted, until);) {
    const Kind kind = kept.next_unsent(wanted, 0) ? Kind::kSend : Kind::kCommit;
    bool& runs = kind == Kind::kSend ? sending : committing;
    if (runs) {  // whatever it does is done for us too
      co_await round_done.wait();
      if (error_count != errors_at_start) co_return last_error;
      continue;
    }
    runs = true;
    if (!trusted_at) trusted_at = interruptions;
    const auto errors_before = error_count;
    Result<void> result = errno_code(EIO);
    std::exception_ptr cancelled;
    try {
      if (++rounds <= kRoundsMax) result = co_await round_of(kind, who, until);
    } catch (...) {
      cancelled = std::current_exception();
    }
    runs = false;
    round_done.notify();
    if (cancelled) std::rethrow_exception(cancelled);
    if (discarded) co_return errno_code(EIO);
    if (!result) {
      failed(result.error());
      co_return result;
    }
    if (done(wanted, Until::kStable) && error_count == errors_before) {
      failing = false;
      trusted_at = interruptions;  // what is kept now was sent later
    }
    if (kept.empty()) trusted_at.reset();
  }
  co_return Result<void>();
}

asio::awaitable<void> InodeWriter::State::bring_in_background(Until until) {
  (void)co_await bring(last_writer, until);  // recorded for the handles
}

asio::awaitable<void> InodeWriter::State::until_stopped(Until until,
                                                        asio::cancellation_signal& by) {
  const auto self = shared_from_this();
  try {
    co_await asio::co_spawn(executor, bring_in_background(until),
                            asio::bind_cancellation_slot(by.slot(), asio::use_awaitable));
  } catch (const boost::system::system_error& error) {
    if (error.code() != asio::error::operation_aborted) throw;
  }
}

asio::awaitable<void> InodeWriter::State::send() {
  return until_stopped(Until::kSent, stop_send);
}

asio::awaitable<void> InodeWriter::State::flush() {
  return until_stopped(Until::kStable, stop);
}

}  // namespace holdfast::fs
