#include "lib/wire/convert.h"
#include "lib/wire/enums.h"
#include "lib/wire/listing_pb.h"

#include <algorithm>
#include <limits>

namespace holdfast::wire {
namespace {

std::uint64_t not_negative(std::chrono::milliseconds value) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(value.count(), 0));
}

template <std::size_t N>
std::string bytes_of(const std::array<std::uint8_t, N>& from) {
  return {from.begin(), from.end()};
}

std::uint32_t to_u32_ms(std::chrono::milliseconds duration) {
  constexpr auto kMax = static_cast<std::int64_t>(std::numeric_limits<std::uint32_t>::max());
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(duration.count(), 0, kMax));
}

void put(const FileKey& from, pb::FileKey& to) {
  to.set_fileid(from.fileid);
  to.set_handle_hash(from.handle_hash);
}

void put(const ByteRange& from, pb::ByteRange& to) {
  to.set_start(from.start());
  to.set_end(from.end() == ByteRange::kEnd ? 0 : from.end());  // 0 is shorter, and common
}

void put(const QueuePlace& from, pb::QueuePlace& to) {
  to.set_epoch(from.epoch.value);
  to.set_seq(from.seq);
}

void put(const LimitMet& from, pb::LimitMet& to) {
  to.set_limit(to_pb(kLimitNumbers, from.limit));
  to.set_max(from.max);
}

template <class List>
void put(const std::vector<FileLoss>& from, List& to) {
  for (const FileLoss& loss : from) {
    auto& one = *to.Add();
    one.set_number(loss.number.value);
    put(loss.file, *one.mutable_file());
  }
}

void put(const HeldLock& from, pb::HeldLock& to) {
  put(from.file, *to.mutable_file());
  to.set_space(to_pb(kSpaces, from.space));
  to.set_owner(from.owner.value);
  to.set_handle(from.handle.value);
  to.set_mode(to_pb(kModes, from.mode));
  put(from.range, *to.mutable_range());
  to.set_pid(from.pid);
  if (from.wal_database) put(*from.wal_database, *to.mutable_wal_database());
}

void put(const HeldToken& from, pb::HeldToken& to) {
  put(from.file, *to.mutable_file());
  to.set_mode(to_pb(kTokenModes, from.mode));
}

// ---- Requests

void put(const LockRequest& from, pb::Request& request) {
  auto& to = *request.mutable_lock();
  put(from.file, *to.mutable_file());
  to.set_space(to_pb(kSpaces, from.space));
  to.set_owner(from.owner.value);
  to.set_handle(from.handle.value);
  to.set_kind(to_pb(kOwnerKinds, from.kind));
  to.set_mode(to_pb(kModes, from.mode));
  put(from.range, *to.mutable_range());
  to.set_wait(from.wait == Wait::kYes);
  to.set_pid(from.pid);
  if (from.wal_database) put(*from.wal_database, *to.mutable_wal_database());
  if (from.place) put(*from.place, *to.mutable_place());
}

void put(const UnlockRequest& from, pb::Request& request) {
  auto& to = *request.mutable_unlock();
  put(from.file, *to.mutable_file());
  to.set_space(to_pb(kSpaces, from.space));
  to.set_owner(from.owner.value);
  put(from.range, *to.mutable_range());
}

void put(const QueryRequest& from, pb::Request& request) {
  auto& to = *request.mutable_query();
  put(from.file, *to.mutable_file());
  to.set_space(to_pb(kSpaces, from.space));
  to.set_owner(from.owner.value);
  to.set_mode(to_pb(kModes, from.mode));
  put(from.range, *to.mutable_range());
}

void put(const ReleaseOwnerRequest& from, pb::Request& request) {
  auto& to = *request.mutable_release_owner();
  put(from.file, *to.mutable_file());
  to.set_owner(from.owner.value);
}

void put(const ReleaseHandleRequest& from, pb::Request& request) {
  auto& to = *request.mutable_release_handle();
  put(from.file, *to.mutable_file());
  to.set_handle(from.handle.value);
}

void put(const CancelRequest& from, pb::Request& request) {
  request.mutable_cancel()->set_target(from.target.value);
}

void put(const ClaimWalRequest& from, pb::Request& request) {
  put(from.database, *request.mutable_claim_wal()->mutable_database());
}

void put(const TokenRequest& from, pb::Request& request) {
  auto& to = *request.mutable_token_request();
  put(from.file, *to.mutable_file());
  to.set_use(to_pb(kTokenUses, from.use));
}

