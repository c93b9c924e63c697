#include "lockd/store/etcd/leadership.h"

#include "holdfast/base/log.h"
#include "lockd/store/etcd/failure.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace holdfast::lockd {
namespace {

using std::chrono::milliseconds;
namespace pb = etcdserverpb;

// For clocks that run at speeds up to 1 % apart, on both sides, and for what lies between looking
// at the time and acting.
Duration margin(milliseconds ttl) {
  return Duration(ttl) / 50 + milliseconds(200);
}

constexpr int kBeatsPerTtl = 4;
constexpr int kRetriesPerTtl = 20;

void add_range(pb::TxnRequest& request, bool success, const std::string& key) {
  auto* op = success ? request.add_success() : request.add_failure();
  op->mutable_request_range()->set_key(key);
}

const pb::KeyValue* only(const pb::TxnResponse& response, int at) {
  if (response.responses_size() <= at) return nullptr;
  const auto& range = response.responses(at).response_range();
  return range.kvs_size() == 0 ? nullptr : &range.kvs(0);
}

}  // namespace

Leadership::Leadership(const EtcdOptions& options, EtcdKeys keys, EtcdIdentity identity,
                       std::function<void(std::string)> on_lost)
    : options_(options),
      keys_(std::move(keys)),
      identity_(std::move(identity)),
      on_lost_(std::move(on_lost)) {
  const EtcdLeader mine{.process = identity_.process,
                        .life = identity_.life,
                        .name = identity_.name,
                        .ttl = options_.leader_ttl};
  value_ = encode(keys_.leader(), mine);
}

Leadership::~Leadership() {
  stop_.release();
  if (beating_.joinable()) beating_.join();
}

Leadership::Look Leadership::campaign(EtcdClient& client) {
  pb::TxnRequest look;  // without conditions: a linearizable read of both
  add_range(look, true, keys_.leader());
  add_range(look, true, keys_.meta());
  const auto answer = client.txn(look, options_.leader_ttl);
  const Instant now = boot_time_now();  // after what was seen: a later start of the wait
  if (!answer) {
    if (answer.error().kind != EtcdError::Kind::kUnreachable) {
      return etcd_refused(options_.location, answer.error());
    }
    return Waits{"etcd does not answer", answer.error().text};
  }
  const pb::KeyValue* key = only(*answer, 0);
  if (const pb::KeyValue* meta_key = only(*answer, 1)) {
    const auto meta = decode_meta(meta_key->key(), meta_key->value());
    if (!meta) {
      return etcd_damaged(options_.location, fmt::format("the value of {} does not match its "
                                                         "checksum, or is somebody else's",
                                                         meta_key->key()));
    }
    if (meta->format > kEtcdFormat) return etcd_newer(options_.location, meta->format);
  } else if (key == nullptr) {
    return take_over(client, std::nullopt);  // nothing has ever been here
  }
  std::string who = "one whose key somebody removed";
  milliseconds ttl = options_.leader_ttl;
  if (key != nullptr) {
    const auto leader = decode_leader(key->key(), key->value());
    if (!leader) {
      return etcd_damaged(options_.location, fmt::format("the value of {} does not match its "
                                                         "checksum, or is somebody else's",
                                                         key->key()));
    }
    who = leader->name;
    ttl = leader->ttl;
    // An earlier life of this process has ended, or this one would not be.
    if (leader->resigned || leader->process == identity_.process) {
      return take_over(client, key->mod_revision());
    }
  }
  const std::int64_t put = key == nullptr ? 0 : key->mod_revision();
  if (seen_ != put) {
    seen_ = put;
    seen_at_ = now;
  }
  if (now - seen_at_ < ttl) return Waits{fmt::format("the active one is {}", who), {}};
  return take_over(client, put == 0 ? std::nullopt : std::optional(put));
}

