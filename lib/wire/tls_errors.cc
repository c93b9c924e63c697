#include "holdfast/wire/tls.h"

#include <cerrno>
#include <string>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

namespace holdfast::wire {
namespace {

class CertificateCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "holdfast.certificate"; }
  [[nodiscard]] std::string message(int value) const override {
    return std::string("its certificate is not believed: ") +
           ::X509_verify_cert_error_string(value);
  }
  [[nodiscard]] boost::system::error_condition default_error_condition(
      int) const noexcept override {
    return {EACCES, boost::system::generic_category()};
  }
};

class TlsCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "holdfast.tls"; }
  [[nodiscard]] std::string message(int value) const override {
    switch (value) {
      case SSL_R_WRONG_VERSION_NUMBER:
      case SSL_R_PACKET_LENGTH_TOO_LONG:
      case SSL_R_HTTP_REQUEST:
        return "it does not speak TLS";
      case SSL_R_UNSUPPORTED_PROTOCOL:
      case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return "it does not speak TLS 1.3";
      case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "it does not know who signed our certificate";
      case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "it says that our certificate has expired";
      case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
      case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
      case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
      case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        return "it does not accept our certificate";
      default:
        break;
    }
    const char* reason = ::ERR_reason_error_string(
        ERR_PACK(static_cast<unsigned long>(ERR_LIB_SSL), 0UL, static_cast<unsigned long>(value)));
    return std::string("TLS failed: ") + (reason == nullptr ? "unknown reason" : reason);
  }
  [[nodiscard]] boost::system::error_condition default_error_condition(
      int) const noexcept override {
    return {EPROTO, boost::system::generic_category()};
  }
};

}  // namespace

const boost::system::error_category& certificate_category() {
  static const CertificateCategory category;
  return category;
}

const boost::system::error_category& tls_category() {
  static const TlsCategory category;
  return category;
}

bool is_tls_error(const ErrorCode& error) {
  return error.category() == certificate_category() || error.category() == tls_category();
}

}  // namespace holdfast::wire
