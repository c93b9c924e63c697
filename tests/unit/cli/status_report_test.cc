// holdfast status and holdfast top in words.
#include "cli/admin/status_report.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

constexpr std::uint64_t kNow = 10'000'000;

constexpr const char* kTable =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "40 22 0:53 / /mnt/my\\040data rw,nosuid - fuse.holdfast nas:/export rw,user_id=0,allow_other\n"
    "41 22 0:53 / /var/lib/kubelet/pods/x rw - fuse.holdfast nas:/export rw,user_id=0\n"
    "42 22 0:60 / /nfs rw - nfs4 nas:/export rw,vers=4.2,local_lock=none\n"
    "43 22 0:61 / /other rw - fuse.holdfast nas:/b rw\n"
    "broken line\n";

TEST(Mounts, AreReadFromTheTable) {
  const auto lines = parse_mountinfo(kTable);
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[1].path, "/mnt/my data");
  EXPECT_EQ(lines[3].super_options, "rw,vers=4.2,local_lock=none");
  const auto mounts = holdfast_mounts(lines);
  ASSERT_EQ(mounts.size(), 2U) << "each mount once, with its bind mounts";
  EXPECT_EQ(mounts[0].connection, "53");
  EXPECT_EQ(mounts[0].paths, (std::vector<std::string>{"/mnt/my data", "/var/lib/kubelet/pods/x"}));
}

TEST(Mounts, APathBelongsToTheDeepestMountOverIt) {
  const auto lines = parse_mountinfo(kTable);
  const auto type = [&](const char* path) { return mount_over(lines, path)->type; };
  EXPECT_EQ(type("/nfs/a"), "nfs4");
  EXPECT_EQ(type("/nfs"), "nfs4");
  EXPECT_EQ(type("/nfsx"), "ext4");
  EXPECT_EQ(type("/mnt/my data/db"), "fuse.holdfast");
}

MountView a_mount() {
  MountView mount;
  mount.connection = "53";
  mount.source = "nas:/export";
  mount.paths = {"/mnt", "/pod\x1b"};
  fs::state::Snapshot state;
  state.alive = true;
  state.pid = 4711;
  state.started = kNow - 184'000;
  state.lockd = "nas:7680";
  state.beat = kNow;
  state.session = 0xabc;
  state.entitled_until = kNow + 8'000;
  state.connected_since = 1;
  state.locks = 3;
  mount.state = state;
  return mount;
}

TEST(Status, SaysHowEachMountIs) {
  MountView unknown;
  unknown.connection = "61";
  unknown.source = "nas:/b";
  unknown.paths = {"/other"};
  EXPECT_EQ(status_text({a_mount(), unknown}, kNow),
            "/mnt (nas:/export): serving\n"
            "  process 4711 for 3m04s; session 0000000000000abc at lockd nas:7680, lease for "
            "another 8s\n"
            "  3 locks, 0 tokens; without an answer: 0 requests of programs, 0 at lockd, 0 at the "
            "storage\n"
            "  also at /pod?\n"
            "/other (nas:/b): unknown: it publishes nothing that can be read here (a mount of "
            "another user, or of an older holdfast)\n");
  EXPECT_TRUE(all_serve({a_mount()}, kNow));
  EXPECT_FALSE(all_serve({a_mount(), unknown}, kNow));
  EXPECT_FALSE(all_serve({a_mount()}, kNow + 20'000)) << "it does not run any more";
}

TEST(Status, JsonHasTheSame) {
  const std::string json = status_json({a_mount()}, kNow);
  EXPECT_EQ(json.rfind(R"({"mounts":[{"mountpoint":"/mnt","paths":["/mnt","/pod\u001b"],)", 0), 0U)
      << json;
  EXPECT_NE(json.find(R"("health":"serving")"), std::string::npos);
  EXPECT_NE(json.find(R"("oldest_request":null)"), std::string::npos);
}

TEST(Top, ShowsRatesBetweenTwoLooks) {
  TopView view{.before = {a_mount()}, .after = {a_mount()}, .ms = 2'000, .now = kNow};
  view.before[0].counts = {{"fuse.READ", 10}, {"nfs.READ", 5}, {"t.fuse.READ.07", 1}};
  view.after[0].counts = {
      {"fuse.READ", 210}, {"fuse.bytes_out", 4'096}, {"nfs.READ", 25}, {"t.fuse.READ.07", 9}};
  const std::string text = top_text(view);
  EXPECT_EQ(text,
            "MOUNT  HEALTH   REQ/S  NFS/S  LOCKD/S  IN/S  OUT/S   LOCKS  TOKENS  OPEN  WAITS  "
            "OLDEST\n"
            "/mnt   serving  100    10     0        0 B   2.0 kB  3      0       0     0      -\n"
            "\n"
            "/mnt: fuse.READ 100/s, nfs.READ 10/s\n");
  EXPECT_NE(top_json(view).find(R"("fuse.READ":100.0)"), std::string::npos);
  view.before.clear();
  EXPECT_EQ(top_text(view).find("/s,"), std::string::npos) << "a new mount has no rates yet";
}

}  // namespace
}  // namespace holdfast::cli
