// What the coordinator wants done: messages, records, fence commands.
#include "holdfast/base/assert.h"
#include "holdfast/base/log.h"
#include "holdfast/wire/errc.h"
#include "lockd/server/peer.h"
#include "lockd/server/server.h"

#include <cerrno>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::lockd {
namespace {

using std::chrono::milliseconds;
using wire::WireErrc;

constexpr milliseconds kStoreRetry{1'000};
constexpr std::size_t kFencesMax = 16;  // commands at a time; the others wait
constexpr milliseconds kFenceTurn{50};

asio::awaitable<void> sleep(asio::any_io_executor executor, milliseconds duration) {
  asio::steady_timer timer(executor, duration);
  ErrorCode woken;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

const char* what_to_do(int number) {
  switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return "free some space where the store lies; nothing is lost, mounts that are connected go "
             "on";
    case EROFS:
    case EACCES:
    case EPERM:
      return "make the store's storage writable again; mounts that are connected go on";
    case EHOSTUNREACH:
      return "see whether etcd runs and has a quorum; without it this lockd stops acting";
    default:
      return "repair the store's storage (see the kernel's log); mounts that are connected go on, "
             "but none is welcomed and nothing is given away";
  }
}

}  // namespace

// An answer to a renewal overtakes: it promises nothing that the store must know (the longest lease
// was recorded before anybody was welcomed), and mounts must live through a slow or failing disk.
void Server::perform(Effects effects) {
  std::erase_if(effects, [this](const Effect& effect) {
    const auto* send = std::get_if<Send>(&effect);
    if (send == nullptr || !std::holds_alternative<Renewed>(send->message)) return false;
    perform(*send);
    return true;
  });
  note_limits();
  queue_.add(std::move(effects));
  if (queue_.has_changes()) records_.set();
  perform_ready();
}

void Server::perform_ready() {
  if (performing_) return;  // from within perform(): the loop below goes on with it
  struct Performing {
    bool& flag;
    explicit Performing(bool& of) : flag(of) { flag = true; }
    ~Performing() { flag = false; }
  } const performing(performing_);
  while (const auto effect = queue_.next())
    std::visit([this](const auto& one) { perform(one); }, *effect);
}

// The mount is told too. Compared with what has been said, not told by the core: it has no words
// for logs.
void Server::note_limits() {
  const LimitHits& hits = coordinator_->probe().limit_hits;
  if (hits.total() == limits_said_.total()) return;
  for (std::size_t i = 0; i < kLimits; ++i) {
    const auto limit = static_cast<Limit>(i);
    const LimitHits::Hits& now = hits.of(limit);
    const std::uint64_t times = now.count - limits_said_.of(limit).count;
    if (times == 0 || !refusals_.allow()) continue;
    log::warn("limit.refused",
              "limit={} max={} session={} error=\"{}\" times={} hint=\"see what that session, or "
              "volume, is about ('holdfast sessions', 'holdfast locks'); if that much is meant: "
              "--limit {}=NUMBER\" unlogged={}",
              name_of(limit), value_of(limit, options_.coordinator.limits),
              now.last == SessionId{} ? "none" : printable(now.last),
              make_error_code(errc_of(limit)).message(), times, name_of(set_by(limit)),
              refusals_.dropped());
  }
  limits_said_ = hits;
}

void Server::perform(const SendReply& effect) {
  send(effect.session, ServerMessage(effect.reply));
}

void Server::perform(const Send& effect) {
  send(effect.session, effect.message);
}

// Nobody connected: the coordinator keeps what matters until the mount is back.
void Server::send(SessionId session, const ServerMessage& message) {
  const auto found = by_session_.find(session);
  if (found == by_session_.end()) return;
  wire::Connection& connection = *found->second->connection;
  const auto sent = connection.send(message);
  if (sent || sent.error() != WireErrc::kQueueFull) return;
  ++probe_.slow_readers;
  if (refusals_.allow()) {
    log::warn("lockd.slow_reader", "peer={} session={} unlogged={}", connection.peer(),
              printable(session), refusals_.dropped());
  }
  connection.close();
}

void Server::perform(const Greet& effect) {
  const auto found = greeting_.find(effect.connection);
  if (found == greeting_.end()) return;  // it hung up meanwhile
  const PeerPtr peer = found->second;
  greeting_.erase(found);
  if (const auto* refused = std::get_if<HelloRefused>(&effect.answer)) {
    if (refused->errc == LockErrc::kStaleLockd && !std::exchange(said_stale_, true)) {
      log::error("lockd.stale",
                 "peer={} epoch_seen={} epoch={} meaning=\"the store was put back to an earlier "
                 "state, or --new-volume was said of a volume in use; nobody is served\" "
                 "hint=\"put the latest store back; if it is lost, move this one away and start "
                 "again: mounts lose their locks, and new locks wait until old leases are over\"",
                 peer->connection->peer(), peer->hello.epoch_seen.value, epoch().value);
    }
    if (refusals_.allow()) {
      log::info(
          "session.refused", "peer={} node={} reason=\"{}\"", peer->connection->peer(),
          printable(peer->hello.node),
          refused->reason.empty() ? make_error_code(refused->errc).message() : refused->reason);
    }
    static_cast<void>(peer->connection->send(ServerMessage(*refused)));
    peer->connection->close_after_writing();
    return;
  }
  const auto& welcome = std::get<Welcome>(effect.answer);
  bind_session(peer, welcome);
  if (auto sent = peer->connection->send(ServerMessage(welcome)); !sent) peer->connection->close();
}

void Server::perform(const Tell& effect) {
  const auto found = greeting_.find(effect.connection);
  if (found == greeting_.end()) return;  // it hung up meanwhile
  const PeerPtr peer = found->second;
  greeting_.erase(found);
  if (auto sent = peer->connection->send(effect.message); !sent) peer->connection->close();
}

void Server::perform(const Disconnect& effect) {
  note_fence(effect.session);
  const auto found = by_session_.find(effect.session);
  if (found == by_session_.end()) return;
  const PeerPtr peer = found->second;
  unbind(*peer);
  peer->connection->close();
}

void Server::perform(const EndSession& effect) {
  if (arrivals_.allow()) {
    log::info("session.ended", "session={} unlogged={}", printable(effect.session),
              arrivals_.dropped());
  }
  const auto found = by_session_.find(effect.session);
  if (found == by_session_.end()) return;
  const PeerPtr peer = found->second;
  by_session_.erase(found);
  peer->session.reset();
  static_cast<void>(peer->connection->send(ServerMessage(SessionEnded{})));
  peer->connection->close_after_writing();
}

// ---- Records

void Server::perform(const Record&) {
  HOLDFAST_ASSERT(false, "the queue keeps records for the store");
}

asio::awaitable<void> Server::store_loop() {
  for (;;) {
    co_await records_.wait();
    records_.clear();
    StoreChanges changes = queue_.take_changes();
    if (changes.empty()) continue;
    co_await write_until_durable(std::move(changes));
    queue_.written();
    if (queue_.has_changes()) records_.set();
    perform_ready();
  }
}

// There is nothing else to do than to try again: what was promised behind this record has not been
// told to anybody, and taking it back is no safer than waiting.
asio::awaitable<void> Server::write_until_durable(StoreChanges changes) {
  for (std::uint64_t failures = 0;; ++failures) {
    const auto begun = std::chrono::steady_clock::now();
    const auto written = co_await store_->write(changes);
    probe_.store_times.add(std::chrono::steady_clock::now() - begun);
    ++probe_.store_writes;
    if (written) {
      if (failures > 0) log::info("store.recovered", "failures={}", failures);
      co_return;
    }
    ++probe_.store_failures;
    log::error("store.cannot_record", "error=\"{}\" changes={} behind={} hint=\"{}\"",
               written.error().message(), changes.size(), queue_.waiting(),
               what_to_do(to_errno(written.error())));
    co_await sleep(executor_, kStoreRetry);
  }
}

// ---- Fencing

void Server::perform(const RunFence& effect) {
  group_.spawn("lockd.fence", run_fence(effect));
}

asio::awaitable<void> Server::run_fence(RunFence effect) {
  while (fences_running_ >= kFencesMax)
    co_await sleep(executor_, kFenceTurn);
  struct Running {
    std::size_t& count;
    explicit Running(std::size_t& of) : count(of) { ++count; }
    ~Running() { --count; }
  } const running(fences_running_);
  ++probe_.fences_run;
  log::info("fence.command", "session={} node={} address={} attempt={}", printable(effect.session),
            printable(effect.record.node), effect.record.address, effect.attempt);
  const auto started = std::chrono::steady_clock::now();
  const bool succeeded =
      co_await run_fence_command(executor_, options_.fence_command, effect.record);
  if (!succeeded) ++probe_.fences_failed;
  const auto took = std::chrono::steady_clock::now() - started;
  probe_.fence_times.add(took);
  log::info("fence.command_ended", "session={} succeeded={} ms={}", printable(effect.session),
            succeeded ? "yes" : "no", std::chrono::duration_cast<milliseconds>(took).count());
  perform(coordinator_->fence_done(effect.session, effect.attempt, succeeded, lease_now()));
  if (!succeeded) {
    fencing_.erase(effect.session);
    note_fence(effect.session);  // what comes next
  }
  note_fences_done();
}

void Server::note_fence(SessionId session) {
  const auto fence = coordinator_->fencing(session);
  if (!fence || !fencing_.insert(session).second) return;
  if (fence->command) {
    log::warn("fence.waiting", "session={} for=command", printable(session));
    return;
  }
  const Duration left = fence->until - (last_look_ - paused_);
  log::warn("fence.waiting", "session={} for_ms={} then={}", printable(session),
            std::chrono::ceil<milliseconds>(left).count(), fence->failed ? "retry" : "done");
}

void Server::note_fences_done() {
  std::erase_if(fencing_, [this](SessionId session) {
    if (coordinator_->fencing(session)) return false;
    log::warn("fence.done", "session={}", printable(session));
    return true;
  });
}

}  // namespace holdfast::lockd
