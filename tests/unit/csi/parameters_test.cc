// StorageClass parameters, capabilities, and what a node makes of a volume's attributes.

#include "deploy/csi/core/parameters.h"

#include "deploy/csi/core/capability.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::csi {
namespace {

using ::testing::HasSubstr;

const Texts kMinimal{{"server", "nas"}, {"share", "/export"}};

Texts with(const std::string& key, const std::string& value) {
  Texts out = kMinimal;
  out[key] = value;
  return out;
}

std::string why_not(const Texts& texts) {
  const auto parameters = read_parameters(texts, "pvc-1");
  if (parameters) return "accepted";
  EXPECT_EQ(parameters.error().code, Code::kInvalidArgument);
  return parameters.error().what;
}

TEST(ParametersTest, ServerAndShareAreEnough) {
  const auto out = read_parameters(kMinimal, "pvc-1");
  ASSERT_TRUE(out);
  EXPECT_EQ(out->place.directory, "pvc-1");
  EXPECT_EQ(out->on_delete, OnDelete::kDelete);
  EXPECT_EQ(out->mode, 0777U);
  EXPECT_EQ(out->context, (Texts{{"server", "nas"}, {"share", "/export"}, {"subDir", "pvc-1"}}));
}

TEST(ParametersTest, ThoseOfCsiDriverNfsMeanTheSame) {
  const Texts texts{
      {"server", "nas"},
      {"share", "/export"},
      {"subDir", "${pvc.metadata.namespace}/${pvc.metadata.name}-${pv.metadata.name}"},
      {"onDelete", "Archive"},
      {"mountPermissions", "0750"},
      {"UID", "243"},
      {"gid", "244"},
      {"mountOptions", "soft,timeo=100"},
      {"csi.storage.k8s.io/pvc/name", "data"},
      {"csi.storage.k8s.io/pvc/namespace", "team"},
      {"csi.storage.k8s.io/pv/name", "pvc-1"},
      {"csi.storage.k8s.io/fstype", "nfs"}};
  const auto out = read_parameters(texts, "pvc-1");
  ASSERT_TRUE(out) << out.error().what;
  EXPECT_EQ(out->place.directory, "team/data-pvc-1");
  EXPECT_EQ(out->on_delete, OnDelete::kArchive);
  EXPECT_EQ(out->mode, 0750U);
  EXPECT_EQ(out->uid, 243U);
  EXPECT_EQ(out->gid, 244U);
  EXPECT_EQ(out->context.at("mountOptions"), "soft,timeo=100");
}

TEST(ParametersTest, AMappedOwnerReachesTheNodesAndIsWishedForTheDirectory) {
  const auto out = read_parameters(with("Owner", "999:998"), "pvc-1");
  ASSERT_TRUE(out) << out.error().what;
  EXPECT_EQ(out->context.at("owner"), "999:998");
  EXPECT_EQ(out->uid, 999U);
  EXPECT_EQ(out->gid, 998U);
  EXPECT_EQ(out->giving, Parameters::Giving::kWished);
  const auto plan = plan_mount("nas#/export#pvc-1#pvc-1", out->context);
  ASSERT_TRUE(plan);
  EXPECT_EQ(*mount_options(*plan, {"umask=077"}, "here", false),
            "lockd=here,owner=999:998,umask=077");

  Texts both = with("owner", "999:998");
  both["uid"] = "1000";
  const auto own = read_parameters(both, "pvc-1");
  ASSERT_TRUE(own);
  EXPECT_EQ(own->uid, 1000U);
  EXPECT_FALSE(own->gid);
  EXPECT_EQ(own->giving, Parameters::Giving::kDemanded);
}

TEST(ParametersTest, RefusalsNameTheParameter) {
  for (const char* owner : {"999", ":1", "1:", "a:1", "1:2:3", "-1:1"})
    EXPECT_THAT(why_not(with("owner", owner)), HasSubstr("owner")) << owner;
  EXPECT_THAT(why_not({{"share", "/export"}}), HasSubstr("server"));
  EXPECT_THAT(why_not({{"server", "nas"}}), HasSubstr("share"));
  EXPECT_THAT(why_not(with("subdirectory", "x")), HasSubstr("subdirectory"));
  EXPECT_THAT(why_not(with("Server", "nas")), HasSubstr("twice"));
  EXPECT_THAT(why_not(with("subDir", "../x")), HasSubstr("subDir"));
  EXPECT_THAT(why_not(with("subDir", "/")), HasSubstr("subDir"));
  EXPECT_THAT(why_not(with("subDir", "${pvc.metadata.name}")), HasSubstr("extra-create-metadata"));
  EXPECT_THAT(why_not(with("subDir", "${pvc.annotations.x}")), HasSubstr("placeholder"));
  EXPECT_THAT(why_not(with("onDelete", "maybe")), HasSubstr("onDelete"));
  EXPECT_THAT(why_not(with("mountPermissions", "rwx")), HasSubstr("mountpermissions"));
  EXPECT_THAT(why_not(with("mountPermissions", "17777")), HasSubstr("mountpermissions"));
  EXPECT_THAT(why_not(with("uid", "-1")), HasSubstr("uid"));
  EXPECT_THAT(why_not(with("mountOptions", "soft,log=/etc/passwd")), HasSubstr("log="));
}

TEST(ParametersTest, AClaimsNameCannotLeadElsewhere) {
  Texts texts = with("subDir", "x/${pvc.metadata.name}");
  texts["csi.storage.k8s.io/pvc/name"] = "..";
  EXPECT_THAT(why_not(texts), HasSubstr("subDir"));
  texts["csi.storage.k8s.io/pvc/name"] = "a/../../b";
  EXPECT_THAT(why_not(texts), HasSubstr("slash"));
}

TEST(MountPlanTest, AttributesSayWhereOrElseTheId) {
  const auto by_hand = plan_mount("anything", {{"server", "nas"},
                                               {"share", "/e"},
                                               {"lockd", "here"},
                                               {"csi.storage.k8s.io/pod.name", "p"}});
  ASSERT_TRUE(by_hand);
  EXPECT_EQ(mount_source(by_hand->place), "nas:/e");
  EXPECT_EQ(by_hand->lockd, "here");
  const auto by_id = plan_mount("nas#/e#d#n", {});
  ASSERT_TRUE(by_id);
  EXPECT_EQ(mount_source(by_id->place), "nas:/e/d");
  const auto neither = plan_mount("anything", {});
  ASSERT_FALSE(neither);
  EXPECT_EQ(neither.error().code, Code::kNotFound);
  // Written by hand; a comma would be the next option.
  EXPECT_FALSE(plan_mount("x", {{"server", "nas"}, {"share", "/e"}, {"owner", "1:1,suid"}}));
  const auto escape = plan_mount("x", {{"server", "nas"}, {"share", "/e"}, {"subDir", "../x"}});
  ASSERT_FALSE(escape);
  EXPECT_EQ(escape.error().code, Code::kInvalidArgument);
}

TEST(MountPlanTest, LaterOptionsWin) {
  const MountPlan plan{{}, "mine:1", "soft", ""};
  EXPECT_EQ(*mount_options(plan, {"hard", "lockd=other"}, "default:1", true),
            "lockd=mine:1,soft,hard,lockd=other,ro");
  EXPECT_EQ(*mount_options({}, {}, "default:1", false), "lockd=default:1");
  EXPECT_EQ(*mount_options({}, {}, "", false), "");
  EXPECT_FALSE(mount_options({}, {"a,log=/x"}, "", false));
  EXPECT_FALSE(mount_options({{}, "a,log=/x", "", ""}, {}, "", false));
}

TEST(CapabilityTest, FilesystemsInEveryModeAndNothingElse) {
  using Type = Capability::Type;
  for (int mode = 1; mode <= 7; ++mode)
    EXPECT_TRUE(check_capability({Type::kMount, mode, {}})) << mode;
  EXPECT_FALSE(check_capability({Type::kMount, 0, {}}));
  EXPECT_FALSE(check_capability({Type::kMount, 8, {}}));
  EXPECT_FALSE(check_capability({Type::kBlock, 1, {}}));
  EXPECT_FALSE(check_capability({Type::kNone, 1, {}}));
  EXPECT_FALSE(check_capability({Type::kMount, 1, {std::string(4097, 'x')}}));
  EXPECT_FALSE(check_capabilities({}));
}

TEST(CapacityTest, IsWhatWasAskedForAndKept) {
  EXPECT_EQ(*choose_capacity({}), 0);
  EXPECT_EQ(*choose_capacity({10, 0}), 10);
  EXPECT_EQ(*choose_capacity({0, 20}), 20);
  EXPECT_EQ(choose_capacity({20, 10}).error().code, Code::kOutOfRange);
  EXPECT_EQ(choose_capacity({-1, 0}).error().code, Code::kInvalidArgument);
  EXPECT_TRUE(fits(10, {10, 10}));
  EXPECT_FALSE(fits(10, {20, 0}));
  EXPECT_FALSE(fits(30, {20, 20}));
  EXPECT_TRUE(fits(0, {20, 20}));
}

}  // namespace
}  // namespace holdfast::csi
