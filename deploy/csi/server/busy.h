#pragma once
/// One call at a time for one volume. A second one is not kept waiting, which would cost a thread
/// for as long as the storage is away: it is refused, and CSI's callers try again.
///
/// Thread: any.

#include "deploy/csi/core/escape.h"
#include "deploy/csi/core/refusal.h"

#include <mutex>
#include <set>
#include <string>
#include <utility>

namespace holdfast::csi {

class Busy {
 public:
  class Turn {
   public:
    Turn(Busy& busy, std::string volume) : busy_(&busy), volume_(std::move(volume)) {}
    ~Turn() {
      if (busy_ != nullptr) busy_->leave(volume_);
    }
    Turn(Turn&& other) noexcept
        : busy_(std::exchange(other.busy_, nullptr)), volume_(std::move(other.volume_)) {}
    Turn& operator=(Turn&&) = delete;

   private:
    Busy* busy_;
    std::string volume_;
  };
  /// Errors: kAborted, a call for this volume is under way.
  [[nodiscard]] Answer<Turn> enter(const std::string& volume) {
    const std::lock_guard lock(mutex_);
    if (volumes_.insert(volume).second) return Turn(*this, volume);
    return Refusal{Code::kAborted,
                   "another call for volume " + printable(volume) + " is under way; try again"};
  }

 private:
  void leave(const std::string& volume) {
    const std::lock_guard lock(mutex_);
    volumes_.erase(volume);
  }
  std::mutex mutex_;  // guards volumes_; nothing else is taken under it
  std::set<std::string> volumes_;
};

}  // namespace holdfast::csi
