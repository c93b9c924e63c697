// The connection's life: connect, converse, back off; start and stop.
#include "fs/lock/lock_client.h"
#include "holdfast/base/assert.h"
#include "holdfast/base/log.h"
#include "holdfast/wire/errc.h"
#include "holdfast/wire/tls.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

// Timers count CLOCK_MONOTONIC, the lease CLOCK_BOOTTIME: short sleeps notice a suspend. Whoever
// asks entitled() reads the clock itself.
constexpr std::chrono::milliseconds kSleepMax{100};
constexpr std::chrono::milliseconds kSleepMin{1};
constexpr std::chrono::milliseconds kGoodbyePoll{5};
constexpr std::chrono::milliseconds kGoodbyeMax{1'000};
constexpr std::chrono::milliseconds kReplicaPatience{1'500};
// How long start() waits for one of the standbys to become the active one, at least.
constexpr std::chrono::seconds kStandbyPatience{15};
constexpr std::chrono::milliseconds kStandbyBackoffMax{1'000};

asio::awaitable<void> sleep(asio::any_io_executor executor, std::chrono::nanoseconds duration) {
  asio::steady_timer timer(executor, duration);
  ErrorCode woken;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

asio::awaitable<void> run_writer(std::shared_ptr<wire::Connection> connection) {
  co_await connection->write_loop();
}

Hello hello_of(const LockClientOptions& options) {
  Hello hello;
  hello.volume = options.volume;
  hello.volume_name = options.volume_name.substr(0, wire::kTextSizeMax);
  hello.node = options.node.substr(0, wire::kTextSizeMax);
  hello.mountpoint = options.mountpoint.substr(0, wire::kTextSizeMax);
  hello.pid = options.pid;
  hello.write_life = options.write_life;
  hello.tells_who = true;
  return hello;
}

// A replica that does not answer must not keep us from the one that would.
ClientCore::Limits limits_of(const LockClientOptions& options) {
  ClientCore::Limits limits;
  limits.tokens = options.tokens;
  if (options.addresses.size() > 1) limits.hello_timeout = kReplicaPatience;
  return limits;
}

std::string hint_for(const ErrorCode& error) {
  const auto hint = wire::credentials_hint(error);
  return std::string(
      hint.empty() ? "is holdfast-lockd running there, and its port open to this node?" : hint);
}

}  // namespace

LockClient::LockClient(asio::any_io_executor executor, LockClientOptions options)
    : executor_(executor),
      options_(std::move(options)),
      core_(hello_of(options_), limits_of(options_)),
      sent_counts_(options_.counters),
      lease_counts_(options_.counters),
      group_(executor),
      entitled_(executor),
      attempted_(executor),
      backoff_(options_.backoff_min),
      jitter_(std::random_device{}()) {
  HOLDFAST_ASSERT(!options_.addresses.empty(), "a lock client has an address to connect to");
}

LockClient::~LockClient() = default;

asio::awaitable<wire::Started> LockClient::start() {
  group_.spawn("lockd.run", run());
  group_.spawn("lockd.time", time_loop());
  const auto begun = std::chrono::steady_clock::now();
  std::string told;
  while (!entitled()) {
    co_await attempted_.wait();
    attempted_.clear();
    if (entitled()) break;
    auto failure = start_failure();
    if (!failure) continue;
    const auto errc = core_.refusal() ? core_.refusal()->errc : LockErrc::kBadRequest;
    const bool starting = !unreachable_ && errc == LockErrc::kStarting;
    // One that cannot be reached beside one that is a standby: in the middle of a fail-over.
    const bool standby = errc == LockErrc::kStandby;
    const auto patience = standby ? std::max<Duration>(options_.start_patience, kStandbyPatience)
                                  : Duration(options_.start_patience);
    const bool patient =
        (unreachable_ || standby) && std::chrono::steady_clock::now() - begun < patience;
    if (!starting && !patient) {
      co_await shut_down();
      co_return *std::move(failure);
    }
    const std::string line = starting ? failure->what : failure->what + "; trying again";
    if (line != told && options_.on_progress) options_.on_progress(line);
    told = line;
  }
  co_return boost::system::in_place_value;
}

std::optional<wire::StartFailure> LockClient::start_failure() const {
  const bool standby = core_.refusal() && core_.refusal()->errc == LockErrc::kStandby;
  if (unreachable_ && !standby) {
    return wire::StartFailure{
        .code = *unreachable_,
        .what = fmt::format("cannot reach lockd at {}: {}", where(), unreachable_->message()),
        .hint = hint_for(*unreachable_)};
  }
  if (!core_.refusal()) {
    if (!strange_answer_) return std::nullopt;
    return wire::StartFailure{.code = make_error_code(wire::WireErrc::kClosed),
                              .what = fmt::format("{} does not answer as lockd does", where()),
                              .hint = "is that the port of holdfast-lockd?"};
  }
  const HelloRefused& refusal = *core_.refusal();
  wire::StartFailure failure{.code = make_error_code(refusal.errc), .what = {}, .hint = {}};
  const std::string reason =
      refusal.reason.empty() ? make_error_code(refusal.errc).message() : refusal.reason;
  if (refusal.errc == LockErrc::kStarting) {
    failure.what =
        fmt::format("lockd at {} has just started; waiting until earlier leases ended", where());
  } else if (refusal.errc == LockErrc::kVersionMismatch) {
    failure.what = fmt::format("lockd at {} speaks another protocol version: {}", where(), reason);
    failure.hint = "upgrade the older of the two";
  } else if (refusal.errc == LockErrc::kStandby) {
    failure.what = fmt::format("no lockd at {} is the active one", where());
    failure.hint = "are all replicas named, and is their store reachable?";
  } else if (refusal.errc == LockErrc::kStaleLockd) {
    failure.what = fmt::format(
        "lockd at {} serves nobody: mounts have seen a later life of it than its store knows",
        where());
    failure.hint = "was an old store put back, or does a former lockd still run? see its log";
  } else if (refusal.errc == LockErrc::kAccessDenied) {
    failure.what = fmt::format("lockd at {} does not let this mount in: {}", where(), reason);
    failure.hint =
        "the CA certificate belongs into /etc/holdfast/ca.pem (or -o tls_ca=FILE), the token into "
        "/etc/holdfast/token (or -o token_file=FILE); 'holdfast-lockd access' makes and lists "
        "tokens";
  } else if (refusal.limit) {
    failure.what = fmt::format("lockd at {} refused this mount: {}", where(), reason);
    failure.hint = fmt::format(
        "'holdfast sessions' where lockd runs says which mounts there are; if that many are meant, "
        "holdfast-lockd --limit {}=NUMBER allows more",
        name_of(set_by(refusal.limit->limit)));
  } else {
    failure.what = fmt::format("lockd at {} refused this mount: {}", where(), reason);
    failure.hint = "see the log of holdfast-lockd";
  }
  return failure;
}

asio::awaitable<void> LockClient::stop() {
  stopping_ = true;  // no new calls, no reconnect
  perform(core_.goodbye());
  if (connection_) {
    const auto connection = connection_;
    connection->close_after_writing();
    const auto until = std::chrono::steady_clock::now() + kGoodbyeMax;
    while (!connection->closed() && std::chrono::steady_clock::now() < until) {
      co_await sleep(executor_, kGoodbyePoll);
    }
  }
  co_await shut_down();
}

asio::awaitable<void> LockClient::shut_down() {
  stopping_ = true;
  if (connection_) connection_->close();
  group_.cancel();
  co_await group_.join();
  connection_.reset();
}

asio::awaitable<void> LockClient::run() {
  while (!stopping_) {
    wire::StreamOptions stream_options;
    stream_options.tls = options_.credentials.tls;
    // Certificates may have been renewed. Those of before do as long as they can.
    if (stream_options.tls) static_cast<void>(stream_options.tls->reload());
    auto timeout = options_.connect_timeout;
    if (options_.addresses.size() > 1) timeout = std::min(timeout, kReplicaPatience);
    auto stream = co_await wire::connect(address(), stream_options, timeout);
    auto token = stream ? wire::token_over(**stream, options_.credentials)
                        : Result<std::string>(stream.error());
    if (token) {
      unreachable_.reset();
      co_await converse(*std::move(stream), *std::move(token));
    } else {
      unreachable(token.error());
    }
    const auto dropped = std::exchange(dropped_, std::nullopt);
    if (next_address_at_once(dropped)) continue;
    attempted_.set();
    co_await back_off(dropped);
  }
}

// A connection that broke is tried again where it was; an address that does not answer, or not as
// the active lockd does, is left for the next one. One round over all of them, then a pause.
bool LockClient::next_address_at_once(const std::optional<DropConnection>& dropped) {
  using Why = DropConnection::Why;
  const bool broke = welcomed_ && !dropped;
  const bool stay =
      broke || (dropped && (dropped->why == Why::kLost || dropped->delay.count() > 0));
  welcomed_ = false;
  if (stay) {
    addresses_tried_ = 0;
    return false;
  }
  address_ = (address_ + 1) % options_.addresses.size();
  if (++addresses_tried_ < options_.addresses.size()) return true;
  addresses_tried_ = 0;
  return false;
}

std::string LockClient::where() const {
  std::string all;
  for (const wire::Address& one : options_.addresses)
    all += (all.empty() ? "" : ", ") + wire::to_string(one);
  return all;
}

void LockClient::break_connection_for_test() {
  if (connection_) connection_->close();
}

void LockClient::unreachable(ErrorCode error) {
  unreachable_ = error;
  // The 1st, 2nd, 4th, 8th ... time: an outage of hours is a few lines.
  if (std::has_single_bit(++failures_)) {
    log::warn("lockd.unreachable", "lockd={} error=\"{}\" attempts={}", wire::to_string(address()),
              error.message(), failures_);
  }
}

asio::awaitable<void> LockClient::converse(std::unique_ptr<wire::Stream> stream,
                                           std::string token) {
  lease_counts_.connected();
  const auto connection = std::make_shared<wire::Connection>(executor_, std::move(stream), codec_,
                                                             wire::ConnectionLimits{});
  connection_ = connection;
  group_.spawn("lockd.write", run_writer(connection));
  perform(core_.connected(boot_time_now(), std::move(token)));
  ErrorCode ended;
  while (!ended && !connection->closed()) {
    const auto filled = co_await connection->fill();
    if (!filled) ended = filled.error();
    while (!ended && !connection->closed()) {
      const auto message = connection->next_server_message();
      if (!message) ended = message.error();
      if (!message || !*message) break;
      const bool told_all = !core_.has_more_to_say();
      perform(core_.received(**message, boot_time_now()));
      if (told_all && core_.has_more_to_say()) {
        group_.spawn("lockd.reclaim", tell_all(connection));
      }
      // Welcomed: the next failure starts a new count. Refused, the lease may run all the same.
      if (entitled() && !dropped_) {
        attempted_.set();
        welcomed_ = true;
        failures_ = refusals_ = 0;
        addresses_tried_ = 0;
        backoff_ = options_.backoff_min;
      }
    }
  }
  connection->close();
  connection_.reset();
  core_.disconnected();
  strange_answer_ = !session_ && !core_.refusal();
  // With TLS 1.3 the other end says only now what it thinks of our certificate.
  if (wire::is_tls_error(ended)) unreachable(ended);
  log::info("lockd.disconnected", "lockd={} reason=\"{}\"", wire::to_string(address()),
            ended.message());
}

// A reclaim can be larger than what may be queued.
asio::awaitable<void> LockClient::tell_all(std::shared_ptr<wire::Connection> connection) {
  while (connection == connection_ && !connection->closed() && core_.has_more_to_say()) {
    co_await connection->wait_writable();
    if (connection == connection_ && !connection->closed()) perform(core_.writable());
  }
}

asio::awaitable<void> LockClient::back_off(std::optional<DropConnection> dropped) {
  if (dropped && dropped->why == DropConnection::Why::kLost) co_return;  // once per lost session
  if (dropped && dropped->delay > Duration::zero()) {
    co_await sleep(executor_, dropped->delay);
    co_return;
  }
  // Half to all of it: mounts that lost lockd together come back apart.
  const double share = std::uniform_real_distribution<double>(0.5, 1.0)(jitter_);
  const auto delay = std::chrono::duration_cast<std::chrono::nanoseconds>(backoff_ * share);
  // All are standbys or silent: one of them is about to take over.
  const bool standby = core_.refusal() && core_.refusal()->errc == LockErrc::kStandby;
  backoff_ = std::min(backoff_ * 2, standby ? kStandbyBackoffMax : options_.backoff_max);
  co_await sleep(executor_, delay);
}

asio::awaitable<void> LockClient::time_loop() {
  for (;;) {
    const Instant now = boot_time_now();
    perform(core_.tick(now));
    tell_state();
    const Instant next = core_.next_deadline();
    std::chrono::nanoseconds wait = kSleepMax;
    if (next < now + wait) wait = std::max<std::chrono::nanoseconds>(next - now, kSleepMin);
    co_await sleep(executor_, wait);
  }
}

}  // namespace holdfast::fs
