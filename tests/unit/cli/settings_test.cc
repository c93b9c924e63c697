#include "cli/mount/settings.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

MountOptions parsed(std::string_view text) {
  MountOptions options;
  const auto done = parse_options(text, UnknownOptions::kRefuse, options);
  EXPECT_TRUE(done) << text << ": " << (done ? "" : done.error().what);
  return options;
}

TEST(MountSettings, ReadsEveryOption) {
  const auto options = parsed(
      "lockd=nas:7000,port=2050,mountport=0,rsize=65536,wsize=32768,nconnect=4,soft,timeo=50,"
      "volume_id=f81d4fae-7dec-4d0d-a765-00a0c91e6bf6,lockd_wait=30,log=/var/log/x,debug,ro,"
      "cache=tokens,acregmin=1,acregmax=2,acdirmin=0,linger=25,dirty_max=1048576,"
      "inodes_max=20000,allow_other,nosuid,nodev,noexec,vers=3");
  ASSERT_TRUE(options.lockd);
  EXPECT_EQ(std::get<SharedLockd>(*options.lockd), SharedLockd{(wire::TcpAddress{"nas", 7000})});
  EXPECT_EQ(options.port, 2050);
  EXPECT_EQ(options.mountport, 0);
  EXPECT_EQ(options.rsize, 65536U);
  EXPECT_EQ(options.wsize, 32768U);
  EXPECT_EQ(options.nconnect, 4U);
  EXPECT_TRUE(options.soft);
  EXPECT_EQ(options.timeo, std::chrono::seconds(5));
  EXPECT_TRUE(options.volume_id);
  EXPECT_EQ(options.lockd_wait, std::chrono::seconds(30));
  EXPECT_EQ(options.log.kind, LogTarget::Kind::kFile);
  EXPECT_TRUE(options.debug);
  EXPECT_EQ(options.cache, CacheChoice::kTokens);
  EXPECT_EQ(options.kept_ages.at_open, std::chrono::seconds(1));
  EXPECT_EQ(options.kept_ages.attributes, std::chrono::seconds(2));
  EXPECT_EQ(options.kept_ages.names, std::chrono::seconds(0));
  EXPECT_EQ(options.linger, std::chrono::milliseconds(25));
  EXPECT_EQ(options.dirty_max, 1U << 20);
  EXPECT_EQ(options.inodes_max, 20'000U);
  EXPECT_TRUE(options.read_only);
  EXPECT_EQ(options.allow_other, true);
  EXPECT_EQ(options.kernel_options, (std::vector<std::string>{"nosuid", "nodev", "noexec"}));
}

TEST(MountSettings, CredentialsAreAbsolutePaths) {
  const auto options = parsed("tls_ca=/a,tls_cert=/b,tls_key=/c,token_file=/d,plain");
  EXPECT_EQ(options.tls_ca, "/a");
  EXPECT_EQ(options.tls_certificate, "/b");
  EXPECT_EQ(options.tls_key, "/c");
  EXPECT_EQ(options.token_file, "/d");
  EXPECT_TRUE(options.plain);
  for (const char* relative : {"tls_ca=a", "tls_cert=", "tls_key=b/c", "token_file=x"}) {
    MountOptions refused;
    EXPECT_FALSE(parse_options(relative, UnknownOptions::kRefuse, refused)) << relative;
  }
}

TEST(MountSettings, KnowsTheThreeKindsOfLockd) {
  EXPECT_TRUE(std::holds_alternative<EmbeddedLockd>(*parsed("lockd=embedded").lockd));
  EXPECT_EQ(std::get<SharedLockd>(*parsed("lockd=unix:/run/x.sock").lockd),
            SharedLockd{wire::UnixAddress{"/run/x.sock"}});
  EXPECT_EQ(std::get<SharedLockd>(*parsed("lockd=nas").lockd),
            SharedLockd{(wire::TcpAddress{"nas", wire::kDefaultPort})});
}

TEST(MountSettings, ReplicasOfLockdAreSeparatedBySlashes) {
  const SharedLockd expected{wire::TcpAddress{"a", wire::kDefaultPort},
                             wire::TcpAddress{"10.0.0.2", 7000}, wire::TcpAddress{"fd00::3", 7001}};
  EXPECT_EQ(std::get<SharedLockd>(*parsed("lockd=a/10.0.0.2:7000/[fd00::3]:7001,ro").lockd),
            expected);
}

TEST(MountSettings, IgnoresWhatIsMeantForMountAndSystemd) {
  const auto options =
      parsed("rw,defaults,_netdev,noauto,nofail,user,x-systemd.automount,x-y=z,comment=w,hard,");
  EXPECT_FALSE(options.lockd);
  EXPECT_FALSE(options.soft);
  EXPECT_TRUE(options.kernel_options.empty());
}

TEST(MountSettings, TheLastOneCounts) {
  EXPECT_FALSE(parsed("ro,rw").read_only);
  EXPECT_FALSE(parsed("soft,hard").soft);
  EXPECT_EQ(parsed("noac,acregmax=5").kept_ages.attributes, std::chrono::seconds(5));
}

TEST(MountSettings, OneAgeForAllThatIsKept) {
  for (const auto& [text, age] : {std::pair("actimeo=7", 7), std::pair("acregmin=9,noac", 0)}) {
    const auto ages = parsed(text).kept_ages;
    EXPECT_EQ(ages.at_open, std::chrono::seconds(age)) << text;
    EXPECT_EQ(ages.attributes, std::chrono::seconds(age)) << text;
    EXPECT_EQ(ages.names, std::chrono::seconds(age)) << text;
  }
}

TEST(MountSettings, OwnershipIsOneOwnerAndWhatGoesWithIt) {
  EXPECT_FALSE(*ownership(parsed("owner"))) << "mount(8)'s owner has no value";
  const auto plain = *ownership(parsed("owner=999:998"));
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->owner, (fs::Owner{999, 998}));
  EXPECT_FALSE(plain->identity);
  EXPECT_EQ(plain->file_mask, 0U);
  const auto whole =
      *ownership(parsed("umask=0077,owner=0:0,dmask=27,identity=1000:100,keep_owners"));
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->identity, (fs::Owner{1000, 100}));
  EXPECT_EQ(whole->file_mask, 077U);
  EXPECT_EQ(whole->directory_mask, 027U);
  EXPECT_EQ(whole->others, fs::OtherOwners::kKept);
  EXPECT_EQ(plain->others, fs::OtherOwners::kRefused);
  for (const char* alone : {"identity=1:1", "umask=0", "fmask=7", "dmask=7", "keep_owners"})
    EXPECT_FALSE(ownership(parsed(alone))) << alone;
}

