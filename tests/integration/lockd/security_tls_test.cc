// Handshakes that must not succeed, and connections that are not what they should be.
#include "holdfast/wire/errc.h"
#include "tests/integration/lockd/security_fixture.h"

#include <array>
#include <vector>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <openssl/ssl.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using support::RawPeer;
using support::TlsPeer;
using support::volume_of;
using Use = lockd::CertificateWish::Use;

wire::TlsFiles with_ca(wire::TlsFiles files, const std::string& ca) {
  files.ca = ca;
  return files;
}

// ---- Clients that lockd must not believe. With TLS 1.3 they hear of it after their handshake.

TEST_F(LockdSecurity, ACertificateOfAnotherAuthorityIsNotBelieved) {
  support::CertificatesOnDisk others;
  TlsPeer stranger = peer(with_ca(others.client("node-a"), certificates.ca()));
  stranger.greet(1, "");
  EXPECT_FALSE(stranger.receive());
  EXPECT_EQ(stranger.error().category(), wire::tls_category()) << stranger.error().message();
  EXPECT_EQ(stranger.error().value(), SSL_R_TLSV1_ALERT_UNKNOWN_CA);
  // A good token does not help: the handshake has failed.
  TlsPeer with_token = peer(with_ca(others.client("node-a"), certificates.ca()));
  with_token.greet(1, "secret of 1");
  EXPECT_FALSE(with_token.receive());
}

TEST_F(LockdSecurity, AnExpiredCertificateIsNotBelieved) {
  lockd::CertificateWish wish;
  wish.use = Use::kClient;
  wish.valid_for = -1h;
  wish.common_name = "node-a";
  TlsPeer late = peer(certificates.make("late", wish));
  late.greet(1, "");
  EXPECT_FALSE(late.receive());
  EXPECT_EQ(late.error().value(), SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED) << late.error().message();
}

TEST_F(LockdSecurity, AServersCertificateMakesNoClient) {
  lockd::CertificateWish wish;
  wish.common_name = "node-a";
  TlsPeer server = peer(certificates.make("server", wish));
  server.greet(1, "");
  EXPECT_FALSE(server.receive());
  EXPECT_TRUE(wire::is_tls_error(server.error())) << server.error().message();
}

// ---- Servers that a mount must not believe

class FalseLockd : public ::testing::Test {
 protected:
  ErrorCode meet(const wire::TlsFiles& shown) {
    auto tls = wire::Tls::open(wire::Tls::Side::kLockd, with_ca(shown, ""));
    support::InProcessLockd lockd({.adjust = [&](auto& options) { options.tls = *tls; }});
    return TlsPeer(lockd.address(), certificates.believer()).handshake();
  }
  support::CertificatesOnDisk certificates;
};

TEST_F(FalseLockd, IsBelievedOnlyByTheRightAuthorityNameAndUse) {
  EXPECT_FALSE(meet(certificates.server())) << "the right one";
  support::CertificatesOnDisk others;
  const ErrorCode stranger = meet(others.server());
  EXPECT_EQ(stranger.category(), wire::certificate_category()) << stranger.message();
  const ErrorCode other_host = meet(certificates.server({"elsewhere.example", "10.9.9.9"}));
  EXPECT_EQ(other_host.value(), X509_V_ERR_IP_ADDRESS_MISMATCH) << other_host.message();
  lockd::CertificateWish client;
  client.use = Use::kClient;
  client.hosts = {"127.0.0.1"};
  const ErrorCode stolen = meet(certificates.make("stolen", client));
  EXPECT_EQ(stolen.value(), X509_V_ERR_INVALID_PURPOSE) << stolen.message();
  lockd::CertificateWish late;
  late.hosts = {"127.0.0.1"};
  late.valid_for = -1h;
  EXPECT_EQ(meet(certificates.make("late", late)).value(), X509_V_ERR_CERT_HAS_EXPIRED);
}

