#pragma once
/// holdfast-lockd's shell around the coordinator: connections, timers, store, fence command, admin.
/// It decides nothing about locks: it decodes, asks lockd/core, and performs the effects in order,
/// those behind a Record once the store has it.
///
/// Usable inside another process (a mount with `lockd=embedded`): open(), then stop() before
/// destruction.
///
/// Thread: the executor's thread only. Who may connect: every listening address takes sessions; the
/// admin socket (unix, mode 0600) takes sessions and listings. Of which volume a session may be is
/// decided at its Hello (admission.cc): all that follows on a connection is about that volume.
///
/// Limits (ServerOptions; each has a warn line): connections, connections without Hello (the oldest
/// goes: a mount says Hello at once, so those that are old are not mounts), time to Hello with the
/// TLS handshake before it, bytes queued for a reader, time a write may stand still. Messages of
/// one connection are handled messages_per_turn at a time, then it is the turn of the others; a
/// step of a TLS handshake has a turn of its own.

#include "holdfast/task/event.h"
#include "holdfast/task/group.h"
#include "holdfast/wire/address.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/connection.h"
#include "holdfast/wire/start_failure.h"
#include "holdfast/wire/stream.h"
#include "holdfast/wire/tls.h"
#include "lockd/access/access_list.h"
#include "lockd/core/coordinator.h"
#include "lockd/core/effect_queue.h"
#include "lockd/server/fence_command.h"
#include "lockd/server/log_limit.h"
#include "lockd/server/message_kind.h"
#include "lockd/server/questions.h"
#include "lockd/server/turns.h"
#include "lockd/store/store.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::lockd {

struct Report;

/// From where mounts may come without TLS.
enum class PlainText {
  kLocal,       ///< unix sockets and loopback, with a credential where there is an access list
  kEverywhere,  ///< from every address, and without a credential
};

struct ServerOptions {
  /// Sessions only. May be empty (embedded: the admin socket is enough).
  std::vector<wire::Address> listen;
  /// An address family this host lacks is skipped with a log line instead of failing the start.
  bool skip_unsupported_families = false;
  /// Path of the admin socket; none = no listings.
  std::optional<std::string> admin_path;
  /// TLS on TCP addresses; null: plain text.
  std::shared_ptr<wire::Tls> tls{};
  /// Who may use which volumes; null: whoever can connect, all of them.
  std::shared_ptr<const AccessList> access{};
  PlainText plain_text = PlainText::kLocal;
  Options coordinator;
  /// For FenceStep::kCommand.
  FenceCommand fence_command;