TEST(MountSettings, RefusesUnknownAndMalformedOptions) {
  for (const char* text : {"nolock",
                           "lokd=x",
                           "lockd=",
                           "lockd=nas:0x",
                           "lockd=a/",
                           "lockd=/a",
                           "lockd=a//b",
                           "lockd=a/a:7680",
                           "lockd=a/embedded",
                           "lockd=a/unix:/x",
                           "port=x",
                           "port=70000",
                           "rsize=1",
                           "rsize=99999999",
                           "nconnect=9",
                           "timeo=0",
                           "volume_id=1234",
                           "log=relative",
                           "cache=yes",
                           "linger=1001",
                           "dirty_max=1",
                           "inodes_max=999",
                           "acregmin=",
                           "actimeo=86401",
                           "acdirmax=1",
                           "noac=1",
                           "vers=4",
                           "remount",
                           "remount,ro",
                           "owner=",
                           "owner=1",
                           "owner=1:",
                           "owner=:1",
                           "owner=a:b",
                           "owner=-1:1",
                           "owner=1:2:3",
                           "identity=1:4294967295",
                           "umask=8",
                           "umask=1777",
                           "fmask="}) {
    MountOptions options;
    const auto done = parse_options(text, UnknownOptions::kRefuse, options);
    ASSERT_FALSE(done) << text;
    EXPECT_EQ(done.error().exit_code, kExitUsage) << text;
    EXPECT_FALSE(done.error().what.empty());
  }
}

TEST(MountSettings, SloppyIgnoresUnknownButNotMalformedOnes) {
  MountOptions options;
  EXPECT_TRUE(parse_options("nolock,foo=bar", UnknownOptions::kIgnore, options));
  EXPECT_FALSE(parse_options("port=x", UnknownOptions::kIgnore, options));
}

}  // namespace
}  // namespace holdfast::cli
