// Volumes on the export itself: what is left when they go, and an export that squashes root.

#include "tests/csi/expect.h"
#include "tests/csi/servers.h"

#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::csi::testing {
namespace {

/// As pods leave them: directories that only their owner may enter or change.
void fill(const stdfs::path& directory, unsigned owner) {
  const auto locked = directory / "cache" / "locked";
  stdfs::create_directories(locked);
  std::ofstream(locked / "file") << "data";
  std::ofstream(directory / "cache" / "other") << "data";
  stdfs::create_symlink("/etc", directory / "cache" / "link");
  for (const auto& path :
       {locked / "file", directory / "cache" / "other", locked, directory / "cache"})
    EXPECT_EQ(::chown(path.c_str(), owner, owner), 0);
  stdfs::permissions(locked, stdfs::perms(0500));
  stdfs::permissions(directory / "cache", stdfs::perms(0700));
}

bool is_exported(const Orchestrator& cluster, const std::string& path) {
  return stdfs::exists(cluster.exported() / path);
}

TEST(ExportTest, DeleteRetainAndArchiveDoWhatTheySay) {
  Orchestrator cluster(servers());
  const auto gone = cluster.create("gone", {{"subDir", "team/gone"}});
  const auto kept = cluster.create("kept", {{"subDir", "team/kept"}, {"onDelete", "retain"}});
  const auto archived =
      cluster.create("archived", {{"subDir", "team/old"}, {"onDelete", "archive"}});
  for (const std::string name : {"gone", "kept", "old"})
    fill(cluster.exported() / "team" / name, 1234);
  for (const auto& volume : {gone, kept, archived})
    cluster.remove(volume);
  EXPECT_FALSE(is_exported(cluster, "team/gone"));
  EXPECT_TRUE(is_exported(cluster, "team/kept/cache/locked/file"));
  EXPECT_TRUE(is_exported(cluster, "team/archived-old/cache/locked/file"));
  EXPECT_TRUE(stdfs::is_empty(cluster.exported() / ".holdfast-csi"));
  // The next claim of that name finds its data.
  const auto again = cluster.create("kept-2", {{"subDir", "team/kept"}, {"onDelete", "retain"}});
  EXPECT_TRUE(is_exported(cluster, "team/kept/cache/locked/file"));
  cluster.remove(again);
  stdfs::remove_all(cluster.exported() / "team");
}

TEST(ExportTest, ModeAndOwnerAreThoseOfTheStorageClass) {
  Orchestrator cluster(servers());
  const auto open = cluster.create("open");
  const auto owned =
      cluster.create("owned", {{"mountPermissions", "0750"}, {"uid", "1234"}, {"gid", "2345"}});
  struct stat status {};
  ASSERT_EQ(::stat((cluster.exported() / "open").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0777U);
  ASSERT_EQ(::stat((cluster.exported() / "owned").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0750U);
  EXPECT_EQ(status.st_uid, 1234U);
  EXPECT_EQ(status.st_gid, 2345U);
  cluster.remove(open);
  cluster.remove(owned);
}

TEST(ExportTest, AnExportThatSquashesRootIsEnough) {
  end_servers();
  Servers squashing({"--squash", "Root_Squash"});
  {
    Orchestrator cluster(squashing);
    // The export belongs to an ordinary user: nobody, whom root becomes, may not write there.
    ASSERT_EQ(::chown(cluster.exported().c_str(), 1000, 1000), 0);
    stdfs::permissions(cluster.exported(), stdfs::perms(0755));
    const auto volume = cluster.create("squashed");
    expect_ok(cluster.stage(volume));
    expect_ok(cluster.publish(volume, "p"));
    std::ofstream(cluster.target("p") + "/file") << "data";
    EXPECT_EQ(contents(cluster.exported() / "squashed" / "file"), "data");
    fill(cluster.exported() / "squashed", 1234);
    const auto mapped = cluster.create("mapped", {{"owner", "999:998"}});
    expect_ok(cluster.stage(mapped));
    expect_ok(cluster.publish(mapped, "m"));
    std::ofstream(cluster.target("m") + "/file") << "data";
    stdfs::permissions(cluster.target("m"), stdfs::perms(0700));  // as PostgreSQL's image does
    struct stat status {};
    ASSERT_EQ(::stat((cluster.target("m") + "/file").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, 999U);
    EXPECT_EQ(status.st_gid, 998U);
    ASSERT_EQ(::stat((cluster.exported() / "mapped").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0700U);
    EXPECT_EQ(status.st_uid, 1000U);
    expect_ok(cluster.unpublish(mapped, "m"));
    expect_ok(cluster.unstage(mapped));
    cluster.remove(mapped);
    expect_ok(cluster.unpublish(volume, "p"));
    expect_ok(cluster.unstage(volume));
    cluster.remove(volume);
    EXPECT_FALSE(is_exported(cluster, "squashed"));
    EXPECT_TRUE(stdfs::is_empty(cluster.exported() / ".holdfast-csi"));
    expect_code(cluster.call(&pb::Controller::Stub::CreateVolume,
                             cluster.create_request("given", {{"uid", "4711"}})),
                grpc::StatusCode::PERMISSION_DENIED);
  }
}

}  // namespace
}  // namespace holdfast::csi::testing
