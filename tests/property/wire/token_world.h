#pragma once
/// Mounts with tokens and their lockd, pure, with slow lines in between; shells that drain as they
/// are told.

#include "fs/lock/client_core.h"
#include "lockd/core/coordinator.h"

#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace holdfast {

inline bool same_outcome(const Outcome& one, const Outcome& other) {
  if (one.index() != other.index()) return false;
  if (const auto* refused = std::get_if<Refused>(&one)) {
    return refused->errc == std::get<Refused>(other).errc;
  }
  const auto* query = std::get_if<QueryResult>(&one);
  if (query == nullptr) return true;
  const auto& said = std::get<QueryResult>(other).conflict;
  if (!query->conflict || !said) return !query->conflict && !said;
  return query->conflict->mode == said->mode && query->conflict->range == said->range &&
         query->conflict->pid == said->pid && query->conflict->same_session == said->same_session;
}

class TokenWorld {
 public:
  using CallId = fs::CallId;
  struct Mount {
    SessionId session;
    fs::ClientCore core;
    std::deque<ClientMessage> up;
    std::deque<ServerMessage> down;
    std::deque<fs::Drain> drains;
    std::map<CallId, Outcome> done;
    std::vector<FileKey> pinned;
    std::set<CallId> waiting;
    bool in_use = false;
  };

  explicit TokenWorld(std::size_t mounts, fs::TokenLimits limits = {}) {
    fs::ClientCore::Limits core_limits;
    core_limits.tokens = limits;
    for (std::size_t i = 0; i < mounts; ++i) {
      mounts_.push_back(Mount{.session = SessionId{i + 1},
                              .core = fs::ClientCore(Hello{}, core_limits),
                              .up = {},
                              .down = {},
                              .drains = {},
                              .done = {},
                              .pinned = {},
                              .waiting = {}});
    }
    for (Mount& mount : mounts_)
      take(mount, mount.core.connected(now));
  }

  Mount& mount(std::size_t i) { return mounts_[i]; }
  [[nodiscard]] std::size_t size() const { return mounts_.size(); }

  CallId submit(Mount& mount, Command command) {
    fs::ClientEffects effects;
    const CallId id = mount.core.submit(std::move(command), now, effects);
    take(mount, std::move(effects));
    return id;
  }
  void pin(Mount& mount, const FileKey& file, TokenUse use, fs::Urgency urgency) {
    fs::ClientEffects effects;
    const auto mode = mount.core.try_pin(file, use, urgency, now, effects);
    if (mode) {
      mount.pinned.push_back(file);
    } else {
      const CallId call = mount.core.acquire(file, use, urgency, now, effects);
      asked_[{&mount, call}] = file;
      mount.waiting.insert(call);
    }
    take(mount, std::move(effects));
  }
  void unpin(Mount& mount) {
    if (mount.pinned.empty()) return;
    const FileKey file = mount.pinned.front();
    mount.pinned.erase(mount.pinned.begin());
    take(mount, mount.core.unpin(file, now));
  }
  void drain(Mount& mount) {
    if (mount.drains.empty()) return;
    const fs::Drain drain = mount.drains.front();
    mount.drains.pop_front();
    take(mount, mount.core.drained(drain.file, drain.round, mount.in_use, now));
  }
  void carry_up(Mount& mount) {
    if (mount.up.empty()) return;
    const ClientMessage message = std::move(mount.up.front());
    mount.up.pop_front();
    if (const auto* hello = std::get_if<Hello>(&message)) {
      absorb(lockd_.hello(*hello, {mount.session, {}, {}}, lockd::ConnectionId{mount.session.value},
                          now));
    } else if (const auto* request = std::get_if<Request>(&message)) {
      absorb(lockd_.request(mount.session, *request, now));
    } else if (const auto* renew = std::get_if<Renew>(&message)) {
      absorb(lockd_.renew(mount.session, *renew, now));
    }
    lockd_.check_invariants();
  }
  void carry_down(Mount& mount) {
    if (mount.down.empty()) return;
    const ServerMessage message = std::move(mount.down.front());
    mount.down.pop_front();
    take(mount, mount.core.received(message, now));
  }
  void pass(std::chrono::milliseconds time) {
    now += time;
    absorb(lockd_.tick(now));
    for (Mount& mount : mounts_)
      take(mount, mount.core.tick(now));
  }
  [[nodiscard]] bool idle() const {
    for (const Mount& mount : mounts_)
      if (!mount.up.empty() || !mount.down.empty() || !mount.drains.empty()) return false;
    return true;
  }
  /// Everything that is on its way arrives, every drain is done.
  void settle() {
    for (int steps = 0; !idle(); ++steps) {
      RC_ASSERT(steps < 10'000);
      for (Mount& mount : mounts_) {
        carry_up(mount);
        carry_down(mount);
        drain(mount);
      }
      check();
    }
  }
  /// T1, as the mounts see it; and each agent's own invariants.
  void check() const {
    std::map<FileKey, std::vector<TokenMode>> modes;
    for (const Mount& mount : mounts_) {
      mount.core.agent()->check_invariants();
      for (const FileKey& file : files_)
        modes[file].push_back(mount.core.agent()->known_mode(file));
    }
    for (const auto& [file, held] : modes) {
      for (std::size_t i = 0; i < held.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j)
          RC_ASSERT(compatible(held[i], held[j]));
      }
    }
  }
  void watch(const FileKey& file) { files_.insert(file); }

  Instant now{std::chrono::seconds(1)};

 private:
  void take(Mount& mount, fs::ClientEffects effects) {
    for (auto& effect : effects) {
      if (auto* send = std::get_if<fs::SendMessage>(&effect)) {
        mount.up.push_back(std::move(send->message));
      } else if (const auto* complete = std::get_if<fs::CompleteCall>(&effect)) {
        RC_ASSERT(mount.done.emplace(complete->call, complete->outcome).second);
      } else if (const auto* drain = std::get_if<fs::Drain>(&effect)) {
        mount.drains.push_back(*drain);
      } else if (const auto* pinned = std::get_if<fs::TokenPinned>(&effect)) {
        RC_ASSERT(mount.waiting.erase(pinned->call) == 1);
        mount.pinned.push_back(asked_.at({&mount, pinned->call}));
      } else {
        RC_ASSERT(!std::holds_alternative<fs::SessionLost>(effect));
        RC_ASSERT(!std::holds_alternative<fs::FilesLost>(effect));
        RC_ASSERT(!std::holds_alternative<fs::TokensLost>(effect));
        RC_ASSERT(!std::holds_alternative<fs::DropConnection>(effect));
      }
    }
  }
  void absorb(const lockd::Effects& effects) {
    for (const auto& effect : effects) {
      if (const auto* greet = std::get_if<lockd::Greet>(&effect)) {
        const Welcome welcome = std::get<Welcome>(greet->answer);
        mounts_[welcome.session.value - 1].down.emplace_back(welcome);
      } else if (const auto* reply = std::get_if<lockd::SendReply>(&effect)) {
        mounts_[reply->session.value - 1].down.emplace_back(reply->reply);
      } else if (const auto* sent = std::get_if<lockd::Send>(&effect)) {
        mounts_[sent->session.value - 1].down.push_back(sent->message);
      }
    }
  }

  lockd::Coordinator lockd_{
      lockd::Options{},
      {.epoch = Epoch{1}, .empty = false, .lease_ttl_max = {}, .sessions = {}},
      Instant(std::chrono::seconds(1))};
  std::deque<Mount> mounts_;
  std::map<std::pair<const Mount*, CallId>, FileKey> asked_;
  std::set<FileKey> files_;
};

}  // namespace holdfast
