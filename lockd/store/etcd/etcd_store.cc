#include "lockd/store/etcd/etcd_store.h"

#include "holdfast/base/assert.h"
#include "holdfast/base/log.h"
#include "lockd/store/etcd/batch.h"
#include "lockd/store/etcd/contents_read.h"
#include "lockd/store/etcd/failure.h"
#include "lockd/store/etcd/leadership.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::lockd {
namespace {

using std::chrono::milliseconds;
namespace pb = etcdserverpb;

constexpr int kLooksPerTtl = 12;
constexpr milliseconds kLookMax{250};
constexpr milliseconds kWriteMax{3'000};

asio::awaitable<void> sleep(asio::any_io_executor executor, Duration duration) {
  asio::steady_timer timer(executor, duration);
  co_await timer.async_wait(asio::use_awaitable);  // throws when cancelled
}

void add_put(pb::TxnRequest& request, const std::string& key, const std::string& value) {
  auto& put = *request.add_success()->mutable_request_put();
  put.set_key(key);
  put.set_value(value);
}

}  // namespace

/// What the threads share. The loop's calls end before it is destroyed (asio::thread_pool::join).
struct EtcdStore::Worker {
  EtcdOptions options;
  EtcdKeys keys;
  std::uint64_t wall_seconds;
  asio::thread_pool thread{1};
  // On `thread` only.
  EtcdClient client;
  EtcdState state;
  std::string meta_value;  // as it is in etcd
  milliseconds lease_ttl{0};
  // A transaction whose outcome is not known: it comes before any other. `meta_next` is the meta
  // that it puts.
  std::optional<pb::TxnRequest> unsettled;
  std::string meta_next;
  Leadership leadership;  // last: its thread uses the above, and ends first

  Worker(EtcdOptions from, std::uint64_t seconds, EtcdIdentity identity,
         std::function<void(std::string)> on_lost)
      : options(std::move(from)),
        keys(options.location.prefix),
        wall_seconds(seconds),
        client(options),
        leadership(options, keys, std::move(identity), std::move(on_lost)) {}

  enum class Wrote { kDurable, kLost };
  using Outcome = boost::system::result<Wrote, EtcdError>;
  using Began = std::variant<Recovered, EtcdError, wire::StartFailure>;