Leadership::Look Leadership::take_over(EtcdClient& client, std::optional<std::int64_t> seen) {
  pb::TxnRequest request;
  auto& compare = *request.add_compare();
  compare.set_key(keys_.leader());
  if (seen) {
    compare.set_target(pb::Compare::MOD);
    compare.set_mod_revision(*seen);
  } else {
    compare.set_target(pb::Compare::CREATE);
    compare.set_create_revision(0);
  }
  auto& put = *request.add_success()->mutable_request_put();
  put.set_key(keys_.leader());
  put.set_value(value_);
  add_range(request, false, keys_.leader());
  const Instant sent = boot_time_now();
  const auto answer = client.txn(request, options_.leader_ttl);
  if (!answer) {
    if (answer.error().kind != EtcdError::Kind::kUnreachable) {
      return etcd_refused(options_.location, answer.error());
    }
    return Waits{"etcd does not answer", answer.error().text};
  }
  // It may have been carried out twice (EtcdClient): then the second time our own value is there.
  const pb::KeyValue* there = answer->succeeded() ? nullptr : only(*answer, 0);
  if (!answer->succeeded() && (there == nullptr || there->value() != value_)) {
    return Waits{"another one was faster", {}};
  }
  led_since(sent);
  beating_ = std::thread([this] { beat(); });
  return Leads{};
}

void Leadership::led_since(Instant sent) {
  sent_ = sent;
  const Instant until = sent + options_.leader_ttl - margin(options_.leader_ttl);
  authority_.store(until.time_since_epoch().count(), std::memory_order_release);
  // lose() may have come in between; it is final.
  if (lost()) authority_.store(0, std::memory_order_release);
}

void Leadership::guard(pb::TxnRequest& request) const {
  auto& compare = *request.add_compare();
  compare.set_key(keys_.leader());
  compare.set_target(pb::Compare::VALUE);
  compare.set_value(value_);
}

pb::TxnRequest Leadership::put_again() const {
  pb::TxnRequest request;
  guard(request);
  auto& put = *request.add_success()->mutable_request_put();
  put.set_key(keys_.leader());
  put.set_value(value_);
  return request;
}

void Leadership::beat() {
  EtcdClient client(options_);
  const pb::TxnRequest request = put_again();
  bool answered = true;
  Duration pause = Duration(options_.leader_ttl) / kBeatsPerTtl;
  while (!stop_.try_acquire_for(pause)) {
    const Instant now = boot_time_now();
    // Leadership that lapsed is not taken up again, though nobody may have taken it: mounts could
    // not renew meanwhile. A new life gives them the time to come back.
    if (now - sent_ >= options_.leader_ttl) {
      return lose(fmt::format("no answer from etcd for {} ms, or this lockd stood still",
                              options_.leader_ttl.count()));
    }
    const auto answer = client.txn(request, options_.leader_ttl / 3);
    if (!answer) {
      if (std::exchange(answered, false)) {
        log::warn("leader.unanswered", "error=\"{}\"", answer.error().text);
      }
      pause = Duration(options_.leader_ttl) / kRetriesPerTtl;
      continue;
    }
    if (!answer->succeeded()) return lose("another one took over");
    answered = true;
    led_since(now);
    pause = Duration(options_.leader_ttl) / kBeatsPerTtl;
    compact(client, answer->header().revision(), now);
  }
}

// etcd keeps every version of every key until somebody compacts; by default nobody does.
void Leadership::compact(EtcdClient& client, std::int64_t revision, Instant now) {
  if (options_.compact_every.count() == 0) return;
  if (compact_to_ && now < compact_at_) return;
  if (compact_to_) {
    const auto done = client.compact(*compact_to_, options_.leader_ttl / kBeatsPerTtl);
    if (!done) log::debug("etcd.not_compacted", "error=\"{}\"", done.error().text);
  }
  compact_to_ = revision;
  compact_at_ = now + options_.compact_every;
}

void Leadership::lose(const std::string& why) {
  if (lost_.exchange(true, std::memory_order_acq_rel)) return;
  authority_.store(0, std::memory_order_release);
  on_lost_(why);
}

void Leadership::resign(EtcdClient& client) {
  if (!beating_.joinable()) return;
  stop_.release();
  beating_.join();
  if (lost_.exchange(true, std::memory_order_acq_rel)) return;
  authority_.store(0, std::memory_order_release);
  EtcdLeader gone{.process = identity_.process,
                  .life = identity_.life,
                  .name = identity_.name,
                  .ttl = options_.leader_ttl,
                  .resigned = true};
  pb::TxnRequest request;
  guard(request);
  auto& put = *request.add_success()->mutable_request_put();
  put.set_key(keys_.leader());
  put.set_value(encode(keys_.leader(), gone));
  const auto answer = client.txn(request, options_.leader_ttl / 2);
  if (!answer) log::info("leader.not_resigned", "error=\"{}\"", answer.error().text);
}

}  // namespace holdfast::lockd
