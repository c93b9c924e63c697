#include "lockd/access/certificates.h"

#include <memory>
#include <stdexcept>

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace holdfast::lockd {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&::X509_free)>;
using Memory = std::unique_ptr<BIO, decltype(&::BIO_free)>;

// Clocks of small machines are late after they start.
constexpr long kBeforeNow = -86'400;

[[noreturn]] void fail(const std::string& what) {
  const char* reason = ::ERR_reason_error_string(::ERR_peek_last_error());
  throw std::runtime_error(what + (reason == nullptr ? "" : std::string(": ") + reason));
}
void must(int done, const char* what) {
  if (done != 1) fail(what);
}

std::string text_of(BIO* memory) {
  char* bytes = nullptr;
  const long size = ::BIO_get_mem_data(memory, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}
Memory memory_of(const std::string& text) {
  return {::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &::BIO_free};
}

CertifiedKey to_pem(X509* certificate, EVP_PKEY* key) {
  const Memory first(::BIO_new(::BIO_s_mem()), &::BIO_free);
  const Memory second(::BIO_new(::BIO_s_mem()), &::BIO_free);
  must(::PEM_write_bio_X509(first.get(), certificate), "cannot write a certificate");
  must(::PEM_write_bio_PKCS8PrivateKey(second.get(), key, nullptr, nullptr, 0, nullptr, nullptr),
       "cannot write a key");
  return {text_of(first.get()), text_of(second.get())};
}

void add_extension(X509* certificate, X509* issuer, int which, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509V3_set_ctx_nodb(&context);
  const std::unique_ptr<X509_EXTENSION, decltype(&::X509_EXTENSION_free)> extension(
      ::X509V3_EXT_conf_nid(nullptr, &context, which, value.c_str()), &::X509_EXTENSION_free);
  if (!extension) fail("bad value in a certificate: " + value);
  must(::X509_add_ext(certificate, extension.get(), -1), "cannot extend a certificate");
}

Certificate blank(const std::string& common_name, EVP_PKEY* key, std::chrono::seconds valid_for) {
  Certificate out(::X509_new(), &::X509_free);
  must(::X509_set_version(out.get(), X509_VERSION_3), "certificate version");
  const std::unique_ptr<BIGNUM, decltype(&::BN_free)> serial(::BN_new(), &::BN_free);
  must(::BN_rand(serial.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY), "no random serial");
  if (::BN_to_ASN1_INTEGER(serial.get(), ::X509_get_serialNumber(out.get())) == nullptr)
    fail("no serial");
  const long seconds = static_cast<long>(valid_for.count());
  ::X509_gmtime_adj(::X509_getm_notBefore(out.get()), std::min(kBeforeNow, seconds + kBeforeNow));
  ::X509_gmtime_adj(::X509_getm_notAfter(out.get()), seconds);
  must(::X509_set_pubkey(out.get(), key), "certificate key");
  must(::X509_NAME_add_entry_by_txt(::X509_get_subject_name(out.get()), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.c_str()), -1,
                                    -1, 0),
       "bad common name");
  return out;
}

void sign(X509* certificate, X509* issuer, EVP_PKEY* key) {
  must(::X509_set_issuer_name(certificate, ::X509_get_subject_name(issuer)), "issuer");
  add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
  if (certificate != issuer)
    add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always");
  if (::X509_sign(certificate, key, ::EVP_sha256()) == 0) fail("cannot sign a certificate");
}

std::string alternative_names(const std::vector<std::string>& hosts) {
  std::string out;
  for (const std::string& host : hosts) {
    if (host.empty() || host.find_first_of(", \t\n;") != std::string::npos)
      throw std::runtime_error("'" + host + "' is no host name");
    in6_addr any{};
    const bool number = ::inet_pton(AF_INET, host.c_str(), &any) == 1 ||
                        ::inet_pton(AF_INET6, host.c_str(), &any) == 1;
    out += (out.empty() ? "" : ",") + std::string(number ? "IP:" : "DNS:") + host;
  }
  return out;
}

}  // namespace

CertifiedKey make_authority(const std::string& common_name) {
  const Key key(::EVP_EC_gen("P-256"), &::EVP_PKEY_free);
  if (!key) fail("cannot make a key");
  const Certificate certificate = blank(common_name, key.get(), std::chrono::days(7300));
  X509* const self = certificate.get();
  add_extension(self, self, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  add_extension(self, self, NID_key_usage, "critical,keyCertSign,cRLSign");
  sign(self, self, key.get());
  return to_pem(self, key.get());
}

CertifiedKey make_certificate(const CertifiedKey& authority, const CertificateWish& wish) {
  const Certificate issuer(
      ::PEM_read_bio_X509(memory_of(authority.certificate).get(), nullptr, nullptr, nullptr),
      &::X509_free);
  const Key issuer_key(
      ::PEM_read_bio_PrivateKey(memory_of(authority.key).get(), nullptr, nullptr, nullptr),
      &::EVP_PKEY_free);
  if (!issuer || !issuer_key) fail("not a certificate authority and its key");
  const Key key(::EVP_EC_gen("P-256"), &::EVP_PKEY_free);
  if (!key) fail("cannot make a key");
  const bool server = wish.use == CertificateWish::Use::kServer;
  const Certificate certificate = blank(wish.common_name, key.get(), wish.valid_for);
  add_extension(certificate.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate.get(), issuer.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(certificate.get(), issuer.get(), NID_ext_key_usage,
                server ? "serverAuth" : "clientAuth");
  if (!wish.hosts.empty())
    add_extension(certificate.get(), issuer.get(), NID_subject_alt_name,
                  alternative_names(wish.hosts));
  sign(certificate.get(), issuer.get(), issuer_key.get());
  return to_pem(certificate.get(), key.get());
}

}  // namespace holdfast::lockd
