// Encoding then decoding gives the same value, for every message there is; and any bytes give an
// answer.
#include "holdfast/wire/codec.h"
#include "holdfast/wire/frame.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace holdfast {
namespace {

using rc::gen::arbitrary;

std::uint64_t any_u64() {
  // Small ones, large ones, and the edges of varints and of signedness.
  return *rc::gen::oneOf(arbitrary<std::uint64_t>(), rc::gen::inRange<std::uint64_t>(0, 300),
                         rc::gen::element<std::uint64_t>(0, 127, 128, (1ull << 32) - 1, 1ull << 32,
                                                         1ull << 63, ~0ull));
}
std::uint64_t above_zero() {
  const auto value = any_u64();
  return value == 0 ? 1 : value;
}
std::uint32_t any_u32() {
  return static_cast<std::uint32_t>(any_u64());
}
bool any_bool() {
  return *arbitrary<bool>();
}
std::string any_text() {
  return *rc::gen::container<std::string>(arbitrary<char>());
}
template <std::size_t N>
std::array<std::uint8_t, N> any_bytes() {
  std::array<std::uint8_t, N> out{};
  for (auto& byte : out)
    byte = *arbitrary<std::uint8_t>();
  return out;
}
FileKey any_file() {
  return {.fileid = any_u64(), .handle_hash = any_u64()};
}
ByteRange any_range() {
  for (;;) {
    const auto one = any_u64() % (ByteRange::kEnd + 1);
    const auto other = any_bool() ? ByteRange::kEnd : any_u64() % (ByteRange::kEnd + 1);
    if (const auto range = ByteRange::make(std::min(one, other), std::max(one, other))) {
      return *range;
    }
  }
}
LockSpace any_space() {
  return any_bool() ? LockSpace::kRange : LockSpace::kFlock;
}
LockMode any_mode() {
  return any_bool() ? LockMode::kShared : LockMode::kExclusive;
}
LockErrc any_errc() {
  return static_cast<LockErrc>(*rc::gen::inRange(1, static_cast<int>(LockErrc::kStaleLockd) + 1));
}
std::chrono::milliseconds any_ms(std::int64_t most) {
  return std::chrono::milliseconds(*rc::gen::inRange<std::int64_t>(0, most + 1));
}

QueuePlace any_place() {
  return {.epoch = {any_u64()}, .seq = any_u64()};
}
std::vector<FileLoss> any_losses(int count) {
  std::vector<FileLoss> losses;
  for (int i = 0; i < count; ++i)
    losses.push_back({.number = {above_zero()}, .file = any_file()});
  return losses;
}
HeldLock any_held_lock() {
  HeldLock held{.file = any_file(),
                .space = any_space(),
                .owner = {any_u64()},
                .handle = {any_u64()},
                .mode = any_mode(),
                .range = any_range(),
                .pid = any_u32(),
                .wal_database = {}};
  if (any_bool()) held.wal_database = any_file();
  return held;
}

Command any_command() {
  switch (*rc::gen::inRange(0, 7)) {
    case 0: {
      LockRequest lock{.file = any_file(),
                       .space = any_space(),
                       .owner = {any_u64()},
                       .handle = {any_u64()},
                       .kind = any_bool() ? OwnerKind::kPosix : OwnerKind::kUnchecked,
                       .mode = any_mode(),
                       .range = any_range(),
                       .wait = any_bool() ? Wait::kYes : Wait::kNo,
                       .pid = any_u32(),
                       .wal_database = {},
                       .place = {}};
      if (any_bool()) lock.wal_database = any_file();
      if (any_bool()) lock.place = any_place();
      return lock;
    }
    case 1:
      return UnlockRequest{any_file(), any_space(), {any_u64()}, any_range()};
    case 2:
      return QueryRequest{any_file(), any_space(), {any_u64()}, any_mode(), any_range()};
    case 3:
      return ReleaseOwnerRequest{any_file(), {any_u64()}};
    case 4:
      return ReleaseHandleRequest{any_file(), {any_u64()}};
    case 5:
      return CancelRequest{{above_zero()}};
    default:
      return ClaimWalRequest{any_file()};
  }
}

ClientMessage any_client_message() {
  switch (*rc::gen::inRange(0, 8)) {
    case 0: {
      Hello hello;
      hello.version_min = std::max(1u, any_u32() / 2);
      hello.version_max = hello.version_min + any_u32() / 2;
      hello.volume = any_bytes<16>();
      hello.volume_name = any_text();
      hello.node = any_text();
      hello.mountpoint = any_text();
      hello.pid = any_u32();
      hello.write_life = any_ms(86'400'000);
      hello.epoch_seen = {any_u64()};
      if (any_bool()) hello.resume = ResumeSession{{above_zero()}, any_bytes<16>(), {any_u64()}};
      return hello;
    }
    case 1: {
      const auto number = above_zero();
      return Request{{number}, {any_u64() % number}, any_command()};
    }
    case 2:
      return Renew{any_u64(), {any_u64()}};
    case 3:
      return Goodbye{};
    case 4:
      return ListSessions{};
    case 6: {
      Break order{{above_zero()}, {}};
      if (any_bool()) order.file = any_file();
      return order;
    }
    case 5: {
      Reclaim reclaim;
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
        reclaim.locks.push_back(any_held_lock());
      for (int i = *rc::gen::inRange(0, 3); i > 0; --i)
        reclaim.wal_databases.push_back(any_file());
      reclaim.last = any_bool();
      reclaim.asks_again = any_bool();
      return reclaim;
    }
    default:
      return ListLocks{};
  }
}

Outcome any_outcome() {
  switch (*rc::gen::inRange(0, 5)) {
    case 0:
      return Granted{{any_u64()}};
    case 1:
      return Done{};
    case 2:
      return QueryResult{};
    case 3:
      return QueryResult{Conflict{any_mode(), any_range(), any_u32(), any_bool()}};
    default:
      return Refused{any_errc()};
  }
}

SessionInfo any_session_info() {
  return {.session = {any_u64()},
          .node = any_text(),
          .mountpoint = any_text(),
          .volume_name = any_text(),
          .volume = any_bytes<16>(),
          .pid = any_u32(),
          .connected = any_bool(),
          .lease_left = any_ms(1'000'000) - std::chrono::seconds(5),
          .locks = any_u64(),
          .waiters = any_u64(),
          .phase = static_cast<SessionPhase>(*rc::gen::inRange(0, 5)),
          .breaking = any_bool(),
          .losses = any_u64()};
}

LockInfo any_lock_info() {
  LockInfo info;
  info.state = static_cast<LockState>(*rc::gen::inRange(0, 3));
  info.session = {any_u64()};
  info.node = any_text();
  info.volume_name = any_text();
  info.file = any_file();
  info.space = any_space();
  info.mode = any_mode();
  info.range = any_range();
  info.owner = {any_u64()};
  info.pid = any_u32();
  info.age = any_ms(1'000'000'000);
  info.token = {any_u64()};
  return info;
}

ServerMessage any_server_message() {
  const auto count = *rc::gen::inRange(0, 4);
  switch (*rc::gen::inRange(0, 10)) {
    case 0:
      return Welcome{std::max(1u, any_u32()),
                     {above_zero()},
                     any_bytes<16>(),
                     {any_u64()},
                     any_ms(86'399'999) + std::chrono::milliseconds(1),
                     std::max(1u, any_u32()),
                     any_bool(),
                     any_losses(count)};
    case 1:
      return HelloRefused{any_errc(), any_ms(86'400'000), any_text()};
    case 2:
      return Reply{{above_zero()}, any_outcome()};
    case 3:
      return Renewed{any_u64()};
    case 4:
      return SessionEnded{};
    case 7:
      return Queued{{above_zero()}, any_place()};
    case 9:
      return BreakAnswer{any_text(), any_ms(1'000'000)};
    case 8:
      return Reclaimed{any_losses(count)};
    case 5: {
      SessionList list{.epoch = {any_u64()},
                       .sessions = {},
                       .truncated = any_bool(),
                       .grace = any_bool(),
                       .grace_left = any_ms(1'000'000),
                       .stale = any_bool()};
      for (int i = 0; i < count; ++i)
        list.sessions.push_back(any_session_info());
      return list;
    }
    default: {
      LockList list{.locks = {}, .truncated = any_bool()};
      for (int i = 0; i < count; ++i)
        list.locks.push_back(any_lock_info());
      return list;
    }
  }
}

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
  return std::make_tuple(v.errc);
}
inline auto fields(const ResumeSession& v) {
  return std::make_tuple(v.session, v.secret, v.losses_seen);
}
inline auto fields(const Welcome& v) {
  return std::make_tuple(v.version, v.session, v.secret, v.epoch, v.lease_ttl,
                         v.requests_in_flight_max, v.reclaim, v.losses);
}
inline auto fields(const HelloRefused& v) {
  return std::make_tuple(v.errc, v.retry_after, v.reason);
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
                         v.losses);
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
  return a.truncated == b.truncated && same_all(a.locks, b.locks);
}
bool same(const Reclaim& a, const Reclaim& b) {
  return a.last == b.last && a.asks_again == b.asks_again && a.wal_databases == b.wal_databases &&
         same_all(a.locks, b.locks);
}
bool same(const Hello& a, const Hello& b) {
  return std::tie(a.version_min, a.version_max, a.volume, a.volume_name, a.node, a.mountpoint,
                  a.pid, a.write_life, a.epoch_seen) ==
             std::tie(b.version_min, b.version_max, b.volume, b.volume_name, b.node, b.mountpoint,
                      b.pid, b.write_life, b.epoch_seen) &&
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