void put(const PushLocks& from, pb::Request& request) {
  auto& to = *request.mutable_push_locks();
  put(from.file, *to.mutable_file());
  to.set_token(from.token.value);
  for (const HeldLock& held : from.locks)
    put(held, *to.add_locks());
}

void put(const TokenRelease& from, pb::Request& request) {
  auto& to = *request.mutable_token_release();
  put(from.file, *to.mutable_file());
  to.set_token(from.token.value);
  to.set_keep(to_pb(kTokenModes, from.keep));
}

void put(const TokenAssert& from, pb::Request& request) {
  auto& to = *request.mutable_token_assert();
  put(from.cover, *to.mutable_cover());
  to.set_token(from.token.value);
  for (const HeldToken& token : from.tokens)
    put(token, *to.add_tokens());
}

// ---- Client messages

void put(const Hello& from, pb::ClientMessage& message) {
  auto& to = *message.mutable_hello();
  to.set_version_min(from.version_min);
  to.set_version_max(from.version_max);
  to.set_volume(bytes_of(from.volume));
  to.set_volume_name(from.volume_name);
  to.set_node(from.node);
  to.set_mountpoint(from.mountpoint);
  to.set_pid(from.pid);
  if (from.resume) {
    to.mutable_resume()->set_session(from.resume->session.value);
    to.mutable_resume()->set_secret(bytes_of(from.resume->secret));
    to.mutable_resume()->set_losses_seen(from.resume->losses_seen.value);
  }
  to.set_write_life_ms(to_u32_ms(from.write_life));
  to.set_epoch_seen(from.epoch_seen.value);
  to.set_token(from.token);
  to.set_tells_who(from.tells_who);
}

void put(const Request& from, pb::ClientMessage& message) {
  auto& to = *message.mutable_request();
  to.set_number(from.number.value);
  to.set_acknowledged(from.acknowledged.value);
  std::visit([&](const auto& command) { put(command, to); }, from.command);
}

void put(const Renew& from, pb::ClientMessage& message) {
  message.mutable_renew()->set_tick(from.tick);
  message.mutable_renew()->set_losses_seen(from.losses_seen.value);
}
void put(const Goodbye&, pb::ClientMessage& message) {
  message.mutable_goodbye();
}
void put(const ListSessions&, pb::ClientMessage& message) {
  message.mutable_list_sessions();
}
void put(const ListLocks&, pb::ClientMessage& message) {
  message.mutable_list_locks();
}

void put(const Break& from, pb::ClientMessage& message) {
  auto& to = *message.mutable_break_();
  to.set_session(from.session.value);
  if (from.file) put(*from.file, *to.mutable_file());
}

void put(const Reclaim& from, pb::ClientMessage& message) {
  auto& to = *message.mutable_reclaim();
  for (const HeldToken& token : from.tokens)
    put(token, *to.add_tokens());
  for (const HeldLock& held : from.locks)
    put(held, *to.add_locks());
  for (const FileKey& database : from.wal_databases)
    put(database, *to.add_wal_databases());
  to.set_last(from.last);
  to.set_asks_again(from.asks_again);
}

// ---- Replies

void put(const Granted& from, pb::Reply& reply) {
  reply.mutable_granted()->set_token(from.token.value);
}
void put(const Done&, pb::Reply& reply) {
  reply.mutable_done();
}
void put(const QueryResult& from, pb::Reply& reply) {
  auto& to = *reply.mutable_query();
  if (!from.conflict) return;
  auto& conflict = *to.mutable_conflict();
  conflict.set_mode(to_pb(kModes, from.conflict->mode));
  put(from.conflict->range, *conflict.mutable_range());
  conflict.set_pid(from.conflict->pid);
  conflict.set_same_session(from.conflict->same_session);
}
void put(const Refused& from, pb::Reply& reply) {
  reply.set_refused(to_pb(kErrors, from.errc));
  if (from.limit) put(*from.limit, *reply.mutable_limit());
}

void put(const TokenGranted& from, pb::Reply& reply) {
  reply.mutable_token()->set_mode(to_pb(kTokenModes, from.mode));
  reply.mutable_token()->set_ask_again_ms(to_u32_ms(from.ask_again));
}

// ---- Server messages

void put(const Welcome& from, pb::ServerMessage& message) {
  auto& to = *message.mutable_welcome();
  to.set_version(from.version);
  to.set_session(from.session.value);
  to.set_secret(bytes_of(from.secret));
  to.set_epoch(from.epoch.value);
  to.set_lease_ttl_ms(to_u32_ms(from.lease_ttl));
  to.set_requests_in_flight_max(from.requests_in_flight_max);
  to.set_reclaim(from.reclaim);
  put(from.losses, *to.mutable_losses());
  to.set_answers_who(from.answers_who);
}

