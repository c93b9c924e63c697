// What the doctor says of broken setups: each with its sentence.
#include "cli/doctor/judge.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

ExportFacts good_export() {
  ExportFacts facts;
  facts.server = "nas";
  facts.path = "/export";
  facts.round_trip = microseconds(200);
  facts.root.uid = 1'000;
  facts.read_max = facts.write_max = 1 << 20;
  facts.as_root = MadeAs{.uid = 0, .error = EACCES, .owner = 0};
  facts.as_owner = MadeAs{.uid = 1'000, .error = 0, .owner = 1'000};
  facts.as_user = MadeAs{.uid = 1'000, .error = 0, .owner = 1'000};
  facts.clock_ahead = milliseconds(3);
  facts.stable_write = microseconds(2'000);
  facts.exclusive = true;
  facts.seen_at_once = true;
  facts.volume_error = ENOENT;
  facts.space = fs::FilesystemStat{1ULL << 40, 1ULL << 39, 1ULL << 39, 1 << 20, 1 << 19, 1 << 19};
  return facts;
}

MountFacts kernel_mount(const std::string& options) {
  return {
      .path = "/nfs", .type = "nfs4", .source = "nas:/export", .options = options, .trouble = {}};
}

LockdFacts good_lockd() {
  LockdFacts facts;
  facts.address = "nas:7680";
  facts.round_trip = microseconds(300);
  facts.lease = milliseconds(10'000);
  return facts;
}

PairFacts pair_of_one() {
  PairFacts facts;
  facts.one = "/a";
  facts.other = "/b";
  return facts;
}

Facts good() {
  Facts facts;
  facts.node = {.root = true,
                .fuse_exists = true,
                .fuse_error = 0,
                .fusermount = true,
                .user_allow_other = true,
                .fusectl = true};
  facts.server = good_export();
  facts.lockd = good_lockd();
  return facts;
}

// The only finding that is not fine.
Finding only(const Facts& facts) {
  std::vector<Finding> bad;
  for (const Finding& one : judge(facts)) {
    if (one.severity == Severity::kFine) continue;
    EXPECT_FALSE(one.means.empty()) << one.what;
    EXPECT_FALSE(one.advice.empty()) << one.what;
    bad.push_back(one);
  }
  EXPECT_EQ(bad.size(), 1U) << findings_text(judge(facts));
  return bad.empty() ? Finding{} : bad[0];
}
std::string problem(const Facts& facts) {
  const Finding one = only(facts);
  EXPECT_EQ(one.severity, Severity::kProblem) << one.what;
  return one.what;
}
std::string note(const Facts& facts) {
  const Finding one = only(facts);
  EXPECT_EQ(one.severity, Severity::kNote) << one.what;
  return one.what;
}

TEST(Doctor, FindsNothingWhereNothingIsWrong) {
  const auto findings = judge(good());
  EXPECT_FALSE(any_problem(findings));
  EXPECT_NE(findings_text(findings).find("0 problems, 0 notes"), std::string::npos)
      << findings_text(findings);
}

TEST(Doctor, TheNode) {
  Facts facts = good();
  facts.node.fuse_exists = false;
  EXPECT_EQ(problem(facts), "this node has no /dev/fuse");
  facts = good();
  facts.node.fuse_error = EACCES;
  EXPECT_EQ(problem(facts), "/dev/fuse cannot be opened: Permission denied");
  facts = good();
  facts.node.root = false;
  facts.node.user_allow_other = false;
  EXPECT_EQ(note(facts), "/etc/fuse.conf does not say user_allow_other");
  facts.node.user_allow_other = true;
  facts.node.fusermount = false;
  EXPECT_EQ(problem(facts), "fusermount3 is not installed");
  facts = good();
  facts.node.fusectl = false;
  EXPECT_EQ(note(facts), "fusectl is not mounted");
}

TEST(Doctor, KernelMountsThatKeepLocksToThemselves) {
  Facts facts = good();
  std::vector<Finding> findings;
  judge_mount(kernel_mount("rw,vers=3,nolock,lookupcache=pos"), findings);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].what, "/nfs keeps file locks on this node to itself (nolock)");
  findings.clear();
  judge_mount(kernel_mount("rw,vers=4.2,local_lock=posix,lookupcache=none"), findings);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].what, "/nfs keeps file locks on this node to itself (local_lock=posix)");
  EXPECT_TRUE(any_problem(findings));
}

