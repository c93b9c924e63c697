#include "lockd/server/effect_queue.h"

#include <iterator>
#include <utility>

namespace holdfast::lockd {

void EffectQueue::add(Effects effects) {
  const bool nothing_pending = pending_.empty();
  for (Effect& effect : effects) {
    if (auto* record = std::get_if<Record>(&effect)) {
      if (record->changes.empty()) continue;
      ++recorded_;
      pending_.insert(pending_.end(), std::make_move_iterator(record->changes.begin()),
                      std::make_move_iterator(record->changes.end()));
      record->changes.clear();
    }
    waiting_.push_back(std::move(effect));
  }
  if (nothing_pending && !pending_.empty()) wake_();
  drain();
}

StoreChanges EffectQueue::take_changes() {
  taken_ = recorded_;
  return std::exchange(pending_, {});
}

void EffectQueue::written() {
  durable_ = taken_;
  drain();
}

void EffectQueue::drain() {
  if (draining_) return;  // add() from within perform_
  struct Draining {
    bool& flag;
    explicit Draining(bool& of) : flag(of) { flag = true; }
    ~Draining() { flag = false; }
  } const draining(draining_);
  while (!waiting_.empty()) {
    if (std::holds_alternative<Record>(waiting_.front())) {
      if (passed_ == durable_) break;
      ++passed_;
      waiting_.pop_front();
      continue;
    }
    const Effect effect = std::move(waiting_.front());
    waiting_.pop_front();
    perform_(effect);
  }
}

}  // namespace holdfast::lockd
