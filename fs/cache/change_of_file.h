#pragma once
/// A change of a file at the storage, announced to KeptFiles from its begin to its end.
///
/// Thread: the loop. Lifetime: both arguments outlive it.

#include "fs/cache/kept_files.h"
#include "fs/lock/lock_service.h"

#include <optional>

namespace holdfast::fs {

/// A change of ours that is under way, also if its coroutine is given up.
class ChangeOfFile {
 public:
  ChangeOfFile(KeptFiles& files, const LockService& locks, const FileKey& file, Instant now,
               KeptFiles::Concerns concerns = KeptFiles::Concerns::kContents)
      : files_(files), locks_(locks), change_(files.begin_change(file, now, concerns)) {}
  ChangeOfFile(const ChangeOfFile&) = delete;
  ChangeOfFile& operator=(const ChangeOfFile&) = delete;
  ~ChangeOfFile() { files_.end_change(change_, locks_.token_generation(change_.file), after_); }
  void ended_with(const Attributes& after) { after_ = after; }

 private:
  KeptFiles& files_;
  const LockService& locks_;
  KeptFiles::Change change_;
  std::optional<Attributes> after_;
};

}  // namespace holdfast::fs
