#pragma once
/// Bytes to lockd and back, never waiting: a socket, or TLS over it.
///
/// Thread: one.

#include "holdfast/base/unique_fd.h"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <sys/types.h>

struct ssl_st;

namespace holdfast::wire {
class Tls;
}

namespace holdfast::bench {

/// For TLS: whom to believe and what to show, and the host that the other end must be. Without
/// `tls` plain text.
struct Secured {
  std::shared_ptr<wire::Tls> tls{};
  std::string host{};
};

class Line {
 public:
  enum class Step { kDone, kReads, kWrites, kFailed };

  Line() = default;
  Line(UniqueFd socket, const Secured& secured);

  [[nodiscard]] bool is_open() const { return static_cast<bool>(socket_); }
  [[nodiscard]] int fd() const { return socket_.get(); }
  /// Once the socket is connected: kDone, or what to wait for before the next call.
  [[nodiscard]] Step handshake();
  /// As send(2) and recv(2) that do not wait: -1 with errno, EAGAIN among them.
  [[nodiscard]] ssize_t send(const char* bytes, std::size_t size);
  [[nodiscard]] ssize_t receive(char* bytes, std::size_t size);
  /// Why TLS failed, for people; empty: it did not.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

 private:
  [[nodiscard]] ssize_t failed(int result);
  void note_trouble();

  UniqueFd socket_;
  std::shared_ptr<ssl_st> ssl_;
  std::string trouble_;
};

}  // namespace holdfast::bench
