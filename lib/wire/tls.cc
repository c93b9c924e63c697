#include "holdfast/wire/tls.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace holdfast::wire {
namespace {

using Context = std::shared_ptr<SSL_CTX>;
using Read = boost::system::result<std::string, StartFailure>;

// A chain of certificates is a few; a client that sends more is not worth the memory.
constexpr long kPeerChainMax = 16 << 10;
constexpr int kChainDepthMax = 4;

StartFailure failure(const std::string& path, const std::string& what, std::string hint) {
  return {.code = errno_code(EINVAL),
          .what = fmt::format("{}: {}", path, what),
          .hint = std::move(hint)};
}

Read read_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (file.is_open() && !file.bad()) return text;
  const int number = errno == 0 ? EIO : errno;
  return StartFailure{.code = errno_code(number),
                      .what = fmt::format("cannot read {}: {}", path, std::strerror(number)),
                      .hint = number == EACCES ? "it must be readable for the user that runs this"
                                               : "'holdfast-lockd init' makes these files"};
}

std::string last_reason() {
  const unsigned long code = ::ERR_peek_last_error();
  const char* reason = ::ERR_reason_error_string(code);
  return reason == nullptr ? "unknown reason" : reason;
}

Started set_common(SSL_CTX* context) {
  // What follows cannot fail with these constants.
  ::SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  ::SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_num_tickets(context, 0);
  ::SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  // Idle connections are many; a write that is tried again comes from another buffer.
  ::SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  ::SSL_CTX_set_read_ahead(context, 1);
  ::SSL_CTX_set_max_cert_list(context, kPeerChainMax);
  ::SSL_CTX_set_verify_depth(context, kChainDepthMax);
  return boost::system::in_place_value;
}

Started set_ours(SSL_CTX* context, const TlsFiles& files) {
  if (files.certificate.empty()) return boost::system::in_place_value;
  for (const std::string* path : {&files.certificate, &files.key})
    if (auto text = read_file(*path); !text) return text.error();
  if (::SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1)
    return failure(files.certificate, "no certificate: " + last_reason(), "it must be PEM");
  if (::SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return failure(files.key, "not the key of " + files.certificate + ": " + last_reason(),
                   "it must be PEM, without a passphrase");
  return boost::system::in_place_value;
}

Started set_trust(SSL_CTX* context, Tls::Side side, const TlsFiles& files) {
  if (files.ca.empty()) {
    ::SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
    return boost::system::in_place_value;
  }
  if (::SSL_CTX_load_verify_file(context, files.ca.c_str()) != 1)
    return failure(files.ca, "no certificate: " + last_reason(), "it must be PEM");
  // A client without a certificate may have a token: it is asked for, not required.
  ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (side == Tls::Side::kLockd) {
    ::SSL_CTX_set_client_CA_list(context, ::SSL_load_client_CA_file(files.ca.c_str()));
  }
  return boost::system::in_place_value;
}

bool is_number(const std::string& host) {
  in6_addr any{};
  return ::inet_pton(AF_INET, host.c_str(), &any) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &any) == 1;
}

}  // namespace

Tls::Opened Tls::open(Side side, TlsFiles files) {
  std::unique_ptr<Tls> out(new Tls(side, std::move(files)));  // NOLINT: private constructor
  if (auto loaded = out->reload(); !loaded) return loaded.error();
  return std::shared_ptr<Tls>(std::move(out));
}

Started Tls::reload() {
  ::ERR_clear_error();
  const Context fresh(
      ::SSL_CTX_new(side_ == Side::kLockd ? ::TLS_server_method() : ::TLS_client_method()),
      &::SSL_CTX_free);
  if (!fresh) {
    return StartFailure{.code = errno_code(ENOMEM), .what = "no memory for TLS", .hint = {}};
  }
  std::string ca_text;
  if (!files_.ca.empty()) {
    auto text = read_file(files_.ca);
    if (!text) return text.error();
    ca_text = *std::move(text);
  }
  for (const Started& done : {set_common(fresh.get()), set_ours(fresh.get(), files_),
                              set_trust(fresh.get(), side_, files_)})
    if (!done) return done;
  if (context_ && ca_text != ca_text_) ++trust_;
  ca_text_ = std::move(ca_text);
  context_ = fresh;
  return boost::system::in_place_value;
}

bool expect_host(SSL* connection, const std::string& host) {
  X509_VERIFY_PARAM* param = ::SSL_get0_param(connection);
  ::X509_VERIFY_PARAM_set_hostflags(
      param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (is_number(host)) return ::X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
  return ::SSL_set1_host(connection, host.c_str()) == 1 &&
         ::SSL_set_tlsext_host_name(connection, host.c_str()) == 1;
}

}  // namespace holdfast::wire
