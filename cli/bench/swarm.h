#pragma once
/// Thousands of simulated mounts in one process and one thread: each has its own connection and
/// session at lockd, renews as a mount does (a third of the lease), comes back as a mount does
/// (backoff 100 ms to 2 s with jitter), reclaims what the scenario says that it holds.
///
/// Less than fs/lock: what was asked and not answered when a connection ends is forgotten.

#include "cli/bench/line.h"
#include "cli/bench/own_lockd.h"
#include "holdfast/base/unique_fd.h"
#include "holdfast/lock/message.h"
#include "holdfast/wire/address.h"
#include "holdfast/wire/codec.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

namespace holdfast::bench {

using Clock = std::chrono::steady_clock;

/// The lockd under load, and what mounts need to be let in.
struct Target {
  wire::Address address;
  std::shared_ptr<wire::Tls> tls{};  ///< null: plain text
  std::string token{};               ///< empty: none
  VolumeId volume{};                 ///< of all sessions
};

class Swarm {
 public:
  /// Of all clients, since the start.
  struct Counts {
    std::uint64_t opened = 0;      ///< new sessions
    std::uint64_t resumed = 0;     ///< the old session, lockd remembering everything
    std::uint64_t reclaimed = 0;   ///< the old session, told to a lockd that forgot its locks
    std::uint64_t replaced = 0;    ///< lockd did not know the session any more
    std::uint64_t ended = 0;       ///< SessionEnded
    std::uint64_t cut = 0;         ///< connections that ended and were not meant to
    std::uint64_t refused = 0;     ///< Hellos to be repeated
    std::uint64_t rejected = 0;    ///< Hellos refused for good
    std::uint64_t renewals = 0;    ///< acknowledged
    std::uint64_t suspended = 0;   ///< acknowledgements that came after the client's deadline
    std::uint64_t losses = 0;      ///< files that lockd said were given away
    std::uint64_t lost_calls = 0;  ///< unanswered when a connection ended
    std::string last_refusal;
  };

  /// Throws SetupError: address not resolvable, not enough descriptors, a token for a connection
  /// that is not secret.
  Swarm(const Target& lockd, std::size_t clients);
  ~Swarm();
  Swarm(const Swarm&) = delete;
  Swarm& operator=(const Swarm&) = delete;

  // ---- What the scenario wants to know; may call everything but run_until().
  std::function<void(std::size_t client, std::uint64_t tag, const Outcome&, Clock::time_point sent)>
      on_reply;
  std::function<void(std::size_t client, std::uint64_t tag, const Queued&)> on_queued;
  /// Entitled: welcomed, and if it had to, reclaimed.
  std::function<void(std::size_t client)> on_up;
  std::function<void(std::size_t client, const std::vector<FileLoss>&)> on_losses;
  /// What a client tells a lockd that asks for a reclaim.
  std::function<std::vector<HeldLock>(std::size_t client)> held;

  // ---- Clients are down until told to connect.
  void connect(std::size_t client);
  /// At most `at_once` on their way at a time; 0: all at once.
  void connect_all(std::size_t at_once);
  /// Ends the connection without a word; the client stays away until connect().
  void cut(std::size_t client);
  /// Ends the connection without a word; the client comes back as after any failure.
  void drop(std::size_t client);
  /// Ends the session; the next connect() opens a new one.
  void goodbye(std::size_t client);
  /// Without a word: the next connect() opens a new session. The client must be down.
  void forget(std::size_t client) { forget_session(clients_[client]); }
  /// The client must be up. `tag` comes back with the answer.
  void ask(std::size_t client, Command command, std::uint64_t tag);
  [[nodiscard]] bool up(std::size_t client) const { return clients_[client].link == Link::kUp; }
  /// Until when its lease lasts, by its own count.
  [[nodiscard]] Clock::time_point deadline(std::size_t client) const {
    return clients_[client].deadline;
  }

  /// Serves all clients until `done`, asked after each round of events; false if that did not come
  /// within `patience`.
  template <class Done>
  bool run_until(Done done, std::chrono::milliseconds patience) {
    const auto until = Clock::now() + patience;
    while (!done()) {
      if (Clock::now() > until) return false;
      turn();
    }
    return true;
  }

