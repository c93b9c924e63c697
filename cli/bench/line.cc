#include "cli/bench/line.h"

#include "holdfast/wire/tls.h"

#include <cerrno>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

namespace holdfast::bench {

Line::Line(UniqueFd socket, const Secured& secured) : socket_(std::move(socket)) {
  if (!secured.tls) return;
  ssl_.reset(::SSL_new(secured.tls->context()), &::SSL_free);
  ::SSL_set_connect_state(ssl_.get());
  ::SSL_set_mode(ssl_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  ::SSL_set_fd(ssl_.get(), socket_.get());
  if (!wire::expect_host(ssl_.get(), secured.host)) trouble_ = "TLS: no name of a host";
}

Line::Step Line::handshake() {
  if (!ssl_) return Step::kDone;
  if (!trouble_.empty()) return Step::kFailed;
  ::ERR_clear_error();
  const int done = ::SSL_do_handshake(ssl_.get());
  if (done == 1) return Step::kDone;
  switch (::SSL_get_error(ssl_.get(), done)) {
    case SSL_ERROR_WANT_READ:
      return Step::kReads;
    case SSL_ERROR_WANT_WRITE:
      return Step::kWrites;
    default:
      note_trouble();
      return Step::kFailed;
  }
}

ssize_t Line::send(const char* bytes, std::size_t size) {
  if (!ssl_) return ::send(socket_.get(), bytes, size, MSG_NOSIGNAL);
  ::ERR_clear_error();
  std::size_t sent = 0;
  const int done = ::SSL_write_ex(ssl_.get(), bytes, size, &sent);
  return done == 1 ? static_cast<ssize_t>(sent) : failed(done);
}

ssize_t Line::receive(char* bytes, std::size_t size) {
  if (!ssl_) return ::recv(socket_.get(), bytes, size, 0);
  ::ERR_clear_error();
  std::size_t received = 0;
  const int done = ::SSL_read_ex(ssl_.get(), bytes, size, &received);
  return done == 1 ? static_cast<ssize_t>(received) : failed(done);
}

// Without renegotiation a write waits for room only, and a read for bytes.
ssize_t Line::failed(int result) {
  const int why = ::SSL_get_error(ssl_.get(), result);
  if (why == SSL_ERROR_ZERO_RETURN) return 0;
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
    errno = EAGAIN;
    return -1;
  }
  note_trouble();
  errno = EPROTO;
  return -1;
}

void Line::note_trouble() {
  const long verified = ::SSL_get_verify_result(ssl_.get());
  const char* reason = verified != X509_V_OK ? ::X509_verify_cert_error_string(verified)
                                             : ::ERR_reason_error_string(::ERR_peek_error());
  trouble_ = std::string("TLS: ") + (reason == nullptr ? "the connection ended" : reason);
}

}  // namespace holdfast::bench
