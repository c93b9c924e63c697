#pragma once
/// Write path of one inode: through to the storage, or behind; stable at commit().
///
/// *Through*: write() returns when the server has taken the data (UNSTABLE, visible to every node);
/// a copy is kept until a COMMIT answers with the verifier of the write. Another verifier means
/// that the server restarted and may have lost the data: it is sent again, stable at once, before
/// commit() returns (RFC 1813 section 3.3.21).
///
/// *Behind*, for a file that nobody else can read or write (token EX): write() keeps the data and
/// returns. It is sent by commit(), and by WriteBehind when it is much or old, or memory short:
/// UNSTABLE WRITEs side by side and one COMMIT, beside which what comes later is sent; if all there
/// is fits into one WRITE, that one, stable. Who reads lays over what the storage answers
/// (`Reading`). After a commit that failed, writes go through until one succeeds, so that a program
/// hears at once of a full disk.
///
/// What is kept in all of a mount is bounded (`WriteBudget`): a write that would pass it waits for
/// a commit first, and if that does not help is written stable itself.
///
/// Order: overlapping writes, resends and truncations of one inode reach the storage one after the
/// other, in the order of the calls; others run side by side. Writes may arrive while a commit
/// runs; they belong to the next one. A truncation does not send what was written before it below
/// the new end (nobody can tell before an fsync), and drops the rest.
///
/// Errors of commits are kept and reported once to each open handle at its next fsync/close
/// (`ErrorCursor`), as POSIX expects. Unlike the kernel's page cache, what could not be made stable
/// is kept and sent again at the next commit, so that an fsync that succeeds after one that failed
/// tells the truth. Only a file that is gone (ESTALE) loses it.
///
/// Thread: the loop. Lifetime: owned by the inode; quiet (no call running) before destruction.

#include "fs/backend/file_writes.h"
#include "fs/io/chunk.h"
#include "fs/io/local_bytes.h"
#include "fs/io/write_budget.h"
#include "holdfast/base/result.h"

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

/// What an open handle has seen of its inode's write errors. Copy the current one at open.
struct ErrorCursor {
  std::uint64_t seen = 0;
};

class WriteBehind;

class InodeWriter {
  struct State;

 public:
  InodeWriter(boost::asio::any_io_executor executor, FileWrites& backend, WriteBudget& budget,
              FileHandle file);
  ~InodeWriter();
  InodeWriter(const InodeWriter&) = delete;
  InodeWriter& operator=(const InodeWriter&) = delete;

  /// From now on nobody else can read or write the file: writes need not be sent at once. `with`
  /// outlives the writer.
  void begin_behind(WriteBehind& with);
  /// From now on somebody may: writes go through. What has waited is sent by commit(); if that
  /// fails the file cannot be given away unless with discard().
  void end_behind();
  /// What was not made stable is lost (each handle gets EIO once), and nothing is sent any more,
  /// apart from what is on its way. All further writes and commits fail with EIO.
  void discard();

  /// Writes all of `data`. On error part of it may have been written.
  boost::asio::awaitable<Result<void>> write(Credentials who, std::uint64_t offset, Chunk data);
  /// Returns when the writes to [start, end) on their way through have reached the storage, or
  /// failed. A read that overtook one would leave what was there before in the kernel's pages.
  boost::asio::awaitable<void> written(std::uint64_t start, std::uint64_t end);
  /// What was written through and not committed may be missing at the storage, which may have
  /// restarted (`FileWrites::interruptions`). Commit before a READ, and do not answer that if the
  /// commit fails.
  [[nodiscard]] bool suspect() const;
  /// Since WriteBudget::flushed was `then`, something that had waited was sent: an answer that the
  /// storage was asked for at that time may be older than that.
  [[nodiscard]] bool flushed_since(std::uint64_t then) const;
  /// Who may write the file, for commits that nobody asks for.
  [[nodiscard]] const Credentials& last_writer() const;
  /// Makes everything written before this call stable. No call to the storage if nothing is
  /// uncommitted. An error is returned and kept for the cursors: whoever called this for a handle
  /// (fsync) follows with take_error() and reports either.
  boost::asio::awaitable<Result<void>> commit(Credentials who);
  /// Sends everything written before this call, so that a storage that is full or refuses it says
  /// so now. It is made stable later (WriteBehind, commit()). Errors as of commit().
  boost::asio::awaitable<Result<void>> send(Credentials who);
  /// backend.setattr() with a size, in its place among the writes: no resend can bring back what it
  /// cut off. The way to truncate.
  boost::asio::awaitable<Result<Attributes>> truncate(Credentials who, SetAttributes change);
  /// The file was cut to `size` by other means (CREATE with size 0): forgets kept data beyond it.
  /// Call with no write through or commit of this inode running.
  void truncated(std::uint64_t size);

  [[nodiscard]] ErrorCursor error_cursor() const;
  /// The error that `cursor` has not seen yet, if any; moves it on.
  [[nodiscard]] ErrorCode take_error(ErrorCursor& cursor) const;
  /// Something is not known to be stable.
  [[nodiscard]] bool dirty() const;
  /// No call is running, and nothing is on its way to the storage.
  [[nodiscard]] bool idle() const;

  /// A look at the storage, from before the call to after its answer: what was sent and committed
  /// in between may be missing in the answer.
  class Reading {
   public:
    /// Of the bytes [start, end).
    Reading(const InodeWriter& writer, std::uint64_t start, std::uint64_t end);
    ~Reading();
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    /// The storage may have restarted meanwhile: see suspect(), and ask again.
    [[nodiscard]] bool outdated() const;
    /// `data`: the answer to READ; short at the end of the file. Made what programs have written.
    void correct(std::vector<std::uint8_t>& data);
    /// The same of the answer to GETATTR: size, and times while something waits to be sent.
    void correct(Attributes& attributes);

   private:
    std::shared_ptr<State> state_;
    LocalBytes local_;
    std::uint64_t interruptions_;
    bool kept_;
    std::list<LocalBytes*>::iterator place_;
  };

 private:
  std::shared_ptr<State> state_;
};

}  // namespace holdfast::fs
