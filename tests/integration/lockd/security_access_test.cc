// Whose session may be of which volume, and what a credential of one is worth at another.
#include "tests/integration/lockd/security_fixture.h"

namespace holdfast {
namespace {

using support::lock_request;
using support::RawPeer;
using support::TlsPeer;
using support::volume_of;

TEST_F(LockdSecurity, ATokenLetsIn) {
  TlsPeer two = peer();
  two.open(2, "secret of 2");
  // The same file key as `good` has locked: another volume, another file.
  EXPECT_TRUE(std::holds_alternative<Granted>(two.ask(1, lock_request(1, LockMode::kExclusive))));
}

TEST_F(LockdSecurity, ACertificateLetsIn) {
  TlsPeer one = peer(certificates.client("node-a"));
  EXPECT_NE(one.open(1, "").session.value, 0u);
  const Outcome outcome = one.ask(1, lock_request(9, LockMode::kExclusive));
  ASSERT_TRUE(std::holds_alternative<Refused>(outcome)) << "the same file as of `good`";
  EXPECT_EQ(std::get<Refused>(outcome).errc, LockErrc::kWouldBlock);
}

TEST_F(LockdSecurity, WithoutAnyCredentialNobodyIsLetIn) {
  TlsPeer nobody = peer();
  const HelloRefused refused = nobody.refused(1, "");
  EXPECT_EQ(refused.errc, LockErrc::kAccessDenied);
  EXPECT_NE(refused.reason.find("neither a token nor"), std::string::npos) << refused.reason;
  EXPECT_TRUE(nobody.closed_by_lockd());
  EXPECT_EQ(lockd.probe().access_denied, 1u);
}

TEST_F(LockdSecurity, AWrongTokenIsRefused) {
  for (const std::string& token : {std::string("secret of 3"), std::string("secret of 1 "),
                                   std::string("secret of "), std::string(kTokenTextMax, 'x')}) {
    TlsPeer wrong = peer();
    EXPECT_EQ(wrong.refused(1, token).errc, LockErrc::kAccessDenied) << token;
  }
  // A good certificate does not make up for it: somebody tried.
  TlsPeer both = peer(certificates.client("node-a"));
  EXPECT_EQ(both.refused(1, "secret of 3").errc, LockErrc::kAccessDenied);
}

TEST_F(LockdSecurity, ACredentialIsGoodForItsVolumeOnly) {
  TlsPeer token = peer();
  const HelloRefused refused = token.refused(1, "secret of 2");
  EXPECT_EQ(refused.errc, LockErrc::kAccessDenied);
  EXPECT_EQ(refused.reason, "'token-2' is not for volume 00000000-0000-0000-0000-000000000001");
  EXPECT_TRUE(token.closed_by_lockd());
  TlsPeer certificate = peer(certificates.client("node-a"));
  EXPECT_EQ(certificate.refused(2, "").errc, LockErrc::kAccessDenied);
  TlsPeer unknown = peer(certificates.client("node-b"));
  EXPECT_EQ(unknown.refused(1, "").errc, LockErrc::kAccessDenied) << "signed, but not in the list";
  EXPECT_EQ(lockd.probe().access_denied, 3u);
}

class LockdShares : public LockdSecurity {
 protected:
  LockdShares()
      : LockdSecurity([](lockd::ServerOptions& options) {
          options.coordinator.limits.sessions_per_volume_max = 2;
          options.coordinator.limits.ranges_per_session_max = 2;
        }) {}
};

// Whoever fills what is his keeps nobody else out, and is told what it was that he has filled.
TEST_F(LockdShares, WhatIsFullIsFullForItsOwnerOnly) {
  ::testing::internal::CaptureStderr();
  TlsPeer one = peer();
  one.open(2, "secret of 2");
  TlsPeer two = peer();
  two.open(2, "secret of 2");
  const HelloRefused third = peer().refused(2, "secret of 2");
  EXPECT_EQ(third.errc, LockErrc::kTooManySessions);
  EXPECT_EQ(third.reason,
            "this volume has as many sessions as it may (limit sessions_of_volume, 2)");
  TlsPeer other = peer();
  other.open(1, "secret of 1");

  for (std::uint64_t n = 1; n <= 2; ++n)
    EXPECT_TRUE(std::holds_alternative<Granted>(one.ask(n, lock_request(n, LockMode::kShared))));
  const Outcome full = one.ask(3, lock_request(3, LockMode::kShared));
  ASSERT_TRUE(std::holds_alternative<Refused>(full));
  EXPECT_EQ(std::get<Refused>(full).errc, LockErrc::kTooManyRanges);
  EXPECT_TRUE(std::holds_alternative<Granted>(two.ask(1, lock_request(3, LockMode::kShared))));
  lockd.change([](lockd::Server&) {});  // what it has done before it has said
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("limit.refused limit=sessions_of_volume max=2 session=none"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find("limit.refused limit=ranges_of_session max=2 session="), std::string::npos)
      << said;
}

// What a client says about itself besides is for people: it opens nothing.
TEST_F(LockdSecurity, AnotherVolumesNameOpensNothing) {
  TlsPeer two = peer();
  Hello hello;
  hello.volume_name = "name of 1";
  two.greet(2, "secret of 2", hello);
  two.expect<Welcome>();
  const Outcome outcome = two.ask(1, lock_request(1, LockMode::kExclusive));
  EXPECT_TRUE(std::holds_alternative<Granted>(outcome)) << "it is in its own volume all the same";
}

class LockdHijack : public LockdSecurity {
 protected:
  LockdHijack() : victim(peer()) { victims = victim.open(1, "secret of 1"); }
  ~LockdHijack() override {
    victim.send(Renew{7});
    EXPECT_EQ(victim.expect<Renewed>().tick, 7u) << "the victim's session goes on";
  }
  Hello resume(const SessionSecret& secret) const {
    Hello hello;
    hello.resume = ResumeSession{.session = victims.session, .secret = secret, .losses_seen = {}};
    return hello;
  }
  TlsPeer victim;
  Welcome victims;
};

// The worst case: the attacker has a credential of another volume, and the victim's secret.
TEST_F(LockdHijack, ASessionOfAnotherVolumeIsNotResumed) {
  TlsPeer says_own_volume = peer();
  EXPECT_EQ(says_own_volume.refused(2, "secret of 2", resume(victims.secret)).errc,
            LockErrc::kBadSecret);
  TlsPeer says_victims_volume = peer();
  EXPECT_EQ(says_victims_volume.refused(1, "secret of 2", resume(victims.secret)).errc,
            LockErrc::kAccessDenied);
  TlsPeer has_nothing = peer();
  EXPECT_EQ(has_nothing.refused(1, "", resume(victims.secret)).errc, LockErrc::kAccessDenied);
}

TEST_F(LockdHijack, ASessionIsNotResumedWithoutItsSecret) {
  SessionSecret guess = victims.secret;
  guess.back() ^= 1;
  TlsPeer same_volume = peer();
  EXPECT_EQ(same_volume.refused(1, "secret of 1", resume(guess)).errc, LockErrc::kBadSecret);
}

TEST_F(LockdHijack, RequestsAreOfTheConnectionsOwnSession) {
  TlsPeer two = peer();
  two.open(2, "secret of 2");
  // A second Hello, for the victim's volume, on a connection that was let in for another.
  two.greet(1, "secret of 1");
  EXPECT_TRUE(two.closed_by_lockd());
}

TEST_F(LockdSecurity, NobodyListsOrBreaksOverTheNetwork) {
  for (const ClientMessage& message :
       {ClientMessage(ListLocks{}), ClientMessage(ListSessions{}), ClientMessage(Break{{1}, {}})}) {
    TlsPeer before = peer();
    before.send(message);
    EXPECT_TRUE(before.closed_by_lockd()) << message.index();
    TlsPeer after = peer();
    after.open(2, "secret of 2");
    after.send(message);
    EXPECT_TRUE(after.closed_by_lockd()) << message.index();
  }
}

// On this host plain text is as good as TLS, but no credential is not.
TEST_F(LockdSecurity, PlainTextOnLoopbackNeedsACredentialToo) {
  Hello hello;
  hello.volume = volume_of(2);
  RawPeer nobody(lockd.address());
  nobody.send(hello);
  EXPECT_EQ(nobody.expect<HelloRefused>().errc, LockErrc::kAccessDenied);
  hello.token = "secret of 2";
  RawPeer two(lockd.address());
  two.send(hello);
  EXPECT_NE(two.expect<Welcome>().session.value, 0u);
  // The admin socket: its mode says who.
  RawPeer root(lockd.admin_address());
  hello.token.clear();
  root.send(hello);
  EXPECT_NE(root.expect<Welcome>().session.value, 0u);
}

}  // namespace
}  // namespace holdfast
