#pragma once
/// Answers to the kernel: each request gets exactly one, by type.
///
/// Move only. The answer methods use the reply up; answering twice is a bug (assertion). One that
/// is destroyed unanswered answers EIO and logs "fuse.unanswered": a program must never hang
/// because of our bug.
///
/// Thread: the loop.

#include "fs/fuse/fuse_api.h"
#include "holdfast/base/result.h"
#include "holdfast/task/interrupt.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace holdfast::fs {

class Reply {
 public:
  explicit Reply(fuse_req_t request);
  Reply(Reply&& other) noexcept;
  Reply& operator=(Reply&&) = delete;
  ~Reply();

  /// `error` is an errno > 0, never ENOSYS.
  void error(int error);
  void error(const ErrorCode& code);
  /// FUSE_INTERRUPT of this request. Lives as long as the reply.
  [[nodiscard]] task::Interrupt* interrupt();

 protected:
  [[nodiscard]] fuse_req_t take();

 private:
  static void interrupted(fuse_req_t request, void* data);
  fuse_req_t request_;
  std::unique_ptr<task::Interrupt> interrupt_;
};

class DoneReply : public Reply {
 public:
  using Reply::Reply;
  void done();
};

class EntryReply : public Reply {
 public:
  using Reply::Reply;
  /// False: the kernel no longer wants it (interrupted), so its lookup does not count.
  [[nodiscard]] bool entry(const fuse_entry_param& entry);
};

class CreateReply : public Reply {
 public:
  using Reply::Reply;
  [[nodiscard]] bool created(const fuse_entry_param& entry, const fuse_file_info& file);
};

class OpenReply : public Reply {
 public:
  using Reply::Reply;
  /// False: the kernel no longer wants it, no RELEASE will come.
  [[nodiscard]] bool opened(const fuse_file_info& file);
};

class AttrReply : public Reply {
 public:
  using Reply::Reply;
  /// `last`: seconds for which the kernel may believe them.
  void attributes(const struct stat& attributes, double last);
};

class DataReply : public Reply {
 public:
  using Reply::Reply;
  void data(std::span<const std::uint8_t> bytes);
  /// False: the kernel no longer wants it.
  bool data(std::span<const char> bytes);
};

class WrittenReply : public Reply {
 public:
  using Reply::Reply;
  void written(std::size_t count);
};

class TextReply : public Reply {
 public:
  using Reply::Reply;
  void text(const std::string& text);
};

class StatfsReply : public Reply {
 public:
  using Reply::Reply;
  void statfs(const struct statvfs& values);
};

class LockReply : public Reply {
 public:
  using Reply::Reply;
  void lock(const struct flock& conflict);
};

}  // namespace holdfast::fs
