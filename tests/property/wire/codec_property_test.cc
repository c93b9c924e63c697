// Encoding then decoding gives the same value, for every message there is; and any bytes give an
// answer.
#include "holdfast/wire/codec.h"
#include "holdfast/wire/frame.h"
#include "tests/property/wire/any_message.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace holdfast {
namespace {

std::span<const std::byte> body_of(const std::string& frame) {
  return std::as_bytes(std::span(frame)).subspan(wire::kFrameHeaderSize);
}

// The plain values have no operator==, so their fields are named here once. Comparing bytes only
// would miss a field that the codec forgot in both directions.
inline auto fields(const LockRequest& v) {
  return std::make_tuple(v.file, v.space, v.owner, v.handle, v.kind, v.mode, v.range, v.wait, v.pid,
                         v.wal_database, v.place);
}
inline auto fields(const HeldLock& v) {
  return std::make_tuple(v.file, v.space, v.owner, v.handle, v.mode, v.range, v.pid,
                         v.wal_database);
}
inline auto fields(const Queued& v) {
  return std::make_tuple(v.number, v.place);
}
inline auto fields(const Reclaimed& v) {
  return std::make_tuple(v.losses);
}
inline auto fields(const UnlockRequest& v) {
  return std::make_tuple(v.file, v.space, v.owner, v.range);
}
inline auto fields(const QueryRequest& v) {
  return std::make_tuple(v.file, v.space, v.owner, v.mode, v.range);
}
inline auto fields(const ReleaseOwnerRequest& v) {
  return std::make_tuple(v.file, v.owner);
}
inline auto fields(const ReleaseHandleRequest& v) {
  return std::make_tuple(v.file, v.handle);
}
inline auto fields(const CancelRequest& v) {
  return std::make_tuple(v.target);
}
inline auto fields(const ClaimWalRequest& v) {
  return std::make_tuple(v.database);
}
inline auto fields(const TokenRequest& v) {
  return std::make_tuple(v.file, v.use);
}
inline auto fields(const TokenRelease& v) {
  return std::make_tuple(v.file, v.token, v.keep);
}
inline auto fields(const TokenAssert& v) {
  return std::make_tuple(v.cover, v.token, v.tokens);
}
inline auto fields(const TokenGranted& v) {
  return std::make_tuple(v.mode, v.ask_again);
}
inline auto fields(const Recall& v) {
  return std::make_tuple(v.file, v.token, v.wanted);
}
inline auto fields(const Renew& v) {
  return std::make_tuple(v.tick, v.losses_seen);
}
inline auto fields(const Goodbye&) {
  return std::make_tuple();
}
inline auto fields(const ListSessions&) {
  return std::make_tuple();
}
inline auto fields(const ListLocks&) {
  return std::make_tuple();
}
inline auto fields(const Break& v) {
  return std::make_tuple(v.session, v.file);
}
inline auto fields(const BreakAnswer& v) {
  return std::make_tuple(v.refused, v.at_most);
}
inline auto fields(const Granted& v) {
  return std::make_tuple(v.token);
}
inline auto fields(const Done&) {
  return std::make_tuple();
}
inline auto fields(const Conflict& v) {
  return std::make_tuple(v.mode, v.range, v.pid, v.same_session);
}
inline auto fields(const Refused& v) {
  return std::make_tuple(v.errc, v.limit);
}
inline auto fields(const ResumeSession& v) {
  return std::make_tuple(v.session, v.secret, v.losses_seen);
}
inline auto fields(const Welcome& v) {
  return std::make_tuple(v.version, v.session, v.secret, v.epoch, v.lease_ttl,
                         v.requests_in_flight_max, v.reclaim, v.losses, v.answers_who);
}
inline auto fields(const HelloRefused& v) {
  return std::make_tuple(v.errc, v.retry_after, v.reason, v.limit);
}
inline auto fields(const Renewed& v) {
  return std::make_tuple(v.tick);
}
inline auto fields(const SessionEnded&) {
  return std::make_tuple();
}
inline auto fields(const SessionInfo& v) {
  return std::make_tuple(v.session, v.node, v.mountpoint, v.volume_name, v.volume, v.pid,
                         v.connected, v.lease_left, v.locks, v.waiters, v.phase, v.breaking,
                         v.losses, v.tokens);
}
inline auto fields(const AskWho& v) {
  return std::make_tuple(v.question, v.fileid);
}
inline auto fields(const TellWho& v) {
  return std::make_tuple(v.question, v.fileid);
}
inline auto fields(const ToldLock& v) {
  const ProcessInfo& of = v.process;
  return std::make_tuple(v.state, v.file, v.space, v.mode, v.range, v.owner, v.pid, v.age, v.here,
                         of.name, of.pod_uid, of.pod, of.ns, of.container);
}
inline auto fields(const LockInfo& v) {
  return std::make_tuple(v.state, v.session, v.node, v.volume_name, v.file, v.space, v.mode,
                         v.range, v.owner, v.pid, v.age, v.token);
}

template <class T>
bool same_all(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const T& x, const T& y) { return fields(x) == fields(y); });
}
template <class T>
bool same(const T& a, const T& b) {
  return fields(a) == fields(b);
}
template <class T>
bool same(const std::optional<T>& a, const std::optional<T>& b) {
  return a.has_value() == b.has_value() && (!a || fields(*a) == fields(*b));
}
bool same(const QueryResult& a, const QueryResult& b) {
  return same(a.conflict, b.conflict);
}
bool same(const SessionList& a, const SessionList& b) {
  return a.epoch == b.epoch && a.truncated == b.truncated && a.grace == b.grace &&
         a.grace_left == b.grace_left && a.stale == b.stale && same_all(a.sessions, b.sessions);
}
bool same(const LockList& a, const LockList& b) {
  return a.truncated == b.truncated && a.tokens == b.tokens && same_all(a.locks, b.locks);
}
bool same(const Reclaim& a, const Reclaim& b) {
  return a.last == b.last && a.asks_again == b.asks_again && a.wal_databases == b.wal_databases &&
         a.tokens == b.tokens && same_all(a.locks, b.locks);
}
bool same(const PushLocks& a, const PushLocks& b) {
  return a.file == b.file && a.token == b.token && same_all(a.locks, b.locks);
}
bool same(const ToldWho& a, const ToldWho& b) {
  return a.question == b.question && a.truncated == b.truncated && a.more == b.more &&
         same_all(a.locks, b.locks);
}
bool same_mount(const WhoMount& a, const WhoMount& b) {
  return same(a.session, b.session) && a.token == b.token && a.has_volume == b.has_volume &&
         a.told == b.told && same_all(a.locks, b.locks);
}
bool same(const WhoAnswer& a, const WhoAnswer& b) {
  return a.question == b.question && a.from_lockd == b.from_lockd && a.grace == b.grace &&
         a.truncated == b.truncated && same_all(a.locks, b.locks) &&
         std::equal(a.mounts.begin(), a.mounts.end(), b.mounts.begin(), b.mounts.end(), same_mount);
}
bool same(const Hello& a, const Hello& b) {
  return std::tie(a.version_min, a.version_max, a.volume, a.volume_name, a.node, a.mountpoint,
                  a.pid, a.write_life, a.epoch_seen, a.tells_who) ==
             std::tie(b.version_min, b.version_max, b.volume, b.volume_name, b.node, b.mountpoint,
                      b.pid, b.write_life, b.epoch_seen, b.tells_who) &&
         same(a.resume, b.resume);
}
bool same(const Request& a, const Request& b);
bool same(const Reply& a, const Reply& b);
template <class... Ts>
bool same_variant(const std::variant<Ts...>& a, const std::variant<Ts...>& b) {
  if (a.index() != b.index()) return false;
  return std::visit(
      [&](const auto& value) {
        return same(value, std::get<std::remove_cvref_t<decltype(value)>>(b));
      },
      a);
}
bool same(const Request& a, const Request& b) {
  return a.number == b.number && a.acknowledged == b.acknowledged &&
         same_variant(a.command, b.command);
}
bool same(const Reply& a, const Reply& b) {
  return a.number == b.number && same_variant(a.outcome, b.outcome);
}

