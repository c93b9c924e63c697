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

/// Nobody keeps anything past its lease, and nobody's writes are waited for: the rules of locks
/// without those of fencing.
inline Options plain_options() {
  Options options;
  options.courtesy_max = 0ms;
  options.storage_delay = 0ms;
  return options;
}
/// With those of fencing.
inline Options real_options() {
  Options options;
  options.lease_ttl = 10s;
  options.storage_delay = 2s;
  return options;
}
/// A life without a past.
inline Recovered nothing_before() {
  return {.epoch = Epoch{7}, .empty = false, .lease_ttl_max = 0ms, .sessions = {}};
}
/// Those that somebody outside sees at once, and that are not about the connection.
inline Effects visible(Effects effects) {
  std::erase_if(effects, [](const Effect& effect) {
    return !std::holds_alternative<SendReply>(effect) &&
           !std::holds_alternative<EndSession>(effect);
  });
  return effects;
}
template <class T>
std::vector<T> all_of(const Effects& effects) {
  std::vector<T> found;
  for (const Effect& effect : effects)
    if (const auto* one = std::get_if<T>(&effect)) found.push_back(*one);
  return found;
}
inline bool renewed(const Effects& effects) {
  for (const Send& sent : all_of<Send>(effects))
    if (std::holds_alternative<Renewed>(sent.message)) return true;
  return false;
}
/// The answer to a Hello.
inline std::variant<Welcome, HelloRefused> greeting(const Effects& effects) {
  const auto greets = all_of<Greet>(effects);
  EXPECT_EQ(greets.size(), 1U);
  return greets.empty() ? HelloRefused{} : greets[0].answer;
}

class Driver {
 public:
  explicit Driver(Options options = plain_options(), Recovered recovered = nothing_before())
      : core(std::move(options), std::move(recovered), Instant{}) {}

  static Hello hello_of(std::uint8_t volume = 1) {
    Hello hello;
    hello.volume[0] = volume;
    hello.node = "node";
    hello.volume_name = "nas:/export" + std::to_string(volume);
    return hello;
  }
  SessionId open(std::uint8_t volume = 1) {
    const SessionId id{++last_session_};
    const auto effects =
        core.hello(hello_of(volume), {id, secret_of(id), "10.0.0.1"}, ConnectionId{id.value}, now_);
    EXPECT_TRUE(std::holds_alternative<Welcome>(greeting(effects)));
    absorb(effects);
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
  void renew(SessionId session) {
    const auto effects = core.renew(session, {}, now_);
    EXPECT_TRUE(renewed(effects));
    absorb(effects);
  }
  [[nodiscard]] Instant now() const { return now_; }

  void absorb(const Effects& effects) {
    for (const Effect& effect : effects) {
      if (const auto* sent = std::get_if<SendReply>(&effect)) {
        answers.insert_or_assign({sent->session, sent->reply.number}, sent->reply.outcome);
        sent_order.emplace_back(sent->session, sent->reply.number);
      } else if (const auto* gone = std::get_if<EndSession>(&effect)) {
        ended.push_back(gone->session);
      } else if (const auto* other = std::get_if<Send>(&effect)) {
        if (const auto* recall = std::get_if<Recall>(&other->message))
          recalls.emplace_back(other->session, *recall);
      }
    }
    last = effects;
    core.check_invariants();
  }

  Coordinator core;
  std::map<SessionId, RequestNumber> acknowledged;
  std::map<std::pair<SessionId, RequestNumber>, Outcome> answers;
  std::vector<std::pair<SessionId, RequestNumber>> sent_order;
  std::vector<SessionId> ended;
  std::vector<std::pair<SessionId, Recall>> recalls;
  Effects last;  ///< of the last call

 private:
  Instant now_{};
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
inline LockRequest gives_way(LockRequest request) {
  request.kind = OwnerKind::kGivesWay;
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
