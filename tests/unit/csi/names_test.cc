// Texts from outside that become places on an export: what is accepted, and that nothing escapes.

#include "deploy/csi/core/escape.h"
#include "deploy/csi/core/name.h"
#include "deploy/csi/core/place.h"
#include "deploy/csi/core/record.h"
#include "deploy/csi/core/volume_id.h"

#include <string>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace holdfast::csi {
namespace {

Share share(const std::string& server, const std::string& path) {
  auto out = parse_share(server, path);
  EXPECT_TRUE(out) << server << " " << path;
  return out ? *out : Share{};
}

TEST(PlaceTest, ServersAreNamesAndAddressesWithAndWithoutPort) {
  EXPECT_EQ(share("nas", "/export"), (Share{"nas", std::nullopt, "/export"}));
  EXPECT_EQ(share("nas:2050", "/export"), (Share{"nas", 2050, "/export"}));
  EXPECT_EQ(share("nas:2049", "/"), (Share{"nas", std::nullopt, "/"}));
  EXPECT_EQ(share("192.0.2.1", "//a//b/"), (Share{"192.0.2.1", std::nullopt, "/a/b"}));
  EXPECT_EQ(share("2001:db8::1", "/e"), (Share{"2001:db8::1", std::nullopt, "/e"}));
  EXPECT_EQ(share("[2001:db8::1]:2050", "/e"), (Share{"2001:db8::1", 2050, "/e"}));
}

TEST(PlaceTest, WhatIsNoServerOrLeadsOutOfTheExportIsRefused) {
  for (const std::string server :
       {"", "-o", ".", "na s", "nas:", "nas:x", "nas:0", "nas:65536", "nas/x", "[nas", "[::1]x",
        "fe80::1%eth0", "nas\n", "/nas", "a:b:/c"})
    EXPECT_FALSE(parse_share(server, "/export")) << server;
  for (const std::string path : {"", "export", "/a/../b", "/..", "/a/./b", "/a\nb"})
    EXPECT_FALSE(parse_share("nas", path)) << path;
  EXPECT_FALSE(parse_share("nas", "/" + std::string(256, 'x')));
}

TEST(PlaceTest, DirectoriesAreRelativeAndKeepTheirHandsOffOurNames) {
  EXPECT_EQ(*parse_directory("team//app/"), "team/app");
  EXPECT_EQ(*parse_directory("/team"), "team");
  EXPECT_EQ(*parse_directory(""), "");
  for (const std::string text :
       {"..", "a/../..", "a/./b", ".", ".holdfast-csi", "a/.holdfast-volume", "a\tb"})
    EXPECT_FALSE(parse_directory(text)) << text;
}

TEST(PlaceTest, SourcesAreWhatHoldfastMountTakes) {
  EXPECT_EQ(mount_source({share("nas", "/export"), "pvc-1"}), "nas:/export/pvc-1");
  EXPECT_EQ(mount_source({share("nas", "/"), "a/b"}), "nas:/a/b");
  EXPECT_EQ(mount_source({share("nas", "/export"), ""}), "nas:/export");
  EXPECT_EQ(mount_source({share("nas:2050", "/export"), "a"}), "nfs://nas:2050/export/a");
  EXPECT_EQ(mount_source({share("2001:db8::1", "/e"), "a"}), "[2001:db8::1]:/e/a");
}

TEST(PlaceTest, DirectoriesOverlapWhereOneLiesInTheOther) {
  EXPECT_TRUE(overlap("a", "a"));
  EXPECT_TRUE(overlap("a/b", "a"));
  EXPECT_TRUE(overlap("a", "a/b"));
  EXPECT_FALSE(overlap("a", "ab"));
  EXPECT_FALSE(overlap("a/b", "a/c"));
}

TEST(VolumeIdTest, SaysWhereTheVolumeIs) {
  const VolumeId id{{share("nas:2050", "/export"), "team/app"}, "pvc-1"};
  EXPECT_EQ(to_string(id), "nas:2050#/export#team/app#pvc-1");
  EXPECT_EQ(parse_volume_id("nas:2050#/export#team/app#pvc-1"), id);
}

TEST(VolumeIdTest, OtherIdsAreNotOurs) {
  for (const std::string text :
       {"", "some-id", "nas#/export#a", "nas#/export#a#b#c", "nas#/export#a#",
        "nas#/export#../etc#n", "nas#/export#a%2f..#n", "nas#/export#.holdfast-csi#n",
        "nas#export#a#n", "nas#/export#a%zz#n", "nas#/export#a/#n", "nas#//export#a#n",
        "nas#/export#%61#n", "nas.example.com#srv/nfs#pvc-1##"})
    EXPECT_FALSE(parse_volume_id(text)) << text;
}

TEST(VolumeIdTest, NoIdIsLongerThanCsiAllowsUnlessServerAndShareAre) {
  const std::string name = stored_name(std::string(128, 'n'));
  const VolumeId deep{{share("nas.home.example.com", "/volume1/kubernetes"), std::string(200, 'd')},
                      name};
  const std::string id = to_string(deep);
  EXPECT_LE(id.size(), kVolumeIdBytesMax);
  const VolumeId without_directory{{deep.place.share, ""}, name};
  EXPECT_EQ(parse_volume_id(id), without_directory);
  const VolumeId far{{share(std::string(60, 's'), "/e"), "d"}, name};
  EXPECT_GT(to_string(far).size(), kVolumeIdBytesMax);
}

RC_GTEST_PROP(VolumeIdProperty, AnyAcceptedPlaceComesBackFromItsId, ()) {
  const auto text = rc::gen::nonEmpty(
      rc::gen::container<std::string>(rc::gen::elementOf(std::string("abcdefgh#%:/ .\xc3\xa9"))));
  const std::string name = stored_name(*text);
  const auto parsed = parse_directory(*text);
  const bool accepted = parsed && !parsed->empty() && check_name(name);
  RC_PRE(accepted);
  const VolumeId id{{Share{"nas", std::nullopt, "/e#x%"}, *parsed}, name};
  const auto back = parse_volume_id(to_string(id));
  RC_ASSERT(back.has_value());
  RC_ASSERT(back->name == name && back->place.share == id.place.share);
  RC_ASSERT(back->place.directory.empty() || back->place.directory == *parsed);
  RC_ASSERT(!back->place.directory.empty() ||
            to_string(id).size() + escape(*parsed, "#").size() > kVolumeIdBytesMax);
}

RC_GTEST_PROP(VolumeIdProperty, WhateverComesInNothingOutsideTheShareComesOut,
              (const std::string& text)) {
  for (const auto& attempt : {text, "nas#/export#" + text + "#n", "nas#/export#a#" + text}) {
    const auto id = parse_volume_id(attempt);
    if (!id) continue;
    RC_ASSERT(to_string(*id) == attempt || attempt.size() > kVolumeIdBytesMax);
    const std::string path = "/" + id->place.directory + (id->place.directory.empty() ? "" : "/");
    RC_ASSERT(path.find("/../") == std::string::npos && path.find("//") == std::string::npos);
    RC_ASSERT(as_file_name(id->name).find('/') == std::string::npos);
    RC_ASSERT(as_file_name(id->name).front() != '.');
  }
}

RC_GTEST_PROP(EscapeProperty, WhatIsEscapedComesBack, (const std::string& text)) {
  RC_ASSERT(unescape(escape(text, "#/")) == text);
  RC_ASSERT(escape(text, "#/").find_first_of("#/\n") == std::string::npos);
}

TEST(NameTest, AnyTextOfTheRightLengthMakesAFileName) {
  EXPECT_TRUE(check_name(std::string(128, 'x')));
  EXPECT_FALSE(check_name(std::string(129, 'x')));
  EXPECT_FALSE(check_name(std::string(128, '/')));  // three bytes each, as a file name
  EXPECT_FALSE(check_name(""));
  EXPECT_FALSE(check_name(std::string("a\0b", 3)));
  EXPECT_EQ(as_file_name("../etc"), "%2e.%2fetc");
  EXPECT_EQ(as_file_name("pvc-1"), "pvc-1");
  EXPECT_NE(as_file_name("a/b"), as_file_name("a%2fb"));
}

TEST(NameTest, LongNamesAreStoredShortAndApart) {
  const std::string usual = "pvc-0c5f3a52-8d0b-4a44-9f0e-1f4f6c1d2e3b";
  EXPECT_EQ(stored_name(usual), usual);
  const std::string long_name(128, 'n');
  const std::string stored = stored_name(long_name);
  EXPECT_LE(stored.size(), 64U);
  EXPECT_EQ(stored_name(stored), stored);
  EXPECT_NE(stored, stored_name(std::string(127, 'n')));
  EXPECT_NE(stored, stored_name(std::string(127, 'n') + "m"));
  EXPECT_LE(as_file_name(stored_name(std::string(60, '/'))).size(), 64U);
}

TEST(RecordTest, ComesBackFromItsText) {
  const Record record{"a\nb=c", "team/app", 1 << 30, OnDelete::kArchive};
  EXPECT_EQ(parse_record(to_text(record)), record);
}

TEST(RecordTest, HalfARecordOrAForeignOneIsNone) {
  const std::string text = to_text({"n", "d", 0, OnDelete::kDelete});
  // Without its last line end it says the same.
  for (std::size_t size = 0; size + 1 < text.size(); ++size)
    EXPECT_FALSE(parse_record(text.substr(0, size))) << size;
  EXPECT_FALSE(parse_record("holdfast-csi volume 2\nname=n\n"));
  std::string outside = text;
  outside.replace(outside.find("directory=d"), 11, "directory=../d");
  EXPECT_FALSE(parse_record(outside));
}

}  // namespace
}  // namespace holdfast::csi
