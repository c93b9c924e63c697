// Who has a lock: the coordinator's view, and what the mounts of the volume say themselves.
#include "holdfast/wire/errc.h"
#include "lockd/server/peer.h"
#include "lockd/server/server.h"

#include <algorithm>
#include <set>
#include <utility>

namespace holdfast::lockd {
namespace {

// Mounts answer from memory: whoever takes longer hangs.
constexpr std::chrono::milliseconds kTellMax{1'000};

// What fits into a frame, whatever names mounts have.
WhoAnswer without_details(WhoAnswer answer) {
  answer.truncated = true;
  answer.locks.resize(std::min<std::size_t>(answer.locks.size(), 32));
  answer.mounts.resize(std::min<std::size_t>(answer.mounts.size(), 32));
  for (WhoMount& mount : answer.mounts)
    mount.locks.clear();
  return answer;
}

}  // namespace

Result<void> Server::handle(const PeerPtr& peer, const AskWho& question, Instant now) {
  if (!peer->session && peer->door != Door::kAdmin) {
    return make_error_code(wire::WireErrc::kOutOfPlace);
  }
  no_stranger(*peer);
  auto answer = coordinator_->who(peer->session, question.fileid, now);
  if (!answer) return boost::system::in_place_value;  // its session has just ended
  answer->question = question.question;
  std::set<SessionId> asked;
  for (const WhoMount& mount : answer->mounts) {
    const auto found = by_session_.find(mount.session.session);
    if (found != by_session_.end() && found->second->hello.tells_who) {
      asked.insert(mount.session.session);
    }
  }
  if (asked.empty() || questions_.full()) {
    give(Questions::Answers{{peer->id, *std::move(answer)}});
    return boost::system::in_place_value;
  }
  // In real time, not in that of leases: an administrator waits.
  const std::uint64_t number =
      questions_.begin(peer->id, *std::move(answer), asked, boot_time_now() + kTellMax);
  const ServerMessage tell(TellWho{.question = number, .fileid = question.fileid});
  for (const SessionId session : asked)
    send(session, tell);
  return boost::system::in_place_value;
}

Result<void> Server::handle(const PeerPtr& peer, const ToldWho& told, Instant) {
  if (!peer->session) return make_error_code(wire::WireErrc::kOutOfPlace);
  give(questions_.told(*peer->session, told));
  return boost::system::in_place_value;
}

void Server::give(Questions::Answers answers) {
  for (Questions::Answered& one : answers) {
    const auto found = std::find_if(peers_.begin(), peers_.end(),
                                    [&](const PeerPtr& peer) { return peer->id == one.asker; });
    if (found == peers_.end()) continue;
    wire::Connection& connection = *(*found)->connection;
    if (connection.send(ServerMessage(one.answer))) continue;
    if (!connection.send(ServerMessage(without_details(std::move(one.answer))))) connection.close();
  }
}

}  // namespace holdfast::lockd
