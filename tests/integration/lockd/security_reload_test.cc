// Credentials and certificates that change while sessions live.
#include "fs/lock/lock_client.h"
#include "tests/integration/lockd/security_fixture.h"

#include <fstream>
#include <utility>

namespace holdfast {
namespace {

using support::lock_request;
using support::TlsPeer;
using support::volume_of;

Hello resume(const Welcome& welcome) {
  Hello hello;
  hello.resume =
      ResumeSession{.session = welcome.session, .secret = welcome.secret, .losses_seen = {}};
  return hello;
}

TEST_F(LockdSecurity, ARemovedTokensConnectionsEndAndDoNotComeBack) {
  TlsPeer two = peer();
  const Welcome welcome = two.open(2, "secret of 2");
  two.ask(1, lock_request(1, LockMode::kExclusive));
  reload(kOnlyFirst);
  EXPECT_TRUE(two.closed_by_lockd());
  EXPECT_EQ(lockd.probe().access_revoked, 1u) << "nobody else's";
  TlsPeer back = peer();
  EXPECT_EQ(back.refused(2, "secret of 2", resume(welcome)).errc, LockErrc::kAccessDenied);
  TlsPeer fresh = peer();
  EXPECT_EQ(fresh.refused(2, "secret of 2").errc, LockErrc::kAccessDenied);
  // It is as silent as one that cannot reach us: put back in time, it has lost nothing.
  reload(kBoth);
  TlsPeer again = peer();
  again.greet(2, "secret of 2", resume(welcome));
  EXPECT_EQ(again.expect<Welcome>().session, welcome.session);
  EXPECT_TRUE(std::holds_alternative<Granted>(again.expect<Reply>().outcome)) << "kept until seen";
}

TEST_F(LockdSecurity, AReloadThatChangesNothingEndsNothing) {
  TlsPeer by_certificate = peer(certificates.client("node-a"));
  by_certificate.open(1, "");
  reload(kBoth);
  by_certificate.send(Renew{5});
  EXPECT_EQ(by_certificate.expect<Renewed>().tick, 5u);
  EXPECT_EQ(lockd.probe().access_revoked, 0u);
}

// lockd's certificate is another one, of another authority: who is connected goes on, who comes
// must know the new one.
TEST_F(LockdSecurity, ANewCertificateIsForNewConnections) {
  support::CertificatesOnDisk others;
  const wire::TlsFiles fresh = others.server();
  std::filesystem::copy_file(fresh.certificate, server_files.certificate,
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::copy_file(fresh.key, server_files.key,
                             std::filesystem::copy_options::overwrite_existing);
  reload(kBoth);
  good.send(Renew{5});
  EXPECT_EQ(good.expect<Renewed>().tick, 5u);
  TlsPeer knows_the_old = peer();
  EXPECT_EQ(knows_the_old.handshake().category(), wire::certificate_category());
  TlsPeer knows_the_new = peer(others.believer());
  EXPECT_NE(knows_the_new.open(1, "secret of 1").session.value, 0u);
}

// Who was believed for the sake of a CA that is not believed any more has to show a new
// certificate; tokens have nothing to do with it.
TEST_F(LockdSecurity, AnotherClientAuthorityEndsWhatTheOldOneHasLetIn) {
  TlsPeer by_certificate = peer(certificates.client("node-a"));
  by_certificate.open(1, "");
  support::CertificatesOnDisk others;
  std::filesystem::copy_file(others.ca(), server_files.ca,
                             std::filesystem::copy_options::overwrite_existing);
  reload(kBoth);
  EXPECT_TRUE(by_certificate.closed_by_lockd());
  EXPECT_EQ(lockd.probe().access_revoked, 1u) << "nobody else's";
}

TEST_F(LockdSecurity, FilesThatCannotBeReadChangeNothing) {
  support::write_text(server_files.certificate, "no certificate");
  lockd.change([this](lockd::Server&) {
    const auto reloaded = tls->reload();
    ASSERT_FALSE(reloaded);
    EXPECT_NE(reloaded.error().what.find("lockd.pem"), std::string::npos);
  });
  TlsPeer two = peer();
  EXPECT_NE(two.open(2, "secret of 2").session.value, 0u);
}

// ---- The mount's own client

class LockdSecurityMount : public LockdSecurity {
 protected:
  fs::LockClientOptions options(const wire::TlsFiles& files, std::uint8_t volume) {
    fs::LockClientOptions out;
    out.addresses = {lockd.address()};
    out.volume = volume_of(volume);
    out.credentials.tls = *wire::Tls::open(wire::Tls::Side::kMount, files);
    return out;
  }
  support::DrivenLoop loop;
};

TEST_F(LockdSecurityMount, ComesBackWithTheTokenItIsGivenByThen) {
  std::string token = "secret of 2";
  auto with = options(certificates.believer(), 2);
  with.credentials.token = [&token] { return token; };
  fs::LockClient client(loop.executor(), std::move(with));
  ASSERT_TRUE(loop.run(client.start()));
  ASSERT_TRUE(loop.run(client.lock(lock_request(1, LockMode::kExclusive), nullptr)));
  const auto session = client.session();
  reload(kOnlyFirst);  // and it cannot come back
  loop.until([&] { return lockd.probe().access_denied > 0; });
  lockd::AccessList list = *list_of(kOnlyFirst);
  lockd::Credential renewed;
  renewed.name = "renewed";
  renewed.hash = lockd::hash_of("another secret");
  renewed.volumes = {volume_of(2)};
  ASSERT_EQ(list.add(renewed), "");
  lockd.change([&](lockd::Server& server) {
    server.reload(std::make_shared<const lockd::AccessList>(list));
  });
  token = "another secret";
  ASSERT_TRUE(loop.run(client.unlock(support::unlock_request(1))));
  EXPECT_EQ(client.session(), session) << "the same session, its lock kept";
  loop.run(client.stop());
}

TEST_F(LockdSecurityMount, SaysWhyItIsNotLetIn) {
  const auto why = [&](fs::LockClientOptions with) {
    fs::LockClient client(loop.executor(), std::move(with));
    const auto started = loop.run(client.start());
    EXPECT_FALSE(started);
    return started ? std::string() : started.error().what + " | " + started.error().hint;
  };
  const auto says = [](const std::string& text, const std::string& words) {
    EXPECT_NE(text.find(words), std::string::npos) << text;
  };
  says(why(options(certificates.believer(), 2)), "neither a token nor a client certificate");
  auto wrong_volume = options(certificates.believer(), 1);
  wrong_volume.credentials.token = [] { return std::string("secret of 2"); };
  says(why(std::move(wrong_volume)), "'token-2' is not for volume");
  support::CertificatesOnDisk others;
  says(why(options(others.believer(), 2)), "its certificate is not believed");
  auto other_client = options(others.client("node-a"), 1);
  other_client.credentials.tls =
      *wire::Tls::open(wire::Tls::Side::kMount, {.ca = certificates.ca(),
                                                 .certificate = others.client("node-a").certificate,
                                                 .key = others.client("node-a").key});
  EXPECT_NE(why(std::move(other_client)), "");
}

}  // namespace
}  // namespace holdfast