  std::size_t connections_max = 20'000;
  /// Connections that have not said Hello. Nearly as many as there may be sessions: when lockd
  /// comes back all mounts connect at once, and one that is dropped here comes back later.
  std::size_t strangers_max = 8192;
  std::chrono::milliseconds hello_timeout{5'000};
  std::chrono::milliseconds write_stall_max{10'000};
  /// So that whoever sends without end takes no more of the loop than anybody else.
  std::size_t messages_per_turn = 16;
  wire::ConnectionLimits connection;
};

class Server {
 public:
  Server(boost::asio::any_io_executor executor, ServerOptions options,
         std::unique_ptr<Store> store);
  /// stop() has returned, or open() was never called.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Opens the store, binds everything and starts serving. On failure nothing listens. May take
  /// long (replicas: until this one is the active lockd); may be cancelled.
  [[nodiscard]] boost::asio::awaitable<wire::Started> open();
  /// Closes every connection and waits for the coroutines. Releases no lock and ends no session:
  /// mounts lose the connection and come back.
  [[nodiscard]] boost::asio::awaitable<void> stop();
  /// Another access list, or `tls` was reloaded: connections that would be refused now are closed.
  /// Their sessions stay, and end as those of mounts that are silent do.
  void reload(std::shared_ptr<const AccessList> access);

  /// Where it listens (chosen ports filled in), the admin socket last.
  [[nodiscard]] std::vector<wire::Address> listening() const;
  /// These after open().
  [[nodiscard]] Epoch epoch() const { return coordinator_->status().epoch; }
  [[nodiscard]] const Coordinator& coordinator() const { return *coordinator_; }

  /// Counters for metrics and tests.
  struct Probe {
    std::uint64_t accepted = 0, strangers_dropped = 0, malformed = 0, slow_readers = 0;
    std::uint64_t access_denied = 0, access_revoked = 0;
    std::uint64_t store_writes = 0, store_failures = 0, fences_run = 0, fences_failed = 0;
    std::uint64_t pauses = 0;  ///< of this loop: see lease_now()
    Histogram store_times, fence_times;
    Histogram lateness;  ///< of the loop's timer: what everybody who asks waits for at least
    std::array<Histogram, kMessageKinds> handling{};  ///< by kind_of()
  };
  [[nodiscard]] const Probe& probe() const { return probe_; }
  /// After open(). For the status page and metrics.
  [[nodiscard]] Report report(const SnapshotLimits& limits);

 private:
  enum class Door { kSessions, kAdmin };
  struct Peer;
  using PeerPtr = std::shared_ptr<Peer>;  // shared by its reader, its writer and the tables

  // server.cc: life, timers, accepting
  /// The time leases are counted in: CLOCK_BOOTTIME without the times in which this loop stood
  /// still (stopped, starved, suspended). Mounts could not renew then, though their renewals may
  /// be in our sockets. Counting less is safe: a mount stops by its own clock.
  Instant lease_now();
  [[nodiscard]] Duration tick_max() const;
  wire::Started bind();
  wire::Started open_acceptor(const wire::Address& address, Door door);
  boost::asio::awaitable<void> accept_loop(wire::Acceptor& acceptor, Door door);
  boost::asio::awaitable<void> tick_loop();
  boost::asio::awaitable<void> sweep_loop();
  void sweep();
  void admit(std::unique_ptr<wire::Stream> stream, Door door);
  boost::asio::awaitable<void> serve(PeerPtr peer);
  void gone(const PeerPtr& peer, ErrorCode why);

  // dispatch.cc: what messages mean
  enum class Arrived { kAll, kMore };
  /// At most messages_per_turn of what has been read.
  Result<Arrived> handle_arrived(const PeerPtr& peer);
  Result<void> handle(const PeerPtr& peer, const Hello& hello, Instant now);
  Result<void> handle(const PeerPtr& peer, const Request& request, Instant now);
  Result<void> handle(const PeerPtr& peer, const Renew& renew, Instant now);
  Result<void> handle(const PeerPtr& peer, const Goodbye& goodbye, Instant now);
  Result<void> handle(const PeerPtr& peer, const ListSessions& list, Instant now);
  Result<void> handle(const PeerPtr& peer, const ListLocks& list, Instant now);
  Result<void> handle(const PeerPtr& peer, const Reclaim& reclaim, Instant now);
  Result<void> handle(const PeerPtr& peer, const Break& order, Instant now);
  // who.cc
  Result<void> handle(const PeerPtr& peer, const AskWho& question, Instant now);
  Result<void> handle(const PeerPtr& peer, const ToldWho& told, Instant now);
  void give(Questions::Answers answers);
  void bind_session(const PeerPtr& peer, const Welcome& welcome);
  void unbind(Peer& peer);
  void no_stranger(Peer& peer);

  // admission.cc: who may
  [[nodiscard]] std::optional<HelloRefused> refuse(Peer& peer, const Hello& hello);
  [[nodiscard]] std::string denied(Peer& peer, const Hello& hello) const;
  [[nodiscard]] bool still_admitted(const Peer& peer) const;

  // effects.cc: what the coordinator wants done
  /// At once, or when the store has what must be there before.
  void perform(Effects effects);
  void perform(const SendReply& effect);
  void perform(const Send& effect);
  void perform(const Greet& effect);
  void perform(const Tell& effect);
  void perform(const EndSession& effect);
  void perform(const Disconnect& effect);
  void perform(const RunFence& effect);
  void perform(const Record& effect);
  void send(SessionId session, const ServerMessage& message);
  void note_limits();
  void perform_ready();
  boost::asio::awaitable<void> store_loop();
  boost::asio::awaitable<void> write_until_durable(StoreChanges changes);
  boost::asio::awaitable<void> run_fence(RunFence effect);
  void note_fence(SessionId session);
  void note_fences_done();

  boost::asio::any_io_executor executor_;
  ServerOptions options_;
  wire::Codec codec_;
  std::unique_ptr<Store> store_;
  Instant last_look_;   // when lease_now() was last asked; the tick loop asks often
  Duration paused_{0};  // all pauses so far
  std::unique_ptr<Coordinator> coordinator_;  // from open() on
  EffectQueue queue_;
  bool performing_ = false;
  task::Event records_;                    // there is something to write
  std::unordered_set<SessionId> fencing_;  // of which the log says so
  std::size_t fences_running_ = 0;
  Questions questions_;
  Turns turns_;
  task::Group group_;
  std::vector<std::unique_ptr<wire::Acceptor>> acceptors_;
  std::list<PeerPtr> peers_;      // all, oldest first
  std::list<PeerPtr> strangers_;  // those without Hello, oldest first
  std::unordered_map<SessionId, PeerPtr> by_session_;
  std::unordered_map<ConnectionId, PeerPtr> greeting_;  // asked, not answered yet
  std::uint64_t last_connection_ = 0;
  LogLimit refusals_;
  LimitHits limits_said_;   // of the core's, those that are in the log
  LogLimit arrivals_{100};  // and departures
  bool said_stale_ = false;
  Probe probe_;
};

}  // namespace holdfast::lockd
