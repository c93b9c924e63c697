#pragma once
/// Drives a Coordinator as clients would: numbers requests, acknowledges nothing unless asked,
/// keeps every answer, and checks the invariants after each call.

#include "lockd/core/coordinator.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::lockd::test {

using namespace std::chrono_literals;

inline ByteRange bytes(std::uint64_t start, std::uint64_t end) {
  return *ByteRange::make(start, end);
}
inline ByteRange byte(std::uint64_t at) {
  return bytes(at, at + 1);
}

inline constexpr FileKey kFile{1, 100};
inline constexpr FileKey kOther{2, 200};
inline constexpr FileKey kShm{3, 300};
inline constexpr OwnerId kA{0xa};
inline constexpr OwnerId kB{0xb};
inline constexpr OwnerId kC{0xc};
inline constexpr auto kS = LockMode::kShared;
inline constexpr auto kX = LockMode::kExclusive;

class Driver {
 public:
  explicit Driver(Options options = {.limits = {},
                                     .lease_ttl = 10s,
                                     .startup_wait = 0s,
                                     .fairness_patience = 5s})
      : core(options, Epoch{7}, Instant{}), now_(Instant{} + options.startup_wait) {}

  static Hello hello_of(std::uint8_t volume = 1) {
    Hello hello;
    hello.volume[0] = volume;
    hello.node = "node";
    hello.volume_name = "nas:/export" + std::to_string(volume);
    return hello;
  }
  SessionId open(std::uint8_t volume = 1) {
    const SessionId id{++last_session_};
    const auto outcome = core.hello(hello_of(volume), {id, secret_of(id)}, now_);
    EXPECT_TRUE(std::holds_alternative<Welcome>(outcome.answer));
    absorb(outcome.effects);
    return id;
  }
  static SessionSecret secret_of(SessionId id) {
    SessionSecret secret{};
    secret[0] = static_cast<std::uint8_t>(id.value);
    return secret;
  }
  RequestNumber send(SessionId session, Command command) {
    const RequestNumber number{++last_number_[session]};
    absorb(core.request(session, {number, acknowledged[session], std::move(command)}, now_));
    return number;
  }
  /// The answer of a request that is answered at once; nothing if it waits.
  std::optional<Outcome> ask(SessionId session, Command command) {
    return answer(session, send(session, std::move(command)));
  }
  std::optional<Outcome> answer(SessionId session, RequestNumber number) const {
    const auto at = answers.find({session, number});
    return at == answers.end() ? std::nullopt : std::optional(at->second);
  }
  void pass(Duration time) {
    now_ += time;
    absorb(core.tick(now_));
  }
  void advance_clock(Duration time) { now_ += time; }
  void goodbye(SessionId session) { absorb(core.goodbye(session, now_)); }
  void renew(SessionId session) { EXPECT_TRUE(core.renew(session, now_)); }
  [[nodiscard]] Instant now() const { return now_; }

  void absorb(const Effects& effects) {
    for (const Effect& effect : effects) {
      if (const auto* sent = std::get_if<SendReply>(&effect)) {
        answers.insert_or_assign({sent->session, sent->reply.number}, sent->reply.outcome);
        sent_order.emplace_back(sent->session, sent->reply.number);
      } else {
        ended.push_back(std::get<EndSession>(effect).session);
      }
    }
    core.check_invariants();
  }

  Coordinator core;
  std::map<SessionId, RequestNumber> acknowledged;
  std::map<std::pair<SessionId, RequestNumber>, Outcome> answers;
  std::vector<std::pair<SessionId, RequestNumber>> sent_order;
  std::vector<SessionId> ended;

 private:
  Instant now_;
  std::uint64_t last_session_ = 0;
  std::map<SessionId, std::uint64_t> last_number_;
};

inline LockRequest lock(OwnerId owner, LockMode mode, ByteRange range, Wait wait = Wait::kNo,
                        FileKey file = kFile) {
  LockRequest request;
  request.file = file;
  request.owner = owner;
  request.handle = HandleId{owner.value};
  request.kind = OwnerKind::kPosix;
  request.mode = mode;
  request.range = range;
  request.wait = wait;
  request.pid = static_cast<std::uint32_t>(owner.value);
  return request;
}
inline LockRequest through(HandleId handle, LockRequest request) {
  request.handle = handle;
  return request;
}
inline LockRequest unchecked(LockRequest request) {
  request.kind = OwnerKind::kUnchecked;
  return request;
}
inline LockRequest flock(OwnerId owner, LockMode mode, Wait wait = Wait::kNo) {
  LockRequest request = unchecked(lock(owner, mode, ByteRange::whole_file(), wait));
  request.space = LockSpace::kFlock;
  return request;
}
inline UnlockRequest unlock(OwnerId owner, ByteRange range, FileKey file = kFile,
                            LockSpace space = LockSpace::kRange) {
  return {.file = file, .space = space, .owner = owner, .range = range};
}
inline QueryRequest query(OwnerId owner, LockMode mode, ByteRange range, FileKey file = kFile) {
  return {.file = file, .owner = owner, .mode = mode, .range = range};
}

inline bool granted(const std::optional<Outcome>& outcome) {
  return outcome && std::holds_alternative<Granted>(*outcome);
}
inline bool done(const std::optional<Outcome>& outcome) {
  return outcome && std::holds_alternative<Done>(*outcome);
}
inline bool refused(const std::optional<Outcome>& outcome, LockErrc errc) {
  return outcome && std::holds_alternative<Refused>(*outcome) &&
         std::get<Refused>(*outcome).errc == errc;
}
inline std::optional<Conflict> conflict(const std::optional<Outcome>& outcome) {
  if (!outcome || !std::holds_alternative<QueryResult>(*outcome)) return std::nullopt;
  return std::get<QueryResult>(*outcome).conflict;
}

}  // namespace holdfast::lockd::test