TEST(Doctor, KernelMountsThatAreSoftOrRememberAbsentNames) {
  std::vector<Finding> findings;
  judge_mount(kernel_mount("rw,soft,local_lock=none"), findings);
  ASSERT_EQ(findings.size(), 3U);
  EXPECT_EQ(findings[0].severity, Severity::kNote) << "locks are the server's";
  EXPECT_EQ(findings[1].what, "/nfs is a soft mount");
  EXPECT_EQ(findings[2].what,
            "/nfs remembers which names do not exist (lookupcache=all, the default)");
}

TEST(Doctor, MountsThatAreNotHoldfasts) {
  Facts facts = good();
  facts.mount = MountFacts{
      .path = "/srv", .type = "ext4", .source = "/dev/sda1", .options = "rw", .trouble = {}};
  EXPECT_EQ(note(facts), "/srv is on ext4, not on Holdfast");
}

TEST(Doctor, HoldfastMounts) {
  Facts facts = good();
  facts.mount = MountFacts{.path = "/mnt",
                           .type = "fuse.holdfast",
                           .source = "nas:/export",
                           .options = "rw,user_id=0,allow_other",
                           .trouble = "waiting for lockd"};
  EXPECT_EQ(problem(facts), "/mnt: waiting for lockd");
  facts.mount->trouble.reset();
  facts.mount->options = "rw,user_id=1000";
  EXPECT_EQ(note(facts), "/mnt is for the user who mounted it alone");
}

TEST(Doctor, ServersThatCannotBeMounted) {
  Facts facts = good();
  facts.server->error = EACCES;
  facts.server->error_text = "nas refuses /export";
  facts.server->hint = "look at exports";
  EXPECT_EQ(problem(facts), "nas refuses /export");
}

TEST(Doctor, ExportsThatCannotBeWritten) {
  Facts facts = good();
  facts.server->as_root = facts.server->as_owner = facts.server->as_user =
      MadeAs{.uid = 0, .error = EROFS, .owner = 0};
  EXPECT_EQ(problem(facts), "nas:/export is exported read-only");
  facts.server->as_root->error = EACCES;
  facts.server->as_owner.reset();
  facts.server->as_user->error = EACCES;
  facts.server->root.uid = 0;
  EXPECT_EQ(
      problem(facts),
      "neither root nor uid 0, who owns nas:/export, may make a file there: Permission denied");
}

TEST(Doctor, ExportsThatMapUsers) {
  Facts facts = good();
  facts.server->as_user->owner = 65'534;
  EXPECT_EQ(problem(facts),
            "a file made by uid 1000 belongs to uid 65534: the export maps all users to one");
  facts = good();
  facts.server->as_root = MadeAs{.uid = 0, .error = 0, .owner = 0};
  EXPECT_EQ(note(facts), "nas:/export lets root be root (no_root_squash)");
}

TEST(Doctor, ServersThatBreakWhatLocksNeed) {
  Facts facts = good();
  facts.server->exclusive = false;
  EXPECT_EQ(problem(facts), "a second exclusive create of the same name was not refused");
  facts = good();
  facts.server->seen_at_once = false;
  EXPECT_EQ(problem(facts), "what one connection made or removed is not so for another one");
  facts = good();
  facts.server->whole_seconds = true;
  EXPECT_EQ(note(facts), "the server keeps times in whole seconds");
}

