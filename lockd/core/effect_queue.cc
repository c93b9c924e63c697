#include "lockd/core/effect_queue.h"

#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace holdfast::lockd {
namespace {

std::optional<SessionId> session_of(const Effect& effect) {
  struct Visitor {
    std::optional<SessionId> operator()(const SendReply& one) const { return one.session; }
    std::optional<SessionId> operator()(const Send& one) const { return one.session; }
    std::optional<SessionId> operator()(const EndSession& one) const { return one.session; }
    std::optional<SessionId> operator()(const Disconnect& one) const { return one.session; }
    std::optional<SessionId> operator()(const RunFence& one) const { return one.session; }
    std::optional<SessionId> operator()(const Greet& one) const {
      const auto* welcome = std::get_if<Welcome>(&one.answer);
      if (welcome == nullptr) return std::nullopt;
      return welcome->session;
    }
    std::optional<SessionId> operator()(const Tell& one) const { return one.about; }
    std::optional<SessionId> operator()(const Record&) const { return std::nullopt; }
  };
  return std::visit(Visitor{}, effect);
}

std::optional<SessionId> session_of(const StoreChange& change) {
  struct Visitor {
    std::optional<SessionId> operator()(const PutSession& one) const { return one.record.session; }
    std::optional<SessionId> operator()(const EndSessionRecord& one) const { return one.session; }
    std::optional<SessionId> operator()(const DropSession& one) const { return one.session; }
    std::optional<SessionId> operator()(const PutLoss& one) const { return one.session; }
    std::optional<SessionId> operator()(const DropLosses& one) const { return one.session; }
    std::optional<SessionId> operator()(const Settled&) const { return std::nullopt; }
  };
  return std::visit(Visitor{}, change);
}

}  // namespace

void EffectQueue::add(Effects effects) {
  for (Effect& effect : effects) {
    if (auto* record = std::get_if<Record>(&effect)) {
      if (record->changes.empty()) continue;
      ++recorded_;
      note(record->changes);
      pending_.push_back(std::move(record->changes));
      continue;
    }
    const std::uint64_t record = needs(effect);
    auto& where = record > durable_ ? waiting_[record] : ready_;
    where.push_back(std::move(effect));
  }
}

void EffectQueue::note(const StoreChanges& changes) {
  for (const StoreChange& change : changes) {
    if (const auto session = session_of(change)) of_session_[*session] = recorded_;
    if (takes_away(change) && !mutated(Mutation::kGrantPassesLoss)) taking_ = recorded_;
  }
}

bool EffectQueue::takes_away(const StoreChange& change) {
  if (const auto* put = std::get_if<PutSession>(&change)) {
    if (!put->record.ended) ended_.erase(put->record.session);
  } else if (const auto* end = std::get_if<EndSessionRecord>(&change)) {
    ended_.insert(end->session);
    return true;
  } else if (const auto* drop = std::get_if<DropSession>(&change)) {
    ended_.erase(drop->session);
  } else if (const auto* loss = std::get_if<PutLoss>(&change)) {
    return !ended_.contains(loss->session);
  }
  return false;  // without Settled a next life waits longer than it must
}

std::uint64_t EffectQueue::needs(const Effect& effect) {
  const auto session = session_of(effect);
  if (!session) return taking_;
  const auto last = [&](const auto& records) {
    const auto at = records.find(*session);
    return at == records.end() ? 0 : at->second;
  };
  const std::uint64_t record = std::max(taking_, last(welcomes_));
  if (std::holds_alternative<Tell>(effect)) return std::max(record, last(of_session_));
  if (!std::holds_alternative<Greet>(effect) || mutated(Mutation::kWelcomePassesRecord))
    return record;
  const std::uint64_t waits_for = std::max(record, last(of_session_));
  if (waits_for > durable_) welcomes_[*session] = waits_for;
  return waits_for;
}

std::optional<Effect> EffectQueue::next() {
  if (ready_.empty()) return std::nullopt;
  std::optional<Effect> effect(std::move(ready_.front()));
  ready_.pop_front();
  return effect;
}

StoreChanges EffectQueue::take_changes(std::size_t records_max) {
  HOLDFAST_ASSERT(taken_ == durable_, "one transaction at a time: they are durable in their order");
  StoreChanges changes;
  for (; records_max > 0 && !pending_.empty(); --records_max) {
    StoreChanges& first = pending_.front();
    changes.insert(changes.end(), std::make_move_iterator(first.begin()),
                   std::make_move_iterator(first.end()));
    pending_.pop_front();
    ++taken_;
  }
  return changes;
}

void EffectQueue::written() {
  durable_ = taken_;
  for (auto* records : {&of_session_, &welcomes_})
    std::erase_if(*records, [this](const auto& entry) { return entry.second <= durable_; });
  while (!waiting_.empty() && waiting_.begin()->first <= durable_) {
    auto& effects = waiting_.begin()->second;
    ready_.insert(ready_.end(), std::make_move_iterator(effects.begin()),
                  std::make_move_iterator(effects.end()));
    waiting_.erase(waiting_.begin());
  }
}

std::size_t EffectQueue::waiting() const {
  std::size_t count = ready_.size();
  for (const auto& [record, effects] : waiting_)
    count += effects.size();
  return count;
}

}  // namespace holdfast::lockd