  Began begin_life();
  Outcome write(const StoreChanges& changes);
  Outcome settle();
  pb::TxnRequest guarded() const;
};

// Each transaction puts a meta of its own, and only in the place of the one before: so a message
// that etcd gets twice, or late, changes nothing.
pb::TxnRequest EtcdStore::Worker::guarded() const {
  pb::TxnRequest request;
  leadership.guard(request);
  auto& compare = *request.add_compare();
  compare.set_key(keys.meta());
  if (meta_value.empty()) {
    compare.set_target(pb::Compare::CREATE);
    compare.set_create_revision(0);
  } else {
    compare.set_target(pb::Compare::VALUE);
    compare.set_value(meta_value);
  }
  request.add_failure()->mutable_request_range()->set_key(keys.leader());
  request.add_failure()->mutable_request_range()->set_key(keys.meta());
  return request;
}

EtcdStore::Worker::Outcome EtcdStore::Worker::settle() {
  if (leadership.lost()) return Wrote::kLost;
  const auto answer = client.txn(*unsettled, kWriteMax);
  if (!answer) return answer.error();
  if (!answer->succeeded()) {
    const auto value = [&](int at) {
      if (answer->responses_size() <= at) return std::string();
      const auto& range = answer->responses(at).response_range();
      return range.kvs_size() == 0 ? std::string() : range.kvs(0).value();
    };
    if (value(0) != leadership.value()) {
      leadership.lose("another one took over");
      return Wrote::kLost;
    }
    if (value(1) != meta_next) {
      log::error("store.changed",
                 "store={} meaning=\"somebody else writes to keys below the prefix\"",
                 options.location.text);
      leadership.lose("somebody else changed the store");
      return Wrote::kLost;
    }
  }
  meta_value = meta_next;
  unsettled.reset();
  return Wrote::kDurable;
}

EtcdStore::Worker::Began EtcdStore::Worker::begin_life() {
  auto read = read_all(client, keys, options.location, options.leader_ttl);
  if (const auto* error = std::get_if<EtcdError>(&read)) return *error;
  if (const auto* failure = std::get_if<wire::StartFailure>(&read)) return *failure;
  auto& found = std::get<EtcdFound>(read);
  state = std::move(found.state);
  meta_value = found.meta_value.value_or("");
  state.contents.begin_life(wall_seconds, lease_ttl);
  state.meta.epoch = state.contents.epoch;
  state.meta.empty = state.contents.empty;
  state.meta.lease_ttl_max = state.contents.lease_ttl_max;
  state.meta.writes = 0;
  unsettled = guarded();
  meta_next = encode(keys.meta(), state.meta);
  add_put(*unsettled, keys.meta(), meta_next);
  for (;;) {
    const Outcome done = settle();
    if (done && *done == Wrote::kDurable) return state.contents.recovered();
    if (done) return EtcdError{.kind = EtcdError::Kind::kUnreachable, .text = "leads no more"};
    if (done.error().kind != EtcdError::Kind::kUnreachable) return done.error();
  }
}

EtcdStore::Worker::Outcome EtcdStore::Worker::write(const StoreChanges& changes) {
  if (unsettled) {
    const Outcome done = settle();
    if (!done || *done == Wrote::kLost) return done;
  }
  for (std::size_t from = 0; from < changes.size();) {
    EtcdBatch batch(keys, state, changes, from, lease_ttl);
    unsettled = guarded();
    meta_next = encode(keys.meta(), state.meta);
    batch.move_to(*unsettled);
    add_put(*unsettled, keys.meta(), meta_next);
    const Outcome done = settle();
    if (!done || *done == Wrote::kLost) return done;
  }
  return Wrote::kDurable;
}

// ---- The loop's side

namespace {

template <class Work>
asio::awaitable<std::invoke_result_t<Work>> perform(Work work) {
  co_return work();
}

}  // namespace

EtcdStore::EtcdStore(asio::any_io_executor executor, EtcdOptions options,
                     std::uint64_t wall_seconds, EtcdIdentity identity, EtcdEvents events)
    : executor_(executor), events_(std::move(events)) {
  auto posted = [executor, lost = events_.lost](std::string why) {
    asio::post(executor, [lost, why = std::move(why)] { lost(why); });
  };
  worker_ = std::make_unique<Worker>(std::move(options), wall_seconds, std::move(identity),
                                     std::move(posted));
}

EtcdStore::~EtcdStore() {
  worker_->thread.join();
}

asio::awaitable<Store::Opened> EtcdStore::open(milliseconds lease_ttl) {
  Worker& worker = *worker_;
  worker.lease_ttl = lease_ttl;
  const Duration pause =
      std::min<Duration>(Duration(worker.options.leader_ttl) / kLooksPerTtl, kLookMax);
  std::string waits_for;
  for (;;) {
    auto looking = perform([&worker] { return worker.leadership.campaign(worker.client); });
    const auto look =
        co_await asio::co_spawn(worker.thread, std::move(looking), asio::use_awaitable);
    if (const auto* failure = std::get_if<wire::StartFailure>(&look)) co_return *failure;
    if (std::holds_alternative<Leadership::Leads>(look)) break;
    const auto& [why, detail] = std::get<Leadership::Waits>(look);
    if (why != waits_for) {
      log::info("lockd.standby", "store={} reason=\"{}\"{}", worker.options.location.text, why,
                detail.empty() ? "" : fmt::format(" detail=\"{}\"", detail));
      waits_for = why;
      events_.waits(why);
    }
    co_await sleep(executor_, pause);
  }
  for (;;) {
    auto beginning = perform([&worker] { return worker.begin_life(); });
    auto began = co_await asio::co_spawn(worker.thread, std::move(beginning), asio::use_awaitable);
    if (auto* recovered = std::get_if<Recovered>(&began)) {
      events_.leads();
      co_return std::move(*recovered);
    }
    std::optional<wire::StartFailure> failure;
    if (const auto* refused = std::get_if<wire::StartFailure>(&began)) failure = *refused;
    const auto* error = std::get_if<EtcdError>(&began);
    const bool again = error != nullptr && error->kind == EtcdError::Kind::kUnreachable;
    if (error != nullptr && !again) failure = etcd_refused(worker.options.location, *error);
    if (failure) {
      co_await close();
      co_return *std::move(failure);
    }
    co_await sleep(executor_, pause);
  }
}

asio::awaitable<Result<void>> EtcdStore::write(StoreChanges changes) {
  Worker& worker = *worker_;
  auto kept = std::make_shared<const StoreChanges>(std::move(changes));
  auto writing = perform([&worker, kept] { return worker.write(*kept); });
  const auto outcome =
      co_await asio::co_spawn(worker.thread, std::move(writing), asio::use_awaitable);
  if (!outcome) {
    log::warn("store.write_failed", "store={} error=\"{}\"", worker.options.location.text,
              outcome.error().text);
    co_return errno_code(errno_of(outcome.error()));
  }
  // The owner has been told and ends the server. Repeating would help nobody.
  while (*outcome == Worker::Wrote::kLost)
    co_await sleep(executor_, std::chrono::hours(1));
  co_return boost::system::in_place_value;
}

Instant EtcdStore::authority_until() const {
  return worker_->leadership.authority_until();
}

asio::awaitable<void> EtcdStore::close() {
  Worker& worker = *worker_;
  auto closing = perform([&worker] { return worker.leadership.resign(worker.client), 0; });
  co_await asio::co_spawn(worker.thread, std::move(closing), asio::use_awaitable);
}

wire::Started EtcdStore::create_settled(const EtcdOptions& options) {
  const EtcdKeys keys(options.location.prefix);
  EtcdClient client(options);
  EtcdMeta meta;
  meta.empty = false;
  pb::RangeRequest all;
  all.set_key(keys.prefix());
  all.set_range_end(keys.end());
  all.set_limit(1);
  pb::TxnRequest request;
  auto& compare = *request.add_compare();
  compare.set_key(keys.meta());
  compare.set_target(pb::Compare::CREATE);
  compare.set_create_revision(0);
  add_put(request, keys.meta(), encode(keys.meta(), meta));
  // Nobody leads: the first one need not wait for somebody who might.
  const EtcdLeader nobody{.process = "--new-volume",
                          .life = 0,
                          .name = "",
                          .ttl = options.leader_ttl,
                          .resigned = true};
  add_put(request, keys.leader(), encode(keys.leader(), nobody));
  const auto there = client.range(all, kWriteMax);
  if (!there) return etcd_refused(options.location, there.error());
  const auto answer = there->kvs_size() > 0 ? EtcdClient::Answer<pb::TxnResponse>(pb::TxnResponse())
                                            : client.txn(request, kWriteMax);
  if (!answer) return etcd_refused(options.location, answer.error());
  if (answer->succeeded()) return boost::system::in_place_value;
  return wire::StartFailure{
      .code = errno_code(EEXIST),
      .what = fmt::format("cannot use the store {}: something is there", options.location.text),
      .hint =
          "there is a store already, so locks may have been promised on its word: start "
          "without --new-volume"};
}

EtcdIdentity fresh_etcd_identity() {
  std::uint64_t words[2] = {};
  HOLDFAST_ASSERT(::getrandom(words, sizeof words, 0) == sizeof words,
                  "the kernel has no random numbers");
  char host[256] = "?";
  ::gethostname(host, sizeof host - 1);
  EtcdIdentity out;
  out.process = fmt::format("{:016x}{:016x}", words[0], words[1]);
  out.name = fmt::format("{}:{}", host, ::getpid());
  return out;
}

}  // namespace holdfast::lockd
