#pragma once
/// Mounts with tokens, as far as lockd sees them.

#include "tests/unit/lockd/driver.h"

#include <gmock/gmock.h>

namespace holdfast::lockd::test {

inline constexpr auto kNL = TokenMode::kNone;
inline constexpr auto kPR = TokenMode::kRead;
inline constexpr auto kCW = TokenMode::kShared;
inline constexpr auto kEX = TokenMode::kExclusive;

/// One of the lock bytes of a SQLite database.
inline const ByteRange kDatabaseByte = byte(0x4000'0002);

inline std::optional<TokenGranted> token_of(const std::optional<Outcome>& outcome) {
  if (!outcome || !std::holds_alternative<TokenGranted>(*outcome)) return std::nullopt;
  return std::get<TokenGranted>(*outcome);
}

struct TokenDriver : Driver {
  using Driver::Driver;

  RequestNumber want(SessionId session, TokenUse use, FileKey file = kFile) {
    return send(session, TokenRequest{.file = file, .use = use});
  }
  RequestNumber read(SessionId session, FileKey file = kFile) {
    return want(session, TokenUse::kRead, file);
  }
  RequestNumber write(SessionId session, FileKey file = kFile) {
    return want(session, TokenUse::kWrite, file);
  }
  RequestNumber through(SessionId session, FileKey file = kFile) {
    return want(session, TokenUse::kThrough, file);
  }
  /// What the request got; nothing: it waits.
  std::optional<TokenMode> got(SessionId session, RequestNumber number) const {
    const auto granted = token_of(answer(session, number));
    return granted ? std::optional(granted->mode) : std::nullopt;
  }
  std::optional<std::chrono::milliseconds> ask_again(SessionId session,
                                                     RequestNumber number) const {
    const auto granted = token_of(answer(session, number));
    return granted ? std::optional(granted->ask_again) : std::nullopt;
  }
  std::optional<Outcome> release(SessionId session, RequestNumber token, TokenMode keep = kNL,
                                 FileKey file = kFile) {
    return ask(session, TokenRelease{.file = file, .token = token, .keep = keep});
  }
  std::optional<Outcome> push(SessionId session, RequestNumber token, std::vector<HeldLock> locks,
                              FileKey file = kFile) {
    return ask(session, PushLocks{.file = file, .token = token, .locks = std::move(locks)});
  }
  std::optional<Outcome> assert_under(SessionId session, FileKey cover, RequestNumber token,
                                      std::vector<HeldToken> tokens) {
    return ask(session, TokenAssert{.cover = cover, .token = token, .tokens = std::move(tokens)});
  }
  /// Recalls of this session since they were last looked at.
  std::vector<Recall> recalled(SessionId session) {
    std::vector<Recall> found;
    std::erase_if(recalls, [&](const auto& one) {
      if (one.first != session) return false;
      found.push_back(one.second);
      return true;
    });
    return found;
  }
  std::variant<Welcome, HelloRefused> resume(SessionId session, LossNumber seen = {}) {
    Hello hello = hello_of();
    hello.write_life = 3s;
    hello.resume = ResumeSession{session, secret_of(session), seen};
    const auto effects =
        core.hello(hello, {SessionId{99}, {}, "10.0.0.1"}, ConnectionId{++connections}, now());
    absorb(effects);
    return greeting(effects);
  }
  std::uint64_t connections = 1000;
};

inline HeldLock held_lock(OwnerId owner, LockMode mode, ByteRange range, FileKey file = kFile) {
  HeldLock lock;
  lock.file = file;
  lock.owner = owner;
  lock.handle = HandleId{owner.value};
  lock.mode = mode;
  lock.range = range;
  return lock;
}

inline auto recall_of(RequestNumber token, TokenMode wanted, FileKey file = kFile) {
  return testing::AllOf(testing::Field(&Recall::file, file), testing::Field(&Recall::token, token),
                        testing::Field(&Recall::wanted, wanted));
}

struct TokenTest : testing::Test {
  TokenDriver d{real_options()};
  const SessionId a = d.open();
  const SessionId b = d.open();
  const SessionId c = d.open();

  void renew_all(std::vector<SessionId> sessions, Duration time, Duration step = 1s) {
    for (Duration passed{0}; passed < time; passed += step) {
      d.pass(step);
      for (const SessionId session : sessions)
        d.renew(session);
    }
  }
};

}  // namespace holdfast::lockd::test