TEST(Doctor, SlowOrTooFastServers) {
  Facts facts = good();
  facts.server->round_trip = microseconds(12'000);
  EXPECT_EQ(note(facts), "a call takes 12.0 ms");
  facts = good();
  facts.server->stable_write = microseconds(120'000);
  EXPECT_EQ(note(facts), "4 KiB are on stable storage after 120 ms");
  facts.server->stable_write = microseconds(40);
  EXPECT_EQ(note(facts), "4 KiB are \"on stable storage\" after 40 us: no disk is that fast");
  facts = good();
  facts.server->write_max = 32 << 10;
  EXPECT_EQ(note(facts), "the server takes at most 32 KiB at a time");
}

TEST(Doctor, ClocksThatDisagree) {
  Facts facts = good();
  facts.server->clock_ahead = milliseconds(-61'500);
  EXPECT_EQ(note(facts), "the server's clock is 61.5 s behind this node's");
}

TEST(Doctor, FullServers) {
  Facts facts = good();
  facts.server->space->available_bytes = 0;
  EXPECT_EQ(problem(facts), "nas:/export is full");
  facts.server->space->available_bytes = 100 << 20;
  EXPECT_EQ(note(facts), "nas:/export has 100 MiB left");
  facts = good();
  facts.server->space->available_files = 0;
  EXPECT_EQ(problem(facts), "nas:/export has no inode left");
}

TEST(Doctor, WrongVolumes) {
  Facts facts = good();
  facts.server->volume = VolumeId{1};
  facts.server->expected = VolumeId{2};
  EXPECT_EQ(problem(facts),
            "nas:/export is volume 01000000-0000-0000-0000-000000000000, not "
            "02000000-0000-0000-0000-000000000000");
  facts.server->volume.reset();
  EXPECT_EQ(problem(facts),
            "nas:/export has no marker, so it is not volume 02000000-0000-0000-0000-000000000000");
  facts.server->expected.reset();
  facts.server->volume_error = EUCLEAN;
  EXPECT_EQ(problem(facts), "nas:/export has a marker that cannot be understood");
}

TEST(Doctor, LockdsThatDoNotServe) {
  Facts facts = good();
  facts.lockd->error = ECONNREFUSED;
  facts.lockd->error_text = "Connection refused";
  EXPECT_EQ(problem(facts), "lockd at nas:7680 cannot be reached: Connection refused");
  const auto refused = [&](LockErrc errc) {
    facts = good();
    facts.lockd->refused = errc;
    facts.lockd->reason = "because";
    return problem(facts);
  };
  EXPECT_EQ(refused(LockErrc::kStandby), "lockd at nas:7680 is a standby: because");
  EXPECT_EQ(refused(LockErrc::kStarting),
            "lockd at nas:7680 has just started and waits until earlier leases are over");
  EXPECT_EQ(refused(LockErrc::kStaleLockd),
            "lockd at nas:7680 serves nobody: mounts have seen a later life of it than its store "
            "knows");
  EXPECT_EQ(refused(LockErrc::kVersionMismatch),
            "lockd at nas:7680 speaks another version of the protocol: because");
  EXPECT_EQ(refused(LockErrc::kBadRequest), "lockd at nas:7680 refuses: because");
  EXPECT_EQ(refused(LockErrc::kAccessDenied),
            "lockd at nas:7680 does not let this node in: because");
  facts = good();
  facts.lockd->round_trip = microseconds(8'000);
  EXPECT_EQ(note(facts), "a question to lockd takes 8.00 ms");
}

TEST(Doctor, TwoMountsThatAreNotOne) {
  Facts facts = good();
  facts.pair = pair_of_one();
  EXPECT_FALSE(any_problem(judge(facts)));
  facts.pair->fcntl_excludes = false;
  EXPECT_EQ(problem(facts), "both had the same fcntl lock at once, between /a and /b");
  facts.pair = pair_of_one();
  facts.pair->flock_excludes = false;
  EXPECT_EQ(problem(facts), "both had the same flock at once, between /a and /b");
  facts.pair = pair_of_one();
  facts.pair->sees_new_name = false;
  EXPECT_EQ(problem(facts),
            "a file that one made or removed was not so for the other, between /a and /b");
  facts.pair = pair_of_one();
  facts.pair->sees_new_bytes = false;
  EXPECT_EQ(problem(facts),
            "bytes that one wrote were not there for the other under a lock, between /a and /b");
}

TEST(Doctor, JsonHasTheSame) {
  Facts facts = good();
  facts.node.fuse_exists = false;
  const std::string json = findings_json(judge(facts));
  EXPECT_EQ(json.rfind(R"({"problem":true,"findings":[{"severity":"problem","check":"fuse",)"
                       R"("what":"this node has no /dev/fuse",)",
                       0),
            0U)
      << json;
}

}  // namespace
}  // namespace holdfast::cli
