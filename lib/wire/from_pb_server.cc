#include "lib/wire/convert.h"
#include "lib/wire/from_pb.h"
#include "lib/wire/listing_pb.h"

#include <chrono>

namespace holdfast::wire {
namespace {

std::optional<Outcome> take(const pb::QueryResult& from) {
  if (!from.has_conflict()) return QueryResult{};
  const auto mode = from_pb(kModes, from.conflict().mode());
  const auto range = wire::take(from.conflict().range());
  if (!from.conflict().has_range() || !mode || !range) return std::nullopt;
  const Conflict conflict{.mode = *mode,
                          .range = *range,
                          .pid = from.conflict().pid(),
                          .same_session = from.conflict().same_session()};
  return QueryResult{.conflict = conflict};
}

std::optional<Outcome> take(const pb::TokenGranted& from) {
  const auto mode = from_pb(kTokenModes, from.mode());
  if (!mode || from.ask_again_ms() > kLeaseTtlMsMax) return std::nullopt;
  return TokenGranted{.mode = *mode, .ask_again = std::chrono::milliseconds(from.ask_again_ms())};
}

/// Unlike other enums: who does not know the limit is right without it.
std::optional<LimitMet> take_limit(const pb::LimitMet& from) {
  const auto limit = from_pb(kLimitNumbers, from.limit());
  if (!limit) return std::nullopt;
  return LimitMet{.limit = *limit, .max = from.max()};
}

std::optional<Outcome> take_outcome(const pb::Reply& from) {
  switch (from.outcome_case()) {
    case pb::Reply::kGranted:
      return Granted{.token = {from.granted().token()}};
    case pb::Reply::kDone:
      return Done{};
    case pb::Reply::kQuery:
      return take(from.query());
    case pb::Reply::kRefused: {
      const auto errc = from_pb(kErrors, from.refused());
      if (!errc) return std::nullopt;
      return Refused{.errc = *errc, .limit = take_limit(from.limit())};
    }
    case pb::Reply::kToken:
      return take(from.token());
    case pb::Reply::OUTCOME_NOT_SET:
      break;
  }
  return std::nullopt;
}

std::optional<ServerMessage> take(const pb::Reply& from) {
  const auto outcome = take_outcome(from);
  if (!outcome || from.number() == 0) return std::nullopt;
  return Reply{.number = {from.number()}, .outcome = *outcome};
}

template <class List>
std::optional<std::vector<FileLoss>> take_losses(const List& from) {
  std::vector<FileLoss> to;
  to.reserve(static_cast<std::size_t>(from.size()));
  for (const auto& entry : from) {
    if (entry.number() == 0 || !entry.has_file()) return std::nullopt;
    to.push_back({.number = {entry.number()}, .file = wire::take(entry.file())});
  }
  return to;
}

std::optional<ServerMessage> take(const pb::Queued& from) {
  if (from.number() == 0 || !from.has_place()) return std::nullopt;
  return Queued{.number = {from.number()}, .place = wire::take(from.place())};
}

std::optional<ServerMessage> take(const pb::Recall& from) {
  const auto wanted = from_pb(kTokenModes, from.wanted());
  if (!from.has_file() || !wanted) return std::nullopt;
  return Recall{.file = wire::take(from.file()), .token = {from.token()}, .wanted = *wanted};
}

std::optional<ServerMessage> take(const pb::Reclaimed& from) {
  auto losses = take_losses(from.losses());
  if (!losses) return std::nullopt;
  return Reclaimed{.losses = *std::move(losses)};
}

std::optional<ServerMessage> take(const pb::Welcome& from) {
  const auto secret = take_16(from.secret());
  auto losses = take_losses(from.losses());
  if (!secret || !losses || from.version() == 0 || from.session() == 0 ||
      from.lease_ttl_ms() == 0 || from.lease_ttl_ms() > kLeaseTtlMsMax ||
      from.requests_in_flight_max() == 0) {
    return std::nullopt;
  }
  Welcome to;
  to.version = from.version();
  to.session = {from.session()};
  to.secret = *secret;
  to.epoch = {from.epoch()};
  to.lease_ttl = std::chrono::milliseconds(from.lease_ttl_ms());
  to.requests_in_flight_max = from.requests_in_flight_max();
  to.reclaim = from.reclaim();
  to.losses = *std::move(losses);
  to.answers_who = from.answers_who();
  return to;
}

std::optional<ServerMessage> take(const pb::HelloRefused& from) {
  const auto errc = from_pb(kErrors, from.error());
  if (!errc || !is_text(from.reason()) || from.retry_after_ms() > kLeaseTtlMsMax) {
    return std::nullopt;
  }
  return HelloRefused{.errc = *errc,
                      .retry_after = std::chrono::milliseconds(from.retry_after_ms()),
                      .reason = from.reason(),
                      .limit = take_limit(from.limit())};
}

std::optional<ServerMessage> take(const pb::SessionList& from) {
  if (from.grace_left_ms() > static_cast<std::uint64_t>(kAgeMsMax)) return std::nullopt;
  SessionList to;
  to.epoch = {from.epoch()};
  to.truncated = from.truncated();
  to.grace = from.grace();
  to.grace_left = std::chrono::milliseconds(from.grace_left_ms());
  to.stale = from.stale();
  to.sessions.reserve(static_cast<std::size_t>(from.sessions_size()));
  for (const auto& entry : from.sessions()) {
    auto info = take_info(entry);
    if (!info) return std::nullopt;
    to.sessions.push_back(*std::move(info));
  }
  return to;
}

std::optional<ServerMessage> take(const pb::LockList& from) {
  LockList to;
  to.truncated = from.truncated();
  to.tokens = from.tokens();
  to.locks.reserve(static_cast<std::size_t>(from.locks_size()));
  for (const auto& entry : from.locks()) {
    auto info = take_info(entry);
    if (!info) return std::nullopt;
    to.locks.push_back(*std::move(info));
  }
  return to;
}

std::optional<ServerMessage> take(const pb::BreakAnswer& from) {
  if (!is_text(from.refused()) || from.at_most_ms() > static_cast<std::uint64_t>(kAgeMsMax)) {
    return std::nullopt;
  }
  return BreakAnswer{.refused = from.refused(),
                     .at_most = std::chrono::milliseconds(from.at_most_ms())};
}

}  // namespace

std::optional<SessionInfo> take_info(const pb::SessionInfo& from) {
  const auto volume = take_16(from.volume());
  const auto phase = from_pb(kPhases, from.phase());
  if (!volume || !phase || !is_text(from.node()) || !is_text(from.mountpoint()) ||
      !is_text(from.volume_name()) || from.lease_left_ms() > kAgeMsMax ||
      from.lease_left_ms() < -kAgeMsMax) {
    return std::nullopt;
  }
  SessionInfo to;
  to.session = {from.session()};
  to.node = from.node();
  to.mountpoint = from.mountpoint();
  to.volume_name = from.volume_name();
  to.volume = *volume;
  to.pid = from.pid();
  to.connected = from.connected();
  to.lease_left = std::chrono::milliseconds(from.lease_left_ms());
  to.locks = from.locks();
  to.waiters = from.waiters();
  to.phase = *phase;
  to.breaking = from.breaking();
  to.losses = from.losses();
  to.tokens = from.tokens();
  return to;
}

std::optional<LockInfo> take_info(const pb::LockInfo& from) {
  const auto state = from_pb(kStates, from.state());
  const auto space = from_pb(kSpaces, from.space());
  const auto mode = from_pb(kModes, from.mode());
  const auto range = wire::take(from.range());
  if (!from.has_file() || !from.has_range() || !state || !space || !mode || !range ||
      !is_text(from.node()) || !is_text(from.volume_name()) ||
      from.age_ms() > static_cast<std::uint64_t>(kAgeMsMax)) {
    return std::nullopt;
  }
  LockInfo to;
  to.state = *state;
  to.session = {from.session()};
  to.node = from.node();
  to.volume_name = from.volume_name();
  to.file = wire::take(from.file());
  to.space = *space;
  to.mode = *mode;
  to.range = *range;
  to.owner = {from.owner()};
  to.pid = from.pid();
  to.age = std::chrono::milliseconds(from.age_ms());
  to.token = {from.token()};
  return to;
}

std::optional<ServerMessage> from_pb(const pb::ServerMessage& from) {
  switch (from.message_case()) {
    case pb::ServerMessage::kWelcome:
      return take(from.welcome());
    case pb::ServerMessage::kHelloRefused:
      return take(from.hello_refused());
    case pb::ServerMessage::kReply:
      return take(from.reply());
    case pb::ServerMessage::kRenewed:
      return Renewed{.tick = from.renewed().tick()};
    case pb::ServerMessage::kSessionEnded:
      return SessionEnded{};
    case pb::ServerMessage::kSessionList:
      return take(from.session_list());
    case pb::ServerMessage::kLockList:
      return take(from.lock_list());
    case pb::ServerMessage::kQueued:
      return take(from.queued());
    case pb::ServerMessage::kReclaimed:
      return take(from.reclaimed());
    case pb::ServerMessage::kBreakAnswer:
      return take(from.break_answer());
    case pb::ServerMessage::kRecall:
      return take(from.recall());
    case pb::ServerMessage::kTellWho:
      return TellWho{from.tell_who().question(), from.tell_who().fileid()};
    case pb::ServerMessage::kWhoAnswer:
      return take_who(from.who_answer());
    case pb::ServerMessage::MESSAGE_NOT_SET:
      break;
  }
  return std::nullopt;
}

}  // namespace holdfast::wire
