#include "lib/wire/tls_stream.h"

#include "holdfast/wire/errc.h"

#include <cerrno>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

namespace asio = boost::asio;

namespace holdfast::wire {
namespace {

// ---- OpenSSL's view of the socket. Its own knows no MSG_NOSIGNAL, and would use the number of a
// descriptor that is closed and may be somebody else's by now.

StreamSocket& socket_of(BIO* bio) {
  return *static_cast<StreamSocket*>(::BIO_get_data(bio));
}

int after(BIO* bio, ssize_t bytes, std::size_t* done, int retry) {
  ::BIO_clear_retry_flags(bio);
  if (bytes > 0) {
    *done = static_cast<std::size_t>(bytes);
    return 1;
  }
  *done = 0;
  if (bytes == 0) {
    ::BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
    ::BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
  }
  return 0;
}

int write_socket(BIO* bio, const char* bytes, std::size_t size, std::size_t* done) {
  StreamSocket& socket = socket_of(bio);
  errno = EBADF;
  const ssize_t sent =
      socket.is_open() ? ::send(socket.native_handle(), bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT)
                       : -1;
  return after(bio, sent, done, BIO_FLAGS_WRITE);
}

int read_socket(BIO* bio, char* bytes, std::size_t size, std::size_t* done) {
  StreamSocket& socket = socket_of(bio);
  errno = EBADF;
  const ssize_t received =
      socket.is_open() ? ::recv(socket.native_handle(), bytes, size, MSG_DONTWAIT) : -1;
  return after(bio, received, done, BIO_FLAGS_READ);
}

long control_socket(BIO* bio, int what, long, void*) {
  if (what == BIO_CTRL_FLUSH) return 1;
  if (what == BIO_CTRL_EOF) return ::BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return 0;
}

const BIO_METHOD* socket_method() {
  static const std::shared_ptr<BIO_METHOD> method = [] {
    std::shared_ptr<BIO_METHOD> made(
        ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "holdfast socket"),
        &::BIO_meth_free);
    ::BIO_meth_set_write_ex(made.get(), &write_socket);
    ::BIO_meth_set_read_ex(made.get(), &read_socket);
    ::BIO_meth_set_ctrl(made.get(), &control_socket);
    ::BIO_meth_set_create(made.get(), [](BIO* bio) {
      ::BIO_set_init(bio, 1);
      return 1;
    });
    return made;
  }();
  return method.get();
}

// Common name of a certificate, if it has one and it is plain: what is written into lists and logs.
std::string common_name(X509* certificate) {
  X509_NAME* subject = ::X509_get_subject_name(certificate);
  const int at = ::X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || ::X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return {};
  unsigned char* text = nullptr;
  const int size =
      ::ASN1_STRING_to_UTF8(&text, ::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(subject, at)));
  if (size < 0) return {};
  std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
  ::OPENSSL_free(text);
  for (const char c : name)
    if (c <= ' ' || c > '~') return {};
  return name;
}

}  // namespace

Result<std::unique_ptr<TlsStream>> TlsStream::make(StreamSocket socket, std::string peer,
                                                   const Tls& tls) {
  std::unique_ptr<TlsStream> out(new TlsStream(std::move(socket), std::move(peer)));
  out->ssl_.reset(::SSL_new(tls.context()), &::SSL_free);
  BIO* bio = ::BIO_new(socket_method());
  if (!out->ssl_ || bio == nullptr) {
    ::BIO_free(bio);
    return errno_code(ENOMEM);
  }
  ::BIO_set_data(bio, &out->socket_);
  ::SSL_set_bio(out->ssl_.get(), bio, bio);  // which owns it now
  return out;
}

Result<std::unique_ptr<TlsStream>> TlsStream::to(StreamSocket socket, std::string peer,
                                                 const Tls& tls, const std::string& host) {
  auto out = make(std::move(socket), std::move(peer), tls);
  if (!out) return out;
  SSL* ssl = (*out)->ssl_.get();
  ::SSL_set_connect_state(ssl);
  if (!expect_host(ssl, host)) return errno_code(EINVAL);
  return out;
}

