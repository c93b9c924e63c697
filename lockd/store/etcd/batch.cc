#include "lockd/store/etcd/batch.h"

#include <utility>

namespace holdfast::lockd {
namespace {

// etcd's defaults are 128 operations and 1.5 MiB; a change is at most two operations, and the
// caller adds some of its own.
constexpr std::size_t kOperationsMax = 100;
constexpr std::size_t kBytesMax = 1U << 20;
constexpr std::size_t kRecordBytesMax = 64U
                                        << 10;  // four names of at most 4096 bytes, and the rest

// What is stored of one session before and after a change, for the count and the digest.
void note(EtcdMeta& meta, const std::string& value, bool present) {
  meta.rows += present ? 1 : std::uint64_t(-1);
  meta.digest ^= sum_of(value);
}

const SessionRecord* find(const Contents& contents, SessionId id) {
  const auto found = contents.sessions.find(id);
  return found == contents.sessions.end() ? nullptr : &found->second;
}

}  // namespace

EtcdBatch::EtcdBatch(const EtcdKeys& keys, EtcdState& state, const StoreChanges& changes,
                     std::size_t& from, std::chrono::milliseconds lease_ttl)
    : keys_(keys), state_(state) {
  for (; from < changes.size() && fits(changes[from]); ++from)
    apply(changes[from], lease_ttl);
  state_.meta.empty = state_.contents.empty;
  state_.meta.lease_ttl_max = state_.contents.lease_ttl_max;
  ++state_.meta.writes;
}

// No key may be put that is in a range deleted by the same transaction.
bool EtcdBatch::fits(const StoreChange& change) const {
  if (puts_.empty() && ranges_.empty()) return true;
  if (puts_.size() + ranges_.size() + 2 > kOperationsMax) return false;
  if (bytes_ + kRecordBytesMax > kBytesMax) return false;
  const auto* loss = std::get_if<PutLoss>(&change);
  return loss == nullptr || !ranges_.contains(keys_.losses(loss->session));
}

void EtcdBatch::apply(const StoreChange& change, std::chrono::milliseconds lease_ttl) {
  Contents& contents = state_.contents;
  EtcdMeta& meta = state_.meta;
  const auto session_of = [](const auto& one) {
    using T = std::decay_t<decltype(one)>;
    if constexpr (std::is_same_v<T, PutSession>) {
      return one.record.session;
    } else if constexpr (std::is_same_v<T, Settled>) {
      return SessionId{};
    } else {
      return one.session;
    }
  };
  const SessionId id = std::visit(session_of, change);
  const std::string key = keys_.session(id);
  const SessionRecord* before = find(contents, id);
  const bool whole = std::holds_alternative<PutSession>(change) ||
                     std::holds_alternative<EndSessionRecord>(change) ||
                     std::holds_alternative<DropSession>(change);
  if (before != nullptr && whole) note(meta, encode(key, *before), false);
  const auto* put_loss = std::get_if<PutLoss>(&change);
  const auto* drop_losses = std::get_if<DropLosses>(&change);
  const bool drops = std::holds_alternative<DropSession>(change);
  bool losses_go = false;
  if (before != nullptr) {
    for (const FileLoss& loss : before->losses) {
      const bool goes = drops || (put_loss != nullptr && put_loss->loss.number == loss.number) ||
                        (drop_losses != nullptr && loss.number <= drop_losses->upto);
      if (!goes) continue;
      note(meta, encode(keys_.loss(id, loss.number), loss), false);
      losses_go = losses_go || put_loss == nullptr;
    }
  }
  const bool known = before != nullptr;
  contents.apply(change, lease_ttl);
  if (losses_go) {
    remove_range(keys_.losses(id), drops ? EtcdKeys::after(keys_.losses(id))
                                         : keys_.loss(id, drop_losses->upto) + '\0');
  }
  if (drops) {
    if (known) remove(key);
    return;
  }
  const SessionRecord* after = find(contents, id);
  if (after == nullptr) return;
  if (whole) {
    std::string value = encode(key, *after);
    note(meta, value, true);
    put(key, std::move(value));
  } else if (put_loss != nullptr) {
    const std::string at = keys_.loss(id, put_loss->loss.number);
    std::string value = encode(at, put_loss->loss);
    note(meta, value, true);
    put(at, std::move(value));
  }
}

void EtcdBatch::put(const std::string& key, std::string value) {
  ranges_.erase(key);  // a key alone: the put replaces it
  bytes_ += key.size() + value.size();
  puts_[key] = std::move(value);
}

void EtcdBatch::remove(const std::string& key) {
  puts_.erase(key);
  bytes_ += key.size();
  ranges_[key];
}

void EtcdBatch::remove_range(const std::string& from, const std::string& to) {
  puts_.erase(puts_.lower_bound(from), puts_.lower_bound(to));
  bytes_ += from.size() + to.size();
  std::string& end = ranges_[from];
  if (end < to) end = to;
}

void EtcdBatch::move_to(etcdserverpb::TxnRequest& request) {
  for (auto& [key, value] : puts_) {
    auto& put = *request.add_success()->mutable_request_put();
    put.set_key(key);
    put.set_value(std::move(value));
  }
  for (auto& [from, to] : ranges_) {
    auto& gone = *request.add_success()->mutable_request_delete_range();
    gone.set_key(from);
    if (!to.empty()) gone.set_range_end(std::move(to));
  }
  puts_.clear();
  ranges_.clear();
}

}  // namespace holdfast::lockd
