#pragma once
/// A small certificate authority: what `holdfast-lockd init` makes. Elliptic keys (P-256), PEM.
///
/// Pure but for randomness and the wall clock, which certificates are dated with. Thread: any.

#include <chrono>
#include <string>
#include <vector>

namespace holdfast::lockd {

struct CertifiedKey {
  std::string certificate;  ///< PEM
  std::string key;          ///< PEM, PKCS #8, without a passphrase
};

struct CertificateWish {
  enum class Use { kServer, kClient } use = Use::kServer;
  std::string common_name;
  /// Of a server: names and numbers it is reached by.
  std::vector<std::string> hosts;
  /// From now on. The past is for tests of what has expired.
  std::chrono::seconds valid_for = std::chrono::days(3650);
};

/// Signs nothing but ends (path length 0). Throws std::runtime_error where OpenSSL fails.
[[nodiscard]] CertifiedKey make_authority(const std::string& common_name);
/// Good for its use only: a client's certificate does not make a lockd, nor the other way round.
/// Throws std::runtime_error if `authority` is none, or a host is no name.
[[nodiscard]] CertifiedKey make_certificate(const CertifiedKey& authority,
                                            const CertificateWish& wish);

}  // namespace holdfast::lockd