  /// Grows with each round of events. What is asked in one leaves at the begin of the next.
  [[nodiscard]] std::uint64_t turns() const { return turns_; }
  [[nodiscard]] std::size_t size() const { return clients_.size(); }
  [[nodiscard]] std::size_t clients_up() const { return up_; }
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  enum class Link { kDown, kBackoff, kConnecting, kSecuring, kGreeting, kReclaiming, kUp };
  [[nodiscard]] static bool is_on_the_way(Link link) {
    return link == Link::kConnecting || link == Link::kSecuring || link == Link::kGreeting;
  }
  struct Asked {
    std::uint64_t tag;
    Clock::time_point sent;
    bool answered = false;
  };
  struct Client {
    Link link = Link::kDown;
    Line line;
    std::string in;   // the begin of a frame
    std::string out;  // not taken by the kernel
    std::size_t out_begin = 0;
    bool dirty = false;          // listed in dirty_
    bool wants_writing = false;  // told to epoll
    // The session
    bool has_session = false;
    SessionId session;
    SessionSecret secret{};
    Epoch epoch;
    std::chrono::milliseconds ttl{0};
    LossNumber losses_seen;
    Clock::time_point hello_sent, deadline, renew_at, retry_at;
    std::chrono::milliseconds backoff{0};
    std::uint64_t tick = 0;
    std::vector<std::pair<std::uint64_t, Clock::time_point>> renewals;  // not acknowledged
    std::uint64_t answered_up_to = 0;
    std::deque<Asked> asked;  // numbers from answered_up_to + 1 on
    std::vector<HeldLock> to_tell;
    std::size_t told = 0;
  };

  // swarm.cc: connections
  void turn();
  void start(std::size_t client);
  void serve(std::size_t client, std::uint32_t events);
  void secure(std::size_t client);
  void read(std::size_t client);
  void flush(std::size_t client);
  void mark(std::size_t client);
  void watch(std::size_t client, bool writing);
  void fail(std::size_t client);
  void shut(std::size_t client, Link to);
  void look_at_clock();

  // swarm_session.cc: what is said
  void greet(std::size_t client);
  void send(std::size_t client, const ClientMessage& message);
  bool take(std::size_t client, std::span<const std::byte> body);
  bool on(std::size_t client, const Welcome& welcome);
  bool on(std::size_t client, const HelloRefused& refused);
  bool on(std::size_t client, const Reply& reply);
  bool on(std::size_t client, const Renewed& renewed);
  bool on(std::size_t client, const SessionEnded& ended);
  bool on(std::size_t client, const Queued& queued);
  bool on(std::size_t client, const Reclaimed& reclaimed);
  /// Answers to questions that are not asked here.
  template <class Other>
  bool on(std::size_t, const Other&) {
    return false;
  }
  void take_losses(std::size_t client, const std::vector<FileLoss>& losses);
  void tell_more(std::size_t client);
  void renew(std::size_t client, Clock::time_point now);
  void is_up(std::size_t client);
  void forget_session(Client& client);

  Target lockd_;
  Secured secured_;
  sockaddr_storage address_{};
  socklen_t address_size_ = 0;
  UniqueFd epoll_;
  wire::Codec codec_;
  std::vector<Client> clients_;
  std::vector<std::size_t> dirty_;    // have something to write
  std::deque<std::size_t> to_start_;  // connect_all()
  std::size_t at_once_ = 0;           // of those
  std::size_t on_the_way_ = 0;        // connecting, securing or greeting
  std::size_t up_ = 0;
  std::uint64_t turns_ = 0;
  Clock::time_point next_look_;
  std::vector<char> buffer_;
  std::mt19937_64 jitter_{1};
  Counts counts_;
};

/// Raises the limit of open descriptors so that `sockets` are possible. Throws SetupError if it
/// cannot, saying how many there may be.
void need_descriptors(std::size_t sockets);

}  // namespace holdfast::bench