Result<std::unique_ptr<TlsStream>> TlsStream::from(StreamSocket socket, std::string peer,
                                                   const Tls& tls) {
  auto out = make(std::move(socket), std::move(peer), tls);
  if (out) ::SSL_set_accept_state((*out)->ssl_.get());
  return out;
}

asio::awaitable<Result<void>> TlsStream::handshake(TlsTurn turn) {
  for (;;) {
    if (turn.begin) co_await turn.begin();
    int why = SSL_ERROR_SYSCALL;
    if (socket_.is_open() && !failed_) {
      ::ERR_clear_error();
      errno = 0;
      const int done = ::SSL_do_handshake(ssl_.get());
      why = done == 1 ? SSL_ERROR_NONE : ::SSL_get_error(ssl_.get(), done);
    }
    ErrorCode error;
    const bool waits = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
    if (why != SSL_ERROR_NONE && !waits) error = failure(why);
    if (turn.end) turn.end();
    if (error) co_return error;
    if (why == SSL_ERROR_NONE) co_return boost::system::in_place_value;
    const auto ready = co_await ready_for(why);
    if (!ready) co_return ready.error();
  }
}

asio::awaitable<Result<std::size_t>> TlsStream::read_some(std::span<std::byte> room) {
  for (;;) {
    if (!socket_.is_open() || failed_) co_return make_error_code(WireErrc::kClosed);
    ::ERR_clear_error();
    errno = 0;
    std::size_t bytes = 0;
    const int done = ::SSL_read_ex(ssl_.get(), room.data(), room.size(), &bytes);
    if (done == 1) co_return bytes;
    const int why = ::SSL_get_error(ssl_.get(), done);
    const auto ready = co_await ready_for(why);
    if (!ready) co_return ready.error();
  }
}

asio::awaitable<Result<void>> TlsStream::write_all(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (!socket_.is_open() || failed_) co_return make_error_code(WireErrc::kClosed);
    ::ERR_clear_error();
    errno = 0;
    std::size_t written = 0;
    const int done = ::SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
    if (done == 1) {
      bytes = bytes.subspan(written);
      continue;
    }
    const int why = ::SSL_get_error(ssl_.get(), done);
    const auto ready = co_await ready_for(why);
    if (!ready) co_return ready.error();
  }
  co_return boost::system::in_place_value;
}

asio::awaitable<Result<void>> TlsStream::ready_for(int why) {
  if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) co_return failure(why);
  const auto wanted =
      why == SSL_ERROR_WANT_READ ? StreamSocket::wait_read : StreamSocket::wait_write;
  auto [error] = co_await socket_.async_wait(wanted, asio::as_tuple(asio::use_awaitable));
  if (error) co_return error;
  co_return boost::system::in_place_value;
}

// The end without close_notify is an end like any other: messages are framed, and a Goodbye is
// said.
ErrorCode TlsStream::failure(int why) {
  const int number = errno;
  failed_ = true;
  if (!socket_.is_open() || why == SSL_ERROR_ZERO_RETURN) return make_error_code(WireErrc::kClosed);
  const long verified = ::SSL_get_verify_result(ssl_.get());
  if (verified != X509_V_OK) return {static_cast<int>(verified), certificate_category()};
  const unsigned long code = ::ERR_peek_error();
  const int reason = ERR_GET_REASON(code);
  if (why == SSL_ERROR_SSL && reason != SSL_R_UNEXPECTED_EOF_WHILE_READING)
    return {ERR_GET_LIB(code) == ERR_LIB_SSL ? reason : SSL_R_BAD_SIGNATURE, tls_category()};
  if (number != 0 && why == SSL_ERROR_SYSCALL) return errno_code(number);
  return make_error_code(WireErrc::kClosed);
}

void TlsStream::close() {
  ErrorCode ignored;
  socket_.close(ignored);
}

Proof TlsStream::proof() const {
  Proof out{.channel = Channel::kTls, .certificate = {}};
  X509* certificate = ::SSL_get0_peer_certificate(ssl_.get());
  if (certificate != nullptr && ::SSL_get_verify_mode(ssl_.get()) == SSL_VERIFY_PEER &&
      ::SSL_get_verify_result(ssl_.get()) == X509_V_OK)
    out.certificate = common_name(certificate);
  return out;
}

}  // namespace holdfast::wire
