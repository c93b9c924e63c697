#include "tests/support/tls/certificates_on_disk.h"

#include <fstream>
#include <stdexcept>
#include <utility>

namespace holdfast::support {

CertificatesOnDisk::CertificatesOnDisk() : authority_(lockd::make_authority("test authority")) {
  std::string pattern = (std::filesystem::temp_directory_path() / "certificates-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  directory_ = pattern;
  write_text(ca(), authority_.certificate);
}

CertificatesOnDisk::~CertificatesOnDisk() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

wire::TlsFiles CertificatesOnDisk::make(const std::string& name, lockd::CertificateWish wish) {
  if (wish.common_name.empty()) wish.common_name = name;
  const lockd::CertifiedKey made = lockd::make_certificate(authority_, wish);
  const std::string base = (directory_ / name).string();
  write_text(base + ".pem", made.certificate);
  write_text(base + ".key", made.key);
  return {.ca = ca(), .certificate = base + ".pem", .key = base + ".key"};
}

wire::TlsFiles CertificatesOnDisk::server(const std::vector<std::string>& hosts) {
  lockd::CertificateWish wish;
  wish.hosts = hosts;
  return make("lockd", wish);
}

wire::TlsFiles CertificatesOnDisk::client(const std::string& name) {
  lockd::CertificateWish wish;
  wish.use = lockd::CertificateWish::Use::kClient;
  return make(name, wish);
}

wire::TlsFiles CertificatesOnDisk::believer() const {
  return {.ca = ca(), .certificate = {}, .key = {}};
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!(file << text).flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace holdfast::support
