#pragma once
/// A request to give up one operation: FUSE_INTERRUPT on its way to whoever waits. At most one
/// listener at a time.
///
/// Thread: the loop's thread only.

#include <functional>
#include <utility>

namespace holdfast::task {

class Interrupt {
 public:
  void request() {
    requested_ = true;
    if (auto listener = std::exchange(listener_, nullptr)) listener();
  }
  [[nodiscard]] bool requested() const { return requested_; }
  /// `listener` runs once, inline in request(); at once if that already happened. It must only post
  /// or set an event.
  void on_request(std::function<void()> listener) {
    if (requested_) return listener();
    listener_ = std::move(listener);
  }
  void forget_listener() { listener_ = nullptr; }

 private:
  bool requested_ = false;
  std::function<void()> listener_;
};

}  // namespace holdfast::task
