#pragma once
/// A certificate authority and what it has signed, as files of a directory that goes with it.

#include "holdfast/wire/tls.h"
#include "lockd/access/certificates.h"

#include <filesystem>
#include <string>
#include <vector>

namespace holdfast::support {

class CertificatesOnDisk {
 public:
  CertificatesOnDisk();
  ~CertificatesOnDisk();
  CertificatesOnDisk(const CertificatesOnDisk&) = delete;
  CertificatesOnDisk& operator=(const CertificatesOnDisk&) = delete;

  /// Signed by this authority, into NAME.pem and NAME.key.
  wire::TlsFiles make(const std::string& name, lockd::CertificateWish wish);
  /// For 127.0.0.1 and localhost.
  wire::TlsFiles server(const std::vector<std::string>& hosts = {"127.0.0.1", "localhost"});
  wire::TlsFiles client(const std::string& name);
  /// Only whom to believe.
  [[nodiscard]] wire::TlsFiles believer() const;
  [[nodiscard]] std::string ca() const { return (directory_ / "ca.pem").string(); }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

 private:
  std::filesystem::path directory_;
  lockd::CertifiedKey authority_;
};

/// What the paths name is replaced.
void write_text(const std::string& path, const std::string& text);

}  // namespace holdfast::support