TEST(TlsMount, DoesNotFallBackToPlainText) {
  support::InProcessLockd plain;
  support::CertificatesOnDisk certificates;
  TlsPeer peer(plain.address(), certificates.believer());
  EXPECT_TRUE(peer.handshake()) << "no TLS, no connection";
}

// ---- What is not TLS 1.3

class OldClient {
 public:
  explicit OldClient(const wire::Address& address) {
    const auto& tcp = std::get<wire::TcpAddress>(address);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(tcp.port);
    ::inet_pton(AF_INET, tcp.host.c_str(), &name.sin_addr);
    fd_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    connected_ = ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
  }
  bool handshake(int version_max) {
    const std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> context(
        ::SSL_CTX_new(::TLS_client_method()), &::SSL_CTX_free);
    ::SSL_CTX_set_max_proto_version(context.get(), version_max);
    const std::unique_ptr<SSL, decltype(&::SSL_free)> ssl(::SSL_new(context.get()), &::SSL_free);
    ::SSL_set_fd(ssl.get(), fd_.get());
    return connected_ && ::SSL_connect(ssl.get()) == 1;
  }

 private:
  UniqueFd fd_;
  bool connected_ = false;
};

TEST_F(LockdSecurity, OlderTlsIsRefused) {
  EXPECT_FALSE(OldClient(lockd.address()).handshake(TLS1_2_VERSION));
  EXPECT_TRUE(OldClient(lockd.address()).handshake(TLS1_3_VERSION)) << "that was the reason";
}

TEST_F(LockdSecurity, WhatIsNeitherTlsNorOursIsClosed) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\x16\x03\x01\x00\x05hello", 10),
        std::string(300, '\x16'), std::string("\x16\x03\x03\xff\xff") + std::string(70'000, 'x')}) {
    RawPeer stranger(lockd.address());
    stranger.send_bytes(bytes);
    EXPECT_TRUE(stranger.closed_by_lockd());
  }
}

TEST_F(LockdSecurity, AnOversizedFrameEndsItsConnectionOnly) {
  TlsPeer two = peer();
  const Welcome welcome = two.open(2, "secret of 2");
  two.send_bytes(std::string("\x00\x00\x40\x01", 4));  // 16 KiB + 1
  EXPECT_TRUE(two.closed_by_lockd());
  TlsPeer before_hello = peer();
  before_hello.send_bytes(std::string("\x7f\xff\xff\xff", 4));
  EXPECT_TRUE(before_hello.closed_by_lockd());
  EXPECT_EQ(lockd.probe().malformed, 2u);
}

// One message of many TLS records.
TEST(TlsLockd, ALongMessageArrivesWhole) {
  support::CertificatesOnDisk certificates;
  auto tls = wire::Tls::open(wire::Tls::Side::kLockd, certificates.server());
  support::InProcessLockd lockd({.adjust = [&](auto& options) { options.tls = *tls; }});
  const Welcome welcome = TlsPeer(lockd.address(), certificates.believer()).open(2, "");
  lockd.kill();
  lockd.start();
  TlsPeer back(lockd.address(), certificates.believer());
  Hello hello;
  hello.resume = ResumeSession{welcome.session, welcome.secret, {}};
  back.greet(2, "", hello);
  ASSERT_TRUE(back.expect<Welcome>().reclaim);
  Reclaim reclaim;
  for (std::uint64_t i = 0; i < 4096; ++i) {
    HeldLock held;
    held.owner = {1};
    held.file = {.fileid = 100 + i, .handle_hash = i};
    reclaim.locks.push_back(held);
  }
  reclaim.last = true;
  back.send(reclaim);
  EXPECT_TRUE(back.expect<Reclaimed>().losses.empty());
}

// ---- Slow and many

class LockdSlowHandshakes : public LockdSecurity {
 protected:
  LockdSlowHandshakes()
      : LockdSecurity([](auto& options) {
          options.strangers_max = 8;
          options.hello_timeout = 500ms;
        }) {}
};

