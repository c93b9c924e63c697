#pragma once
/// The inside of InodeWriter: inode_writer.cc takes what programs write, writer_commit.cc brings it
/// to stable storage.
///
/// Three places for bytes, each newer than the next: `dirty` (not sent), `kept` (sent or being
/// sent, not proved stable), the storage. A flush moves all of `dirty` into `kept` at once, so that
/// what a commit has to prove is a generation there, whatever is written meanwhile.
///
/// Thread: the loop. Lifetime: shared by the writer and by whoever flushes it.

#include "fs/io/change.h"
#include "fs/io/dirty_bytes.h"
#include "fs/io/inode_writer.h"
#include "fs/io/range_order.h"
#include "fs/io/uncommitted.h"
#include "fs/io/write_behind.h"

#include <cstdint>
#include <ctime>
#include <list>
#include <memory>
#include <optional>
#include <span>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

namespace holdfast::fs {

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

/// How far what was written is brought.
enum class Until : std::uint8_t {
  kSent,    ///< the storage has taken it, and may lose it when it restarts
  kStable,  ///< it has promised to keep it
};

struct InodeWriter::State final : public DirtyFile,
                                  public std::enable_shared_from_this<InodeWriter::State> {
  State(boost::asio::any_io_executor on, FileWrites& to, WriteBudget& shared, FileHandle of)
      : executor(on), backend(to), budget(shared), file(of), order(on), round_done(on) {}
  ~State() override { budget.uncommitted_bytes -= charged; }

  boost::asio::any_io_executor executor;
  FileWrites& backend;
  WriteBudget& budget;
  FileHandle file;
  WriteBehind* behind = nullptr;  // where we are listed until a commit begins
  bool deferring = false;         // writes may wait in `dirty`
  DirtyBytes dirty;
  Uncommitted kept;
  std::list<LocalBytes*> reads;
  RangeOrder order;
  Change round_done;
  boost::asio::cancellation_signal stop;       // of flush()
  boost::asio::cancellation_signal stop_send;  // of send()
  Credentials last_writer;  // may write the file, unlike perhaps whoever asks for a commit
  timespec deferred_at{};   // this node's time of the last write that was deferred
  bool sending = false;     // a round of WRITEs runs
  bool committing = false;  // a round of COMMIT runs, perhaps beside it
  bool failing = false;     // no commit has succeeded since one failed: programs shall hear at once
  bool discarded = false;
  std::optional<std::uint64_t>
      trusted_at;                // FileWrites::interruptions() before the oldest WRITE kept
  std::uint64_t charged = 0;     // our part of budget.uncommitted_bytes
  std::uint64_t flushed_at = 0;  // budget.flushed after the last WRITE of ours
  std::uint64_t error_count = 0;
  ErrorCode last_error;
  unsigned running = 0;
  unsigned running_through = 0;

  /// Brings the budget up to date with what is in memory.
  void charge();
  void record(ErrorCode error);
  /// When a WRITE is sent, for its answer.
  struct Before {
    std::uint64_t interruptions = 0;
    std::uint64_t errors = 0;
  };
  [[nodiscard]] Before before() const { return {backend.interruptions(), error_count}; }
  /// Our turn must have come for the range.
  void took(std::uint64_t offset, const Chunk& data, const WriteResult& result,
            const Before& before);
  /// The storage may have forgotten what was written through.
  [[nodiscard]] bool suspect() const;
  [[nodiscard]] bool may_defer() const;
  void defer(std::uint64_t offset, const Chunk& data);
  /// Forgets what lies beyond.
  void cut(std::uint64_t size);
  /// The part of LocalBytes that is known now.
  void add_to(LocalBytes& local) const;

  boost::asio::awaitable<Result<void>> write_through(Credentials who, std::uint64_t offset,
                                                     Chunk data);
  boost::asio::awaitable<Stability> choose_stability(Credentials who, std::size_t size);
  /// writer_commit.cc. The count that was taken; FILE_SYNC answered otherwise is EIO.
  boost::asio::awaitable<Result<WriteResult>> send_once(Credentials who, std::uint64_t offset,
                                                        std::span<const std::uint8_t> data,
                                                        Stability stability);
  /// After the answer to a WRITE is in `kept`: the storage may have lost it with what a COMMIT that
  /// failed in between was about.
  void distrust_since(const Before& before);
  /// Parts of `kept` within [start, end): those unsent, or all.
  enum class Which : std::uint8_t { kUnsent, kAll };
  boost::asio::awaitable<Result<void>> send_kept(Credentials who, Uncommitted::Generation upto,
                                                 std::uint64_t start, std::uint64_t end,
                                                 Which which, Stability stability);
  struct Flushing;
  boost::asio::awaitable<void> flush_some(Flushing& flushing);
  boost::asio::awaitable<Result<void>> send_unsent(Uncommitted::Generation upto, Until until);
  boost::asio::awaitable<Result<void>> resend(Credentials who, Uncommitted::Generation upto);
  boost::asio::awaitable<Result<void>> commit_round(Credentials who, Uncommitted::Generation upto);
  enum class Kind : std::uint8_t { kSend, kCommit };
  boost::asio::awaitable<Result<void>> round_of(Kind kind, Credentials who, Until until);
  /// A round has: nothing of what the storage took can be relied on.
  void failed(ErrorCode error);
  /// Of what was written before: nothing is left to do.
  [[nodiscard]] bool done(Uncommitted::Generation upto, Until until) const;
  boost::asio::awaitable<Result<void>> bring(Credentials who, Until until);
  boost::asio::awaitable<void> bring_in_background(Until until);
  boost::asio::awaitable<void> until_stopped(Until until, boost::asio::cancellation_signal& by);

  [[nodiscard]] std::uint64_t waiting() const override { return dirty.bytes(); }
  boost::asio::awaitable<void> send() override;
  boost::asio::awaitable<void> flush() override;
  void stop_sending() override {
    stop.emit(boost::asio::cancellation_type::terminal);
    stop_send.emit(boost::asio::cancellation_type::terminal);
  }
};

}  // namespace holdfast::fs