RC_GTEST_PROP(CodecProperty, ClientMessagesSurviveTheRoundTrip, ()) {
  wire::Codec codec;
  const ClientMessage message = any_client_message();
  std::string once;
  RC_ASSERT(codec.append_frame(once, message).has_value());
  const auto decoded = codec.decode_client(body_of(once));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(same_variant(*decoded, message));
  std::string twice;
  RC_ASSERT(codec.append_frame(twice, *decoded).has_value());
  RC_ASSERT(once == twice);
}

RC_GTEST_PROP(CodecProperty, ServerMessagesSurviveTheRoundTrip, ()) {
  wire::Codec codec;
  const ServerMessage message = any_server_message();
  std::string once;
  RC_ASSERT(codec.append_frame(once, message).has_value());
  const auto decoded = codec.decode_server(body_of(once));
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(same_variant(*decoded, message));
  std::string twice;
  RC_ASSERT(codec.append_frame(twice, *decoded).has_value());
  RC_ASSERT(once == twice);
}

// One bit of a right message turned: an answer, never a crash, and what still decodes is in range.
RC_GTEST_PROP(CodecProperty, DamagedMessagesGetAnAnswer, ()) {
  wire::Codec codec;
  std::string bytes;
  RC_ASSERT(codec.append_frame(bytes, any_client_message()).has_value());
  RC_PRE(bytes.size() > wire::kFrameHeaderSize);
  const auto at = *rc::gen::inRange(wire::kFrameHeaderSize, bytes.size());
  bytes[at] = static_cast<char>(bytes[at] ^ (1 << *rc::gen::inRange(0, 8)));
  const auto decoded = codec.decode_client(body_of(bytes));
  if (!decoded) return;
  if (const auto* request = std::get_if<Request>(&*decoded)) {
    RC_ASSERT(request->number.value > request->acknowledged.value);
  }
}

}  // namespace
}  // namespace holdfast
