#pragma once
/// LockService over the wire: one session at holdfast-lockd, kept across reconnects.
///
///   LockClient client(executor, options);
///   if (auto started = co_await client.start(); !started) fail(started.error());
///   ... client is a LockService ...
///   co_await client.stop();
///
/// The rules are in client_core.h; this class has the sockets, the clock and the waiting callers.
/// Thread: the executor's thread only. Lifetime: stop() has returned before destruction, and no
/// caller is inside a method.

#include "fs/lock/client_core.h"
#include "fs/lock/lease_counts.h"
#include "fs/lock/lock_service.h"
#include "fs/lock/sent_counts.h"
#include "holdfast/task/event.h"
#include "holdfast/task/group.h"
#include "holdfast/wire/address.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/connection.h"
#include "holdfast/wire/credentials.h"
#include "holdfast/wire/start_failure.h"

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::fs::state {
class State;
}

namespace holdfast::fs {

struct LockClientOptions {
  /// Of lockd, and of its replicas: tried in turn, beginning with the first. At least one.
  std::vector<wire::Address> addresses;
  VolumeId volume{};
  std::string volume_name;  ///< for people, as the next
  std::string node;
  std::string mountpoint;
  std::uint32_t pid = 0;
  /// Hello::write_life: how long the kernel may still send what this mount wrote.
  std::chrono::milliseconds write_life{0};
  /// How long start() keeps trying while lockd cannot be reached; 0 = one attempt.
  std::chrono::milliseconds start_patience{0};
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds backoff_min{100};
  std::chrono::milliseconds backoff_max{2'000};
  /// Nothing: no tokens, everything is CW and every lock is lockd's.
  std::optional<TokenLimits> tokens{};
  /// start() tells what it waits for, one line each time that changes. May be empty.
  std::function<void(std::string_view)> on_progress;
  /// The lease now ends at this time, usually later than before; told before anything relies on it.
  /// May be empty.
  std::function<void(Instant)> on_deadline;
  /// What /proc says of a process of this node, for whoever asks who has a lock. Quick; may be
  /// empty.
  std::function<ProcessInfo(std::uint32_t pid)> process_of;
  /// What is sent is counted there; null: nowhere. Outlives the client.
  counters::Counters* counters = nullptr;
  /// Certificates are read again for each connection.
  wire::Credentials credentials{};
  /// How the session is is told there; null: nowhere. Outlives the client.
  state::State* state = nullptr;
};

class LockClient final : public LockService {
 public:
  LockClient(boost::asio::any_io_executor executor, LockClientOptions options);
  ~LockClient() override;
  LockClient(const LockClient&) = delete;
  LockClient& operator=(const LockClient&) = delete;

  /// Connects and opens the session; returns when entitled(). While lockd waits out its former life
  /// this waits too; while all addresses are standbys, for a while. Fails when lockd cannot be
  /// reached, speaks another version, or refuses; nothing runs after a failure.
  [[nodiscard]] boost::asio::awaitable<wire::Started> start();
  /// Gives everything back (Goodbye, bounded by a second) and ends. Pending calls end with
  /// kSessionLost.
  [[nodiscard]] boost::asio::awaitable<void> stop();

  Awaitable<Granted> lock(LockRequest request, task::Interrupt* interrupt) override;
  Awaitable<void> unlock(UnlockRequest request) override;
  [[nodiscard]] std::optional<Result<Granted>> lock_now(const LockRequest& request) override;
  [[nodiscard]] std::optional<Result<void>> unlock_now(const UnlockRequest& request) override;
  Awaitable<QueryResult> query(QueryRequest request) override;
  Awaitable<void> release_owner(ReleaseOwnerRequest request) override;
  Awaitable<void> release_handle(ReleaseHandleRequest request) override;
  Awaitable<void> claim_wal(ClaimWalRequest request) override;
  [[nodiscard]] bool entitled() const override;
  [[nodiscard]] Duration entitled_for() const override;
  boost::asio::awaitable<void> wait_entitled() override;
  std::optional<TokenMode> try_pin(const FileKey& file, TokenUse use, Urgency urgency) override;
  Awaitable<TokenMode> pin(FileKey file, TokenUse use, Urgency urgency,
                           task::Interrupt* interrupt) override;
  void unpin(const FileKey& file) override;
  void drained(const FileKey& file, std::uint64_t round, bool in_use) override;
  void created(const FileKey& directory, const FileKey& file) override;
  [[nodiscard]] std::optional<FileKey> cover(const FileKey& file) const override;
  void give_up(const FileKey& file) override;
  void forgotten(const FileKey& file) override;
  [[nodiscard]] std::uint64_t token_generation(const FileKey& file) const override;
  void listen(Listener listener) override { listener_ = std::move(listener); }

