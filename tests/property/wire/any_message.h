#pragma once
/// Any message of the protocol, for property tests.

#include "holdfast/lock/message.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <rapidcheck.h>

namespace holdfast {

using rc::gen::arbitrary;

inline std::uint64_t any_u64() {
  // Small ones, large ones, and the edges of varints and of signedness.
  return *rc::gen::oneOf(arbitrary<std::uint64_t>(), rc::gen::inRange<std::uint64_t>(0, 300),
                         rc::gen::element<std::uint64_t>(0, 127, 128, (1ull << 32) - 1, 1ull << 32,
                                                         1ull << 63, ~0ull));
}
inline std::uint64_t above_zero() {
  const auto value = any_u64();
  return value == 0 ? 1 : value;
}
inline std::uint32_t any_u32() {
  return static_cast<std::uint32_t>(any_u64());
}
inline bool any_bool() {
  return *arbitrary<bool>();
}
inline std::string any_text() {
  return *rc::gen::container<std::string>(arbitrary<char>());
}
template <std::size_t N>
std::array<std::uint8_t, N> any_bytes() {
  std::array<std::uint8_t, N> out{};
  for (auto& byte : out)
    byte = *arbitrary<std::uint8_t>();
  return out;
}
inline FileKey any_file() {
  return {.fileid = any_u64(), .handle_hash = any_u64()};
}
inline ByteRange any_range() {
  for (;;) {
    const auto one = any_u64() % (ByteRange::kEnd + 1);
    const auto other = any_bool() ? ByteRange::kEnd : any_u64() % (ByteRange::kEnd + 1);
    if (const auto range = ByteRange::make(std::min(one, other), std::max(one, other))) {
      return *range;
    }
  }
}
inline LockSpace any_space() {
  return any_bool() ? LockSpace::kRange : LockSpace::kFlock;
}
inline LockMode any_mode() {
  return any_bool() ? LockMode::kShared : LockMode::kExclusive;
}
inline TokenMode any_token_mode() {
  return static_cast<TokenMode>(*rc::gen::inRange(0, 4));
}
inline TokenMode any_token_mode_but(TokenMode one) {
  const TokenMode mode = any_token_mode();
  return mode == one ? TokenMode::kShared : mode;
}
inline LockErrc any_errc() {
  return static_cast<LockErrc>(*rc::gen::inRange(1, static_cast<int>(LockErrc::kStaleLockd) + 1));
}
inline std::chrono::milliseconds any_ms(std::int64_t most) {
  return std::chrono::milliseconds(*rc::gen::inRange<std::int64_t>(0, most + 1));
}

inline QueuePlace any_place() {
  return {.epoch = {any_u64()}, .seq = any_u64()};
}
inline std::vector<FileLoss> any_losses(int count) {
  std::vector<FileLoss> losses;
  for (int i = 0; i < count; ++i)
    losses.push_back({.number = {above_zero()}, .file = any_file()});
  return losses;
}
inline HeldLock any_held_lock() {
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

inline std::vector<HeldToken> any_tokens() {
  std::vector<HeldToken> tokens;
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
    tokens.push_back({any_file(), any_token_mode_but(TokenMode::kNone)});
  return tokens;
}
inline PushLocks any_push() {
  PushLocks push{any_file(), {any_u64()}, {}};
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    push.locks.push_back(any_held_lock());
    push.locks.back().file = push.file;
  }
  return push;
}

inline Command any_command() {
  switch (*rc::gen::inRange(0, 11)) {
    case 0: {
      LockRequest lock{.file = any_file(),
                       .space = any_space(),
                       .owner = {any_u64()},
                       .handle = {any_u64()},
                       .kind = static_cast<OwnerKind>(any_u64() % 3),
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
    case 6:
      return TokenRequest{any_file(), static_cast<TokenUse>(*rc::gen::inRange(0, 3))};
    case 7:
      return any_push();
    case 8:
      return TokenRelease{any_file(), {any_u64()}, any_token_mode_but(TokenMode::kExclusive)};
    case 9:
      return TokenAssert{any_file(), {any_u64()}, any_tokens()};
    default:
      return ClaimWalRequest{any_file()};
  }
}

inline ToldLock any_told_lock() {
  ToldLock lock;
  lock.state = any_bool() ? ToldState::kHeld : ToldState::kWaiting;
  lock.file = any_file();
  lock.space = any_space();
  lock.mode = any_mode();
  lock.range = any_range();
  lock.owner = {any_u64()};
  lock.pid = any_u32();
  lock.age = any_ms(1'000'000'000);
  lock.here = any_bool();
  lock.process = {any_text(), any_text(), any_text(), any_text(), any_text()};
  return lock;
}
inline std::vector<ToldLock> any_told_locks() {
  std::vector<ToldLock> locks;
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
    locks.push_back(any_told_lock());
  return locks;
}

inline ClientMessage any_client_message() {
  switch (*rc::gen::inRange(0, 10)) {
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
      if (any_bool()) hello.token = any_text().substr(0, kTokenTextMax);
      hello.tells_who = any_bool();
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
    case 8:
      return AskWho{any_u64(), any_u64()};
    case 9:
      return ToldWho{any_u64(), any_told_locks(), any_bool(), any_bool()};
    case 6: {
      Break order{{above_zero()}, {}};
      if (any_bool()) order.file = any_file();
      return order;
    }
    case 5: {
      Reclaim reclaim;
      reclaim.tokens = any_tokens();
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

inline std::optional<LimitMet> any_limit() {
  if (any_bool()) return std::nullopt;
  return LimitMet{static_cast<Limit>(*rc::gen::inRange<std::size_t>(0, kLimits)), any_u32()};
}

inline Outcome any_outcome() {
  switch (*rc::gen::inRange(0, 6)) {
    case 0:
      return Granted{{any_u64()}};
    case 1:
      return Done{};
    case 2:
      return QueryResult{};
    case 3:
      return QueryResult{Conflict{any_mode(), any_range(), any_u32(), any_bool()}};
    case 4:
      return TokenGranted{any_token_mode(), any_ms(86'400'000)};
    default:
      return Refused{any_errc(), any_limit()};
  }
}

inline SessionInfo any_session_info() {
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
          .losses = any_u64(),
          .tokens = any_u64()};
}

inline LockInfo any_lock_info() {
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

inline WhoAnswer any_who_answer(int count) {
  WhoAnswer answer{.question = any_u64(),
                   .from_lockd = any_bool(),
                   .grace = any_bool(),
                   .locks = {},
                   .mounts = {},
                   .truncated = any_bool()};
  for (int i = 0; i < count; ++i) {
    answer.locks.push_back(any_lock_info());
    answer.mounts.push_back(
        {any_session_info(), any_token_mode(), any_bool(), any_bool(), any_told_locks()});
  }
  return answer;
}

inline ServerMessage any_server_message() {
  const auto count = *rc::gen::inRange(0, 4);
  switch (*rc::gen::inRange(0, 13)) {
    case 0:
      return Welcome{std::max(1u, any_u32()),
                     {above_zero()},
                     any_bytes<16>(),
                     {any_u64()},
                     any_ms(86'399'999) + std::chrono::milliseconds(1),
                     std::max(1u, any_u32()),
                     any_bool(),
                     any_losses(count),
                     any_bool()};
    case 1:
      return HelloRefused{any_errc(), any_ms(86'400'000), any_text(), any_limit()};
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
    case 11:
      return TellWho{any_u64(), any_u64()};
    case 12:
      return any_who_answer(count);
    case 10:
      return Recall{any_file(), {any_u64()}, any_token_mode()};
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
      LockList list{.locks = {}, .truncated = any_bool(), .tokens = any_u64()};
      for (int i = 0; i < count; ++i)
        list.locks.push_back(any_lock_info());
      return list;
    }
  }
}

}  // namespace holdfast
