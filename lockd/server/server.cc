#include "lockd/server/server.h"

#include "holdfast/base/log.h"
#include "holdfast/wire/errc.h"
#include "lockd/server/identity.h"
#include "lockd/server/peer.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::lockd {
namespace {

// Timers run on CLOCK_MONOTONIC, leases on CLOCK_BOOTTIME: a sleep this short notices a suspend.
constexpr std::chrono::milliseconds kTickMax{1'000};
constexpr std::chrono::milliseconds kTickMin{10};
constexpr std::chrono::milliseconds kAcceptRetry{100};

asio::awaitable<void> sleep(asio::any_io_executor executor, std::chrono::nanoseconds duration) {
  asio::steady_timer timer(executor, duration);
  ErrorCode woken;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

asio::awaitable<void> run_writer(std::shared_ptr<wire::Connection> connection) {
  co_await connection->write_loop();
}

wire::StartFailure bind_failure(const wire::Address& address, ErrorCode error) {
  wire::StartFailure failure{.code = error, .what = {}, .hint = {}};
  failure.what = fmt::format("cannot listen on {}: {}", wire::to_string(address), error.message());
  const int number = to_errno(error);
  if (number == EADDRINUSE) {
    failure.hint = "another holdfast-lockd (or another program) listens there already";
  } else if (number == EACCES || number == EPERM) {
    failure.hint = "this user may not create it; run as root or choose another address";
  } else if (number == ENOENT) {
    failure.hint = "the directory of the socket does not exist";
  } else if (number == EEXIST) {
    failure.hint = "the path exists and is no socket";
  } else {
    failure.hint = "give an address of this host";
  }
  return failure;
}

}  // namespace

Server::Server(asio::any_io_executor executor, ServerOptions options, std::unique_ptr<Store> store)
    : executor_(executor),
      options_(std::move(options)),
      store_(std::move(store)),
      records_(executor),
      turns_(executor),
      group_(executor) {}

Server::~Server() = default;

asio::awaitable<wire::Started> Server::open() {
  auto recovered = co_await store_->open(options_.coordinator.lease_ttl);
  if (!recovered) co_return recovered.error();
  const std::size_t sessions = recovered->sessions.size();
  const bool empty = recovered->empty;
  options_.coordinator.salt = fresh_salt();
  last_look_ = boot_time_now();
  coordinator_ =
      std::make_unique<Coordinator>(options_.coordinator, *std::move(recovered), last_look_);
  auto bound = bind();
  if (!bound) {
    acceptors_.clear();
    co_await store_->close();
    co_return bound;
  }
  log::info("lockd.store", "epoch={} known_sessions={} empty={} grace={}", epoch().value, sessions,
            empty ? "yes" : "no", coordinator_->status().grace ? "yes" : "no");
  group_.spawn("lockd.store", store_loop());
  group_.spawn("lockd.tick", tick_loop());
  group_.spawn("lockd.sweep", sweep_loop());
  co_return bound;
}

wire::Started Server::bind() {
  for (const wire::Address& address : options_.listen) {
    if (auto opened = open_acceptor(address, Door::kSessions); !opened) return opened;
  }
  const std::size_t sessions_only = acceptors_.size();
  if (options_.admin_path) {
    auto opened = open_acceptor(wire::UnixAddress{*options_.admin_path}, Door::kAdmin);
    if (!opened) return opened;
  }
  if (acceptors_.empty()) {
    return wire::StartFailure{.code = errno_code(EADDRNOTAVAIL),
                              .what = "no address to listen on",
                              .hint = "give --listen or --admin"};
  }
  for (std::size_t i = 0; i < acceptors_.size(); ++i) {
    group_.spawn("lockd.accept",
                 accept_loop(*acceptors_[i], i < sessions_only ? Door::kSessions : Door::kAdmin));
  }
  return boost::system::in_place_value;
}

wire::Started Server::open_acceptor(const wire::Address& address, Door door) {
  wire::StreamOptions stream{.unacknowledged_max = options_.coordinator.lease_ttl};
  stream.tls = options_.tls;
  stream.turn = {.begin = [this] { return turns_.wait(); }, .end = [this] { turns_.done(); }};
  auto opened = wire::Acceptor::open(executor_, address, stream);
  if (opened) {
    acceptors_.push_back(*std::move(opened));
    return boost::system::in_place_value;
  }
  const int number = to_errno(opened.error());
  if (door == Door::kSessions && options_.skip_unsupported_families &&
      (number == EAFNOSUPPORT || number == EADDRNOTAVAIL)) {
    log::info("lockd.address_skipped", "address={} reason=\"{}\"", wire::to_string(address),
              opened.error().message());
    return boost::system::in_place_value;
  }
  return bind_failure(address, opened.error());
}

asio::awaitable<void> Server::stop() {
  for (const auto& acceptor : acceptors_)
    acceptor->close();
  group_.cancel();
  for (const PeerPtr& peer : peers_)
    peer->connection->close();
  co_await group_.join();
  co_await store_->close();
  by_session_.clear();
  greeting_.clear();
  strangers_.clear();
  peers_.clear();
  acceptors_.clear();
}

std::vector<wire::Address> Server::listening() const {
  std::vector<wire::Address> addresses;
  for (const auto& acceptor : acceptors_)
    addresses.push_back(acceptor->address());
  return addresses;
}

asio::awaitable<void> Server::accept_loop(wire::Acceptor& acceptor, Door door) {
  for (;;) {
    auto stream = co_await acceptor.accept();
    if (stream) {
      admit(*std::move(stream), door);
      continue;
    }
    if (stream.error() == asio::error::operation_aborted ||
        stream.error() == asio::error::bad_descriptor) {
      co_return;
    }
    // Out of descriptors, or the peer gave up between SYN and accept (accept(2)): go on.
    if (refusals_.allow()) {
      log::warn("lockd.accept_failed", "address={} error=\"{}\"",
                wire::to_string(acceptor.address()), stream.error().message());
    }
    co_await sleep(executor_, kAcceptRetry);
  }
}

void Server::admit(std::unique_ptr<wire::Stream> stream, Door door) {
  ++probe_.accepted;
  if (peers_.size() >= options_.connections_max) {
    if (refusals_.allow()) {
      log::warn("lockd.too_many_connections", "peer={} connections_max={} unlogged={}",
                stream->peer(), options_.connections_max, refusals_.dropped());
    }
    return;
  }
  if (strangers_.size() >= options_.strangers_max) {
    ++probe_.strangers_dropped;
    const PeerPtr oldest = strangers_.front();
    no_stranger(*oldest);
    oldest->connection->close();
  }
  auto peer = std::make_shared<Peer>();
  peer->connection =
      std::make_shared<wire::Connection>(executor_, std::move(stream), codec_, options_.connection);
  peer->connection->set_frame_size_max(wire::kUsualFrameSizeMax);
  peer->id = {++last_connection_};
  peer->door = door;
  peer->accepted_at = std::chrono::steady_clock::now();
  peer->in_peers = peers_.insert(peers_.end(), peer);
  peer->in_strangers = strangers_.insert(strangers_.end(), peer);
  group_.spawn("lockd.write", run_writer(peer->connection));
  group_.spawn("lockd.serve", serve(peer));
}

asio::awaitable<void> Server::serve(PeerPtr peer) {
  ErrorCode ended;
  bool more = false;  // whole messages may have been read and not handled
  while (!ended && !peer->connection->closing()) {
    const bool in_turn = more;
    if (in_turn) {
      co_await turns_.wait();
    } else {
      const auto filled = co_await peer->connection->fill();
      if (!filled) {
        ended = filled.error();
        break;
      }
    }
    more = false;
    try {
      const auto handled = handle_arrived(peer);
      if (!handled) ended = handled.error();
      more = handled && *handled == Arrived::kMore;
    } catch (const std::exception& error) {  // the one catch of this edge
      log::error("lockd.connection_failed", "peer={} error=\"{}\"", peer->connection->peer(),
                 error.what());
      ended = make_error_code(wire::WireErrc::kClosed);
    }
    if (in_turn) turns_.done();
    // Whoever does not take answers is not asked for more questions.
    if (!ended) co_await peer->connection->wait_writable();
  }
  gone(peer, ended);
  // A last word that is still queued (SessionEnded, HelloRefused) is written out; the sweep closes
  // what cannot be written.
  co_await peer->connection->wait_closed();
  peers_.erase(peer->in_peers);
}

void Server::gone(const PeerPtr& peer, ErrorCode why) {
  const bool broke_protocol = why == wire::WireErrc::kMalformed ||
                              why == wire::WireErrc::kFrameTooLarge ||
                              why == wire::WireErrc::kOutOfPlace;
  if (broke_protocol) {
    ++probe_.malformed;
    if (refusals_.allow()) {
      log::warn("lockd.protocol_error", "peer={} error=\"{}\" unlogged={}",
                peer->connection->peer(), why.message(), refusals_.dropped());
    }
  }
  no_stranger(*peer);
  greeting_.erase(peer->id);
  questions_.forget(peer->id);
  unbind(*peer);
  if (!peer->connection->closing() || broke_protocol) peer->connection->close();
}

Duration Server::tick_max() const {
  return std::clamp<Duration>(options_.coordinator.lease_ttl / 4, kTickMin, kTickMax);
}

Instant Server::lease_now() {
  const Instant real = boot_time_now();
  const Duration gap = real - last_look_;
  last_look_ = real;
  if (gap > 2 * tick_max()) {
    paused_ += gap - tick_max();
    ++probe_.pauses;
    log::warn("lockd.paused", "ms={}",
              std::chrono::duration_cast<std::chrono::milliseconds>(gap).count());
  }
  const Instant until = store_->authority_until();
  if (until != Instant::max()) coordinator_->authority(until - paused_);
  return real - paused_;
}

asio::awaitable<void> Server::tick_loop() {
  const Duration at_most = tick_max();
  for (;;) {
    const Instant before = lease_now();
    const Instant deadline = coordinator_->next_deadline();
    std::chrono::nanoseconds wait = at_most;
    if (deadline < before + wait) wait = deadline - before;
    wait = std::max<std::chrono::nanoseconds>(wait, kTickMin);
    const auto due = std::chrono::steady_clock::now() + wait;
    co_await sleep(executor_, wait);
    probe_.lateness.add(std::chrono::steady_clock::now() - due);
    const Instant now = lease_now();
    perform(coordinator_->tick(now));
    note_fences_done();
    give(questions_.due(boot_time_now()));
  }
}

asio::awaitable<void> Server::sweep_loop() {
  const auto period = std::clamp<std::chrono::milliseconds>(
      std::min(options_.hello_timeout, options_.write_stall_max) / 4, kTickMin, kTickMax);
  for (;;) {
    co_await sleep(executor_, period);
    sweep();
  }
}

void Server::sweep() {
  const auto now = std::chrono::steady_clock::now();
  for (const PeerPtr& peer : strangers_) {  // oldest first
    if (now - peer->accepted_at < options_.hello_timeout) break;
    if (peer->connection->closed()) continue;
    ++probe_.strangers_dropped;
    peer->connection->close();  // its reader ends and takes it off the lists
  }
  for (const PeerPtr& peer : peers_) {
    if (peer->connection->closed() || peer->connection->writing_for() < options_.write_stall_max) {
      continue;
    }
    ++probe_.slow_readers;
    if (refusals_.allow()) {
      log::warn("lockd.slow_reader", "peer={} unlogged={}", peer->connection->peer(),
                refusals_.dropped());
    }
    peer->connection->close();
  }
}

}  // namespace holdfast::lockd