TEST_F(LockdSlowHandshakes, AHandshakeHasToEndInTime) {
  RawPeer says_nothing(lockd.address());
  RawPeer says_a_little(lockd.address());
  says_a_little.send_bytes(std::string("\x16\x03\x01\x02", 4));
  EXPECT_TRUE(says_nothing.closed_by_lockd());
  EXPECT_TRUE(says_a_little.closed_by_lockd());
  TlsPeer silent_afterwards = peer();
  EXPECT_TRUE(silent_afterwards.closed_by_lockd()) << "a handshake is no Hello";
}

TEST_F(LockdSlowHandshakes, ACrowdOfHalfHandshakesKeepsNobodyOut) {
  std::vector<std::unique_ptr<RawPeer>> crowd;
  for (int i = 0; i < 100; ++i) {
    crowd.push_back(std::make_unique<RawPeer>(lockd.address()));
    crowd.back()->send_bytes(std::string("\x16\x03\x01\x02", 4));
  }
  TlsPeer late = peer();
  EXPECT_NE(late.open(2, "secret of 2").session.value, 0u);
  EXPECT_TRUE(crowd.front()->closed_by_lockd()) << "the oldest goes first";
}

// ---- Plain text from elsewhere. Needs an address of this host that is not loopback.

std::string outer_address() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(first, &::freeifaddrs);
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    if ((one->ifa_flags & IFF_LOOPBACK) != 0 || (one->ifa_flags & IFF_UP) == 0) continue;
    std::array<char, INET_ADDRSTRLEN> text{};
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
    ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    return text.data();
  }
  return {};
}

class PlainTextFromElsewhere : public ::testing::Test {
 protected:
  void SetUp() override {
    host = outer_address();
    if (host.empty()) GTEST_SKIP() << "this host has only loopback";
  }
  /// `expected`: whether a Hello in plain text is welcomed; else the reason.
  std::string greet(lockd::PlainText plain_text, const std::string& token) {
    support::CertificatesOnDisk certificates;
    auto tls = wire::Tls::open(wire::Tls::Side::kLockd, certificates.server());
    lockd::AccessList list;
    lockd::Credential all;
    all.name = "all";
    all.hash = lockd::hash_of("secret");
    all.all = true;
    EXPECT_EQ(list.add(all), "");
    support::InProcessLockd lockd({.adjust = [&](lockd::ServerOptions& options) {
      options.listen = {wire::TcpAddress{host, 0}};
      options.tls = *tls;
      options.access = std::make_shared<const lockd::AccessList>(list);
      options.plain_text = plain_text;
    }});
    RawPeer peer(lockd.address());
    Hello hello;
    hello.token = token;
    peer.send(hello);
    const auto answer = peer.receive();
    if (!answer) return "closed";
    if (const auto* refused = std::get_if<HelloRefused>(&*answer)) return refused->reason;
    return std::holds_alternative<Welcome>(*answer) ? "welcome" : "something else";
  }
  std::string host;
};

TEST_F(PlainTextFromElsewhere, IsToldToSpeakTlsWhateverItHas) {
  const std::string refusal = "this lockd speaks TLS only: the mount needs its CA certificate";
  EXPECT_EQ(greet(lockd::PlainText::kLocal, ""), refusal);
  EXPECT_EQ(greet(lockd::PlainText::kLocal, "secret"), refusal);
}

TEST_F(PlainTextFromElsewhere, IsTakenWhereItIsAllowed) {
  EXPECT_EQ(greet(lockd::PlainText::kEverywhere, ""), "welcome");
  EXPECT_EQ(greet(lockd::PlainText::kEverywhere, "secret"), "welcome");
  EXPECT_EQ(greet(lockd::PlainText::kEverywhere, "wrong"), "the token is not in the access list");
}

}  // namespace
}  // namespace holdfast
