#pragma once
/// A ClientCore with a hand on its clock and on lockd's side of the conversation.

#include "fs/lock/client_core.h"

#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::fs {

using std::chrono::milliseconds;

inline constexpr milliseconds kTtl{10'000};
inline constexpr FileKey kFile{.fileid = 1, .handle_hash = 1};

class ClientCoreTest : public ::testing::Test {
 protected:
  static Instant at(milliseconds when) { return Instant(when); }

  void take(ClientEffects effects) {
    for (auto& effect : effects) {
      if (auto* send = std::get_if<SendMessage>(&effect)) {
        sent.push_back(std::move(send->message));
      } else if (auto* complete = std::get_if<CompleteCall>(&effect)) {
        completed.emplace_back(complete->call, complete->outcome);
      } else {
        events.push_back(std::move(effect));
      }
    }
  }

  void say(ServerMessage message, milliseconds when = milliseconds{0}) {
    take(core.received(message, at(when)));
  }

  /// Hello sent at `hello`, Welcome received at `welcome`.
  void open(std::uint64_t session = 1, milliseconds hello = milliseconds{0},
            milliseconds welcome = milliseconds{0}) {
    take(core.connected(at(hello)));
    say(welcome_of(session), welcome);
    sent.clear();
  }

  static Welcome welcome_of(std::uint64_t session) {
    Welcome welcome;
    welcome.session = {session};
    welcome.epoch = {1};
    welcome.lease_ttl = kTtl;
    welcome.requests_in_flight_max = 64;
    return welcome;
  }

  CallId call(Command command) {
    ClientEffects effects;
    const CallId id = core.submit(std::move(command), effects);
    take(std::move(effects));
    return id;
  }

  static LockRequest lock(std::uint64_t owner, LockMode mode, std::uint64_t start = 0,
                          std::uint64_t end = 10) {
    LockRequest request;
    request.file = kFile;
    request.owner = {owner};
    request.handle = {owner};
    request.mode = mode;
    request.wait = Wait::kYes;
    request.range = *ByteRange::make(start, end);
    return request;
  }

  /// Asks and is granted at once.
  void hold(const LockRequest& request) {
    call(request);
    const auto asked = requests();
    ASSERT_EQ(asked.size(), 1u);
    reply(asked[0].number.value, Granted{{asked[0].number.value}});
  }
  CallId unlock(std::uint64_t owner, std::uint64_t start = 0, std::uint64_t end = 10) {
    return call(UnlockRequest{kFile, LockSpace::kRange, {owner}, *ByteRange::make(start, end)});
  }
  static LockRequest flock(std::uint64_t owner, LockMode mode, Wait wait = Wait::kNo) {
    LockRequest request = lock(owner, mode, 0, ByteRange::kEnd);
    request.space = LockSpace::kFlock;
    request.wait = wait;
    return request;
  }
  static LockRequest on(std::uint64_t fileid, LockRequest request) {
    request.file = {.fileid = fileid, .handle_hash = fileid};
    return request;
  }

  /// lockd lost its memory: reconnects, and returns what was reclaimed.
  Reclaim reclaim(std::uint64_t epoch = 2, std::vector<FileLoss> losses = {}) {
    core.disconnected();
    take(core.connected(at(milliseconds{0})));
    sent.clear();
    Welcome welcome = welcome_of(1);
    welcome.epoch = {epoch};
    welcome.reclaim = true;
    welcome.losses = std::move(losses);
    say(welcome);
    Reclaim all;
    bool more = true;
    for (const auto& message : std::exchange(sent, {})) {
      const auto* part = std::get_if<Reclaim>(&message);
      EXPECT_TRUE(part != nullptr && more) << "reclaims only, until the last";
      if (part == nullptr) continue;
      all.locks.insert(all.locks.end(), part->locks.begin(), part->locks.end());
      all.wal_databases.insert(all.wal_databases.end(), part->wal_databases.begin(),
                               part->wal_databases.end());
      all.last = part->last;
      more = !part->last;
    }
    EXPECT_TRUE(all.last);
    return all;
  }
  /// And answers it.
  Reclaim restart(std::uint64_t epoch = 2) {
    Reclaim told = reclaim(epoch);
    say(Reclaimed{});
    return told;
  }

  /// The requests sent since the last look.
  std::vector<Request> requests() {
    std::vector<Request> found;
    for (const auto& message : std::exchange(sent, {})) {
      if (const auto* request = std::get_if<Request>(&message)) found.push_back(*request);
    }
    return found;
  }

  std::optional<Outcome> outcome_of(CallId id) const {
    for (const auto& [call, outcome] : completed) {
      if (call == id) return outcome;
    }
    return std::nullopt;
  }
  std::optional<LockErrc> error_of(CallId id) const {
    const auto outcome = outcome_of(id);
    if (!outcome || !std::holds_alternative<Refused>(*outcome)) return std::nullopt;
    return std::get<Refused>(*outcome).errc;
  }
  template <class Event>
  int count() const {
    int found = 0;
    for (const auto& event : events)
      found += std::holds_alternative<Event>(event) ? 1 : 0;
    return found;
  }

  std::vector<FileKey> files_lost() const {
    std::vector<FileKey> files;
    for (const auto& event : events) {
      if (const auto* lost = std::get_if<FilesLost>(&event)) {
        files.insert(files.end(), lost->files.begin(), lost->files.end());
      }
    }
    return files;
  }

  void reply(std::uint64_t number, Outcome outcome) { say(Reply{{number}, outcome}); }

  ClientCore core{Hello{}, ClientCore::Limits{}};
  std::vector<ClientMessage> sent;
  std::vector<std::pair<CallId, Outcome>> completed;
  ClientEffects events;
};

}  // namespace holdfast::fs
