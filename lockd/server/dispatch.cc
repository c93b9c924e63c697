#include "holdfast/base/log.h"
#include "holdfast/wire/errc.h"
#include "lockd/server/identity.h"
#include "lockd/server/peer.h"
#include "lockd/server/server.h"

#include <utility>

namespace holdfast::lockd {
namespace {

using wire::WireErrc;

// As many as surely fit into a frame if names are of ordinary length; cut further if they are not.
constexpr std::size_t kListedLocksMax = 8192;

// Sends as much of a listing as fits into one frame.
template <class List, class Entries>
Result<void> send_list(wire::Connection& connection, List list, Entries List::*entries) {
  for (;;) {
    auto sent = connection.send(ServerMessage(list));
    if (sent || sent.error() != WireErrc::kFrameTooLarge || (list.*entries).empty()) return sent;
    (list.*entries).resize((list.*entries).size() / 2);
    list.truncated = true;
  }
}

// Of "10.0.0.7:50123", "[fd00::7]:50123": the host.
std::string host_of(const std::string& peer) {
  const auto colon = peer.rfind(':');
  if (colon == std::string::npos) return peer;
  if (colon >= 2 && peer.front() == '[' && peer[colon - 1] == ']') return peer.substr(1, colon - 2);
  return peer.substr(0, colon);
}

std::optional<HelloRefused> check_version(const Hello& hello) {
  if (hello.version_min <= kProtocolVersion && hello.version_max >= kProtocolVersionMin) {
    return std::nullopt;
  }
  HelloRefused refused;
  refused.errc = LockErrc::kVersionMismatch;
  refused.reason =
      fmt::format("lockd speaks protocol {} to {}, the mount {} to {}", kProtocolVersionMin,
                  kProtocolVersion, hello.version_min, hello.version_max);
  return refused;
}

}  // namespace

Result<Server::Arrived> Server::handle_arrived(const PeerPtr& peer) {
  const Instant now = lease_now();
  wire::Connection& connection = *peer->connection;
  for (std::size_t count = 0; !connection.closing(); ++count) {
    if (count == options_.messages_per_turn) return Arrived::kMore;
    auto message = connection.next_client_message();
    if (!message) return message.error();
    if (!*message) break;
    const auto begun = std::chrono::steady_clock::now();
    auto handled =
        std::visit([&](const auto& value) { return handle(peer, value, now); }, **message);
    probe_.handling[kind_of(**message)].add(std::chrono::steady_clock::now() - begun);
    if (!handled) return handled.error();
  }
  return Arrived::kAll;
}

Result<void> Server::handle(const PeerPtr& peer, const Hello& hello, Instant now) {
  if (!peer->stranger) return make_error_code(WireErrc::kOutOfPlace);
  no_stranger(*peer);
  peer->hello = hello;
  peer->hello.token.clear();
  greeting_.emplace(peer->id, peer);
  auto refused = check_version(hello);
  if (!refused) refused = refuse(*peer, hello);
  if (refused) {
    perform(Effects{Greet{peer->id, *std::move(refused)}});
    return boost::system::in_place_value;
  }
  Identity fresh = fresh_identity();
  fresh.address = host_of(peer->connection->peer());
  fresh.compare_name = !peer->credential || peer->credential->all;
  perform(coordinator_->hello(hello, fresh, peer->id, now));
  return boost::system::in_place_value;
}

void Server::no_stranger(Peer& peer) {
  if (!peer.stranger) return;
  strangers_.erase(peer.in_strangers);
  peer.stranger = false;
}

void Server::bind_session(const PeerPtr& peer, const Welcome& welcome) {
  const Hello& hello = peer->hello;
  const auto old = by_session_.find(welcome.session);
  if (old != by_session_.end()) {
    // The mount gave its old connection up before we noticed. What that one still holds in buffers
    // is repeated on the new one.
    old->second->session.reset();
    old->second->connection->close();
    by_session_.erase(old);
  }
  // Only a reclaim is long. From everybody else a megabyte would only be work to decode.
  if (welcome.reclaim) {
    peer->connection->set_frame_size_max(options_.connection.frame_size_max);
  }
  peer->session = welcome.session;
  by_session_.emplace(welcome.session, peer);
  coordinator_->connected(welcome.session, true);
  if (!arrivals_.allow()) return;
  log::info("session.connected",
            "session={} resumed={} node={} mountpoint={} volume={} peer={} unlogged={}",
            printable(welcome.session), hello.resume ? "yes" : "no", printable(hello.node),
            printable(hello.mountpoint), printable(hello.volume_name), peer->connection->peer(),
            arrivals_.dropped());
}

void Server::unbind(Peer& peer) {
  if (!peer.session) return;
  if (arrivals_.allow()) {
    log::info("session.disconnected", "session={} peer={} unlogged={}", printable(*peer.session),
              peer.connection->peer(), arrivals_.dropped());
  }
  const SessionId gone = *peer.session;
  coordinator_->connected(gone, false);
  by_session_.erase(gone);
  peer.session.reset();
  give(questions_.gone(gone));
}

Result<void> Server::handle(const PeerPtr& peer, const Request& request, Instant now) {
  if (!peer->session) return make_error_code(WireErrc::kOutOfPlace);
  perform(coordinator_->request(*peer->session, request, now));
  return boost::system::in_place_value;
}

Result<void> Server::handle(const PeerPtr& peer, const Renew& renew, Instant now) {
  if (!peer->session) return make_error_code(WireErrc::kOutOfPlace);
  perform(coordinator_->renew(*peer->session, renew, now));
  return boost::system::in_place_value;
}

Result<void> Server::handle(const PeerPtr& peer, const Reclaim& reclaim, Instant now) {
  if (!peer->session) return make_error_code(WireErrc::kOutOfPlace);
  if (reclaim.last) peer->connection->set_frame_size_max(wire::kUsualFrameSizeMax);
  perform(coordinator_->reclaim(*peer->session, reclaim, now));
  return boost::system::in_place_value;
}

Result<void> Server::handle(const PeerPtr& peer, const Goodbye&, Instant now) {
  if (!peer->session) return make_error_code(WireErrc::kOutOfPlace);
  if (arrivals_.allow()) {
    log::info("session.goodbye", "session={} unlogged={}", printable(*peer->session),
              arrivals_.dropped());
  }
  const Effects effects = coordinator_->goodbye(*peer->session, now);
  // Unbound first: the mount asked for its end and expects no SessionEnded.
  by_session_.erase(*peer->session);
  peer->session.reset();
  perform(effects);
  peer->connection->close_after_writing();
  return boost::system::in_place_value;
}

Result<void> Server::handle(const PeerPtr& peer, const ListSessions&, Instant now) {
  if (peer->door != Door::kAdmin || peer->session) return make_error_code(WireErrc::kOutOfPlace);
  no_stranger(*peer);
  return send_list(*peer->connection, coordinator_->list_sessions(now), &SessionList::sessions);
}

Result<void> Server::handle(const PeerPtr& peer, const ListLocks&, Instant now) {
  if (peer->door != Door::kAdmin || peer->session) return make_error_code(WireErrc::kOutOfPlace);
  no_stranger(*peer);
  return send_list(*peer->connection, coordinator_->list_locks(now, kListedLocksMax),
                   &LockList::locks);
}

Result<void> Server::handle(const PeerPtr& peer, const Break& order, Instant now) {
  if (peer->door != Door::kAdmin) return make_error_code(WireErrc::kOutOfPlace);
  no_stranger(*peer);
  BreakOutcome outcome = order.file ? coordinator_->break_file(order.session, *order.file, now)
                                    : coordinator_->break_session(order.session, now);
  log::warn("admin.break", "session={} fileid={} refused=\"{}\"", printable(order.session),
            order.file ? std::to_string(order.file->fileid) : "all", outcome.refused.value_or(""));
  BreakAnswer answer;
  answer.refused = outcome.refused.value_or("");
  answer.at_most = std::chrono::ceil<std::chrono::milliseconds>(outcome.at_most);
  // The order is on stable storage before it is answered: a restart does not forget it.
  greeting_.insert_or_assign(peer->id, peer);
  outcome.effects.emplace_back(Tell{peer->id, order.session, ServerMessage(std::move(answer))});
  perform(std::move(outcome.effects));
  return boost::system::in_place_value;
}

}  // namespace holdfast::lockd
