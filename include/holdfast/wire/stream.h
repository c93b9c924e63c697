#pragma once
/// Bytes both ways between a mount and lockd, in plain text or over TLS (tls.h).
///
/// Thread: the executor's thread only. At most one read and one write at a time.

#include "holdfast/base/result.h"
#include "holdfast/base/unique_fd.h"
#include "holdfast/wire/address.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::wire {

class Tls;

/// What protects a connection on its way.
enum class Channel : std::uint8_t {
  kUnix,      ///< a unix socket: file permissions say who
  kLoopback,  ///< plain text that does not leave this host
  kPlain,     ///< plain text
  kTls,
};
/// What is known of the other end without asking it.
struct Proof {
  Channel channel = Channel::kPlain;
  /// Common name in the certificate it has shown and that was verified; empty: none.
  std::string certificate;
};

class Stream {
 public:
  virtual ~Stream() = default;
  /// At least one byte; kClosed at the end of the stream.
  virtual boost::asio::awaitable<Result<std::size_t>> read_some(std::span<std::byte> room) = 0;
  virtual boost::asio::awaitable<Result<void>> write_all(std::span<const std::byte> bytes) = 0;
  /// Ends reads and writes under way; they fail. Nothing queued by the kernel is waited for.
  virtual void close() = 0;
  /// The other end, for people.
  [[nodiscard]] virtual const std::string& peer() const = 0;
  /// Final once something was read.
  [[nodiscard]] virtual Proof proof() const = 0;
};

/// So that one who asks for many TLS handshakes, each as dear as a thousand requests, does not keep
/// the others waiting: each step of one happens between begin() and end(). Both may be empty.
struct TlsTurn {
  std::function<boost::asio::awaitable<void>()> begin;
  std::function<void()> end;
};

/// How fast a dead peer is noticed. A TCP connection of either side gives up when sent bytes are
/// not acknowledged for `unacknowledged_max` (TCP_USER_TIMEOUT), and probes a silent peer at a
/// third of it.
struct StreamOptions {
  std::chrono::milliseconds unacknowledged_max{10'000};
  /// TLS on TCP; null: plain text. Unix sockets are always plain.
  std::shared_ptr<Tls> tls{};
  TlsTurn turn{};
};

/// Connects to any of the address's endpoints, in the resolver's order, TLS handshake included: the
/// address's host is who the other end must be. `timeout` bounds the whole.
/// Errors: the kernel's, the resolver's, tls.h.
[[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Stream>>> connect(
    Address address, StreamOptions options, std::chrono::milliseconds timeout);

/// A bound, listening socket.
class Acceptor {
 public:
  /// TCP: SO_REUSEADDR, IPv6 sockets take IPv6 only. Unix: mode 0600; a left-over socket file
  /// nobody listens on is replaced. kernel errors as they are; EADDRINUSE: somebody listens there.
  [[nodiscard]] static Result<std::unique_ptr<Acceptor>> open(
      const boost::asio::any_io_executor& executor, const Address& address, StreamOptions options);
  struct Socket;  // private: only open() can make one
  Acceptor(std::unique_ptr<Socket> socket, Address address, StreamOptions options);
  /// Closes, and removes the unix socket's file if it is still ours.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  /// With TLS the stream may all the same turn out to be plain text: the first byte tells, and
  /// Stream::proof(). Whether that is allowed is for the caller to say. The handshake is made by
  /// the first read_some().
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Stream>>> accept();
  void close();
  /// With the port that was chosen where 0 was asked for.
  [[nodiscard]] const Address& address() const { return address_; }

 private:
  std::unique_ptr<Socket> socket_;
  Address address_;
  StreamOptions options_;
};

/// A stream over a connected socket that is already open (tests: a socket pair).
[[nodiscard]] Result<std::unique_ptr<Stream>> stream_of(
    const boost::asio::any_io_executor& executor, UniqueFd connected);

}  // namespace holdfast::wire