  /// Who holds, and who waits for, locks of the files with this number: lockd's answer, with what
  /// the other mounts say; if there is none in time, what this mount knows by itself.
  boost::asio::awaitable<WhoAnswer> who(std::uint64_t fileid, std::chrono::milliseconds most);
  /// Who of this mount's programs waits for a lock, of any file; the kWaitsToldMax that have waited
  /// longest. From memory and /proc: lockd is not asked.
  static constexpr std::size_t kWaitsToldMax = 64;
  [[nodiscard]] WhoAnswer waits() const;

  /// Of the session now open.
  [[nodiscard]] std::optional<SessionId> session() const { return session_; }
  [[nodiscard]] const ClientCore& core() const { return core_; }
  /// As if the network had cut it; the client reconnects.
  void break_connection_for_test();

 private:
  struct Waiter;
  struct Asking;
  class Pinning;
  template <class T>
  Awaitable<T> call_for(Command command);
  boost::asio::awaitable<Result<Outcome>> call(Command command, task::Interrupt* interrupt);
  template <class T>
  std::optional<Result<T>> decide_now(const Command& command);

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<void> converse(std::unique_ptr<wire::Stream> stream, std::string token);
  boost::asio::awaitable<void> time_loop();
  boost::asio::awaitable<void> tell_all(std::shared_ptr<wire::Connection> connection);
  boost::asio::awaitable<void> back_off(std::optional<DropConnection> dropped);
  [[nodiscard]] bool next_address_at_once(const std::optional<DropConnection>& dropped);
  [[nodiscard]] std::string where() const;
  boost::asio::awaitable<void> shut_down();
  [[nodiscard]] const wire::Address& address() const { return options_.addresses[address_]; }
  void unreachable(ErrorCode error);
  void log_refusal(DropConnection::Why why);
  [[nodiscard]] std::optional<wire::StartFailure> start_failure() const;

  void tell_state();
  [[nodiscard]] WhoAnswer what_we_know(std::vector<ToldLock> locks) const;
  void add_processes(std::vector<ToldLock>& locks) const;
  void end_pinning(CallId call, const Outcome& outcome);
  void perform(ClientEffects effects);
  void tell_deadline();
  void perform(const SendMessage& effect);
  void perform(const CompleteCall& effect);
  void perform(const DropConnection& effect);
  void perform(const SessionOpened& effect);
  void perform(const SessionResumed& effect);
  void perform(const LeaseSuspended& effect);
  void perform(const LeaseResumed& effect);
  void perform(const SessionLost& effect);
  void perform(const FilesLost& effect);
  void perform(const Drain& effect);
  void perform(const TokenPinned& effect);
  void perform(const TokensLost& effect);
  void perform(const TellOfOurs& effect);
  void perform(const WhoAnswered& effect);
  void perform(const LimitRefusal& effect);

  boost::asio::any_io_executor executor_;
  LockClientOptions options_;
  wire::Codec codec_;
  ClientCore core_;
  SentCounts sent_counts_;
  LeaseCounts lease_counts_;
  LimitLines limit_lines_;
  task::Group group_;
  task::Event entitled_;
  task::Event attempted_;  // an attempt to connect or to be welcomed ended; for start()
  Listener listener_;
  std::shared_ptr<wire::Connection> connection_;  // shared with its writer
  std::unordered_map<CallId, Waiter*> waiters_;
  std::unordered_map<CallId, Pinning*> pinnings_;
  std::unordered_map<std::uint64_t, Asking*> askings_;
  std::uint64_t last_question_ = 0;
  std::deque<ClientEffect> to_do_;  // effects, in order
  bool performing_ = false;
  std::optional<SessionId> session_;
  Instant told_deadline_{};
  std::optional<ErrorCode> unreachable_;
  std::optional<DropConnection> dropped_;
  std::chrono::milliseconds backoff_;
  std::size_t address_ = 0;          // of options_.addresses: the one in use
  std::size_t addresses_tried_ = 0;  // since one was worth staying with, or a back-off
  unsigned failures_ = 0;
  unsigned refusals_ = 0;
  std::minstd_rand jitter_;
  bool welcomed_ = false;        // on this connection
  bool strange_answer_ = false;  // the last connection ended with neither Welcome nor refusal
  bool stopping_ = false;
};

}  // namespace holdfast::fs
