#pragma once
/// lockd with TLS and an access list, and peers with all kinds of credentials. A well-behaved
/// session of volume 1 is there each time, and must not notice what others try.

#include "lockd/access/access_list.h"
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/raw_peer.h"
#include "tests/support/tls/certificates_on_disk.h"
#include "tests/support/tls/tls_peer.h"

#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

namespace holdfast {

class LockdSecurity : public ::testing::Test {
 protected:
  using Adjust = std::function<void(lockd::ServerOptions&)>;

  explicit LockdSecurity(Adjust adjust = {})
      : server_files(certificates.server()),
        tls(open(server_files)),
        lockd({.lease_ttl = std::chrono::seconds(10),
               .adjust =
                   [this, adjust](lockd::ServerOptions& options) {
                     options.tls = tls;
                     options.access = list_of(kBoth);
                     if (adjust) adjust(options);
                   }}),
        good(lockd.address(), certificates.believer()) {
    good.open(1, "secret of 1");
    good.ask(1, support::lock_request(1, LockMode::kExclusive));
  }
  void TearDown() override {
    EXPECT_TRUE(std::holds_alternative<Done>(good.ask(2, support::unlock_request(1))));
    EXPECT_TRUE(std::holds_alternative<Granted>(
        good.ask(3, support::lock_request(1, LockMode::kExclusive))));
  }

  static std::shared_ptr<wire::Tls> open(const wire::TlsFiles& files) {
    auto opened = wire::Tls::open(wire::Tls::Side::kLockd, files);
    if (!opened) throw std::runtime_error(opened.error().what);
    return *opened;
  }

  enum Which { kBoth, kOnlyFirst };
  /// Tokens "secret of N" for volume N = 1, 2; certificate node-a for volume 1.
  static std::shared_ptr<const lockd::AccessList> list_of(Which which) {
    lockd::AccessList list;
    for (std::uint8_t n = 1; n <= (which == kBoth ? 2 : 1); ++n) {
      lockd::Credential one;
      one.name = "token-" + std::to_string(n);
      one.hash = lockd::hash_of("secret of " + std::to_string(n));
      one.volumes = {support::volume_of(n)};
      EXPECT_EQ(list.add(one), "");
    }
    lockd::Credential certificate;
    certificate.kind = lockd::Credential::Kind::kCertificate;
    certificate.name = "node-a";
    certificate.volumes = {support::volume_of(1)};
    EXPECT_EQ(list.add(certificate), "");
    return std::make_shared<const lockd::AccessList>(list);
  }
  void reload(Which which) {
    lockd.change([this, which](lockd::Server& server) {
      ASSERT_TRUE(tls->reload());
      server.reload(list_of(which));
    });
  }
  support::TlsPeer peer() { return peer(certificates.believer()); }
  support::TlsPeer peer(const wire::TlsFiles& files) { return {lockd.address(), files}; }

  support::CertificatesOnDisk certificates;
  wire::TlsFiles server_files;
  std::shared_ptr<wire::Tls> tls;
  support::InProcessLockd lockd;
  support::TlsPeer good;
};

}  // namespace holdfast
