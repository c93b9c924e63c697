#pragma once
/// TLS 1.3 for either side of a connection: which certificate to show, whom to believe.
///
/// Only 1.3: there is no older peer to be kind to. No resumption, no tickets: each connection is
/// checked anew, so that what was taken away stays away.
///
/// Thread: the executor's thread only. Connections keep what they began with.

#include "holdfast/base/result.h"
#include "holdfast/wire/start_failure.h"

#include <cstdint>
#include <memory>
#include <string>

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

struct ssl_ctx_st;
struct ssl_st;

namespace holdfast::wire {

/// Paths of PEM files.
struct TlsFiles {
  /// Certificates of who may have signed the other end's. lockd: may be empty, then no client's
  /// certificate is looked at. A mount: required.
  std::string ca;
  /// Ours, with what it takes to verify it; and its key. lockd: required. A mount: both or neither.
  std::string certificate;
  std::string key;
};

class Tls {
 public:
  enum class Side { kLockd, kMount };
  using Opened = boost::system::result<std::shared_ptr<Tls>, StartFailure>;

  /// Reads the files. What is wrong with them is told with the path.
  [[nodiscard]] static Opened open(Side side, TlsFiles files);
  /// Reads them again: for connections from now on. On failure nothing changes.
  [[nodiscard]] Started reload();

  [[nodiscard]] Side side() const { return side_; }
  /// Grows when a reload found another `ca`: who was believed may not be any more.
  [[nodiscard]] std::uint64_t trust() const { return trust_; }
  [[nodiscard]] ssl_ctx_st* context() const { return context_.get(); }

 private:
  Tls(Side side, TlsFiles files) : side_(side), files_(std::move(files)) {}

  Side side_;
  TlsFiles files_;
  std::string ca_text_;
  std::uint64_t trust_ = 0;
  std::shared_ptr<ssl_ctx_st> context_;
};

/// Of a connection to `host`, before its handshake: the other end's certificate must be for that
/// name, or for that address if it is one. False: nobody can have a certificate for it.
[[nodiscard]] bool expect_host(ssl_st* connection, const std::string& host);

/// Values are X509_V_ERR_...: why the other end's certificate is not believed (EACCES).
[[nodiscard]] const boost::system::error_category& certificate_category();
/// Values are SSL_R_...: why a handshake, or a connection later, failed (EPROTO).
[[nodiscard]] const boost::system::error_category& tls_category();
/// Of either.
[[nodiscard]] bool is_tls_error(const ErrorCode& error);

}  // namespace holdfast::wire
