// Which mounts may use which volumes: decided at Hello, and again when that changes.
#include "holdfast/base/log.h"
#include "lockd/server/peer.h"
#include "lockd/server/server.h"

#include <utility>

namespace holdfast::lockd {

std::optional<HelloRefused> Server::refuse(Peer& peer, const Hello& hello) {
  std::string reason = denied(peer, hello);
  if (reason.empty()) return std::nullopt;
  ++probe_.access_denied;
  if (refusals_.allow()) {
    log::warn("access.denied", "peer={} node={} volume={} volume_id={} reason=\"{}\" unlogged={}",
              peer.connection->peer(), printable(hello.node), printable(hello.volume_name),
              uuid_text(hello.volume), reason, refusals_.dropped());
  }
  HelloRefused refused;
  refused.errc = LockErrc::kAccessDenied;
  refused.reason = std::move(reason);
  return refused;
}

// Why not, or nothing.
std::string Server::denied(Peer& peer, const Hello& hello) const {
  const wire::Proof proof = peer.connection->proof();
  if (proof.channel == wire::Channel::kUnix) return {};  // the socket's mode has decided
  const bool everywhere = options_.plain_text == PlainText::kEverywhere;
  const bool plain = proof.channel != wire::Channel::kTls;
  if (proof.channel == wire::Channel::kPlain && !everywhere)
    return "this lockd speaks TLS only: the mount needs its CA certificate";
  if (!options_.access) return {};
  if (hello.token.empty() && proof.certificate.empty()) {
    if (plain && everywhere) return {};
    return "the mount shows neither a token nor a client certificate";
  }
  peer.credential = hello.token.empty() ? options_.access->find_certificate(proof.certificate)
                                        : options_.access->find_token(hello.token);
  if (!peer.credential && hello.token.empty())
    return "the client certificate '" + proof.certificate + "' is not in the access list";
  if (!peer.credential) return "the token is not in the access list";
  if (options_.tls) peer.trust = options_.tls->trust();
  if (!peer.credential->covers(hello.volume))
    return "'" + peer.credential->name + "' is not for volume " + uuid_text(hello.volume);
  return {};
}

bool Server::still_admitted(const Peer& peer) const {
  if (!peer.credential) return true;
  const auto now = options_.access->find_again(*peer.credential);
  const bool by_certificate = peer.credential->kind == Credential::Kind::kCertificate;
  // Another CA: who was believed then is to show again that he is.
  if (by_certificate && options_.tls && options_.tls->trust() != peer.trust) return false;
  return now && now->covers(peer.hello.volume);
}

void Server::reload(std::shared_ptr<const AccessList> access) {
  options_.access = std::move(access);
  for (const PeerPtr& peer : peers_) {
    if (peer->connection->closed() || still_admitted(*peer)) continue;
    ++probe_.access_revoked;
    log::warn("access.revoked", "peer={} node={} credential={} volume_id={}",
              peer->connection->peer(), printable(peer->hello.node), peer->credential->name,
              uuid_text(peer->hello.volume));
    peer->connection->close();
  }
}

}  // namespace holdfast::lockd