void put(const HelloRefused& from, pb::ServerMessage& message) {
  auto& to = *message.mutable_hello_refused();
  to.set_error(to_pb(kErrors, from.errc));
  to.set_retry_after_ms(to_u32_ms(from.retry_after));
  to.set_reason(from.reason);
  if (from.limit) put(*from.limit, *to.mutable_limit());
}

void put(const Reply& from, pb::ServerMessage& message) {
  auto& to = *message.mutable_reply();
  to.set_number(from.number.value);
  std::visit([&](const auto& outcome) { put(outcome, to); }, from.outcome);
}

void put(const Renewed& from, pb::ServerMessage& message) {
  message.mutable_renewed()->set_tick(from.tick);
}
void put(const Queued& from, pb::ServerMessage& message) {
  auto& to = *message.mutable_queued();
  to.set_number(from.number.value);
  put(from.place, *to.mutable_place());
}
void put(const Recall& from, pb::ServerMessage& message) {
  auto& to = *message.mutable_recall();
  put(from.file, *to.mutable_file());
  to.set_token(from.token.value);
  to.set_wanted(to_pb(kTokenModes, from.wanted));
}
void put(const Reclaimed& from, pb::ServerMessage& message) {
  put(from.losses, *message.mutable_reclaimed()->mutable_losses());
}
void put(const BreakAnswer& from, pb::ServerMessage& message) {
  message.mutable_break_answer()->set_refused(from.refused);
  message.mutable_break_answer()->set_at_most_ms(not_negative(from.at_most));
}
void put(const SessionEnded&, pb::ServerMessage& message) {
  message.mutable_session_ended();
}

void put(const SessionList& from, pb::ServerMessage& message) {
  auto& list = *message.mutable_session_list();
  list.set_epoch(from.epoch.value);
  list.set_truncated(from.truncated);
  list.set_grace(from.grace);
  list.set_grace_left_ms(not_negative(from.grace_left));
  list.set_stale(from.stale);
  for (const SessionInfo& info : from.sessions)
    put_info(info, *list.add_sessions());
}

void put(const LockList& from, pb::ServerMessage& message) {
  auto& list = *message.mutable_lock_list();
  list.set_truncated(from.truncated);
  list.set_tokens(from.tokens);
  for (const LockInfo& info : from.locks)
    put_info(info, *list.add_locks());
}

template <class Who>
auto put(const Who& from, pb::ClientMessage& message) -> decltype(put_who(from, message)) {
  put_who(from, message);
}
template <class Who>
auto put(const Who& from, pb::ServerMessage& message) -> decltype(put_who(from, message)) {
  put_who(from, message);
}

}  // namespace

void put_info(const SessionInfo& from, pb::SessionInfo& to) {
  to.set_session(from.session.value);
  to.set_node(from.node);
  to.set_mountpoint(from.mountpoint);
  to.set_volume_name(from.volume_name);
  to.set_volume(bytes_of(from.volume));
  to.set_pid(from.pid);
  to.set_connected(from.connected);
  to.set_lease_left_ms(from.lease_left.count());
  to.set_locks(from.locks);
  to.set_waiters(from.waiters);
  to.set_phase(to_pb(kPhases, from.phase));
  to.set_breaking(from.breaking);
  to.set_losses(from.losses);
  to.set_tokens(from.tokens);
}

void put_info(const LockInfo& from, pb::LockInfo& to) {
  to.set_state(to_pb(kStates, from.state));
  to.set_session(from.session.value);
  to.set_node(from.node);
  to.set_volume_name(from.volume_name);
  put(from.file, *to.mutable_file());
  to.set_space(to_pb(kSpaces, from.space));
  to.set_mode(to_pb(kModes, from.mode));
  put(from.range, *to.mutable_range());
  to.set_owner(from.owner.value);
  to.set_pid(from.pid);
  to.set_age_ms(not_negative(from.age));
  to.set_token(from.token.value);
}

void to_pb(const ClientMessage& from, pb::ClientMessage& to) {
  std::visit([&](const auto& message) { put(message, to); }, from);
}

void to_pb(const ServerMessage& from, pb::ServerMessage& to) {
  std::visit([&](const auto& message) { put(message, to); }, from);
}

}  // namespace holdfast::wire
