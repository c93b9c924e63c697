// Which volume a directory belongs to, over real directories.

#include "fs/volume/volume.h"

#include "fs/backend/dir/dir_backend.h"
#include "fs/core/hidden_name.h"
#include "tests/support/openat2.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

class VolumeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "holdfast-volume-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directories(path_ / "a" / "b");
    HOLDFAST_NEEDS_OPENAT2();
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  Result<Volume> find(const std::filesystem::path& directory, VolumeOptions options) {
    asio::io_context io;
    auto backend = make_dir_backend(io.get_executor(), directory);
    if (!backend) return backend.error();
    std::optional<Result<Volume>> out;
    asio::co_spawn(io, find_volume(**backend, options),
                   [&](std::exception_ptr, Result<Volume> result) { out = result; });
    io.run();
    return *out;
  }
  Result<Volume> find(const std::filesystem::path& directory,
                      MakeMarker make = MakeMarker::kMounted) {
    VolumeOptions options;
    options.make = make;
    return find(directory, options);
  }
  std::size_t files_in(const std::filesystem::path& directory) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory))
      count += entry.is_regular_file() ? 1 : 0;
    return count;
  }

  std::filesystem::path path_;
};

TEST_F(VolumeTest, TheFirstMountMakesTheMarkerAndTheNextFindsIt) {
  auto first = find(path_);
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_TRUE(first->made);
  auto second = find(path_);
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->made);
  EXPECT_EQ(second->id, first->id);
  EXPECT_EQ(files_in(path_), 1U) << "the temporary name must be gone";
}

TEST_F(VolumeTest, ASubdirectoryBelongsToTheVolumeAbove) {
  auto above = find(path_);
  auto below = find(path_ / "a" / "b");
  ASSERT_TRUE(above && below);
  EXPECT_EQ(below->id, above->id);
  EXPECT_EQ(below->levels_up, 2U);
}

TEST_F(VolumeTest, TheTopmostMarkerCounts) {
  auto below = find(path_ / "a");
  auto above = find(path_);
  ASSERT_TRUE(below && above);
  EXPECT_NE(below->id, above->id);
  auto again = find(path_ / "a");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id, above->id);
  EXPECT_EQ(again->markers_seen, 2U);
}

TEST_F(VolumeTest, AnUnfinishedMarkerOfADeadCreatorIsNoMarker) {
  std::ofstream(path_ / (std::string(kMarkerTemporaryPrefix) + "dead")) << "holdfast-vol";
  auto found = find(path_);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->made);
}

TEST_F(VolumeTest, ADamagedMarkerIsRefusedNotReplaced) {
  std::ofstream(path_ / std::string(kMarkerName)) << "something else";
  auto found = find(path_);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error(), make_error_code(VolumeErrc::kDamaged));
}

TEST_F(VolumeTest, AnotherVolumeThanExpectedIsRefused) {
  auto first = find(path_);
  ASSERT_TRUE(first);
  VolumeOptions options;
  options.expected = make_volume_id();
  EXPECT_EQ(find(path_, options).error(), make_error_code(VolumeErrc::kOtherVolume));
  options.expected = first->id;
  EXPECT_TRUE(find(path_, options));
}

TEST_F(VolumeTest, WithAnExpectedIdNoMarkerIsMade) {
  // An empty directory where a volume should be: the disk behind the export is not mounted.
  VolumeOptions options;
  options.expected = make_volume_id();
  EXPECT_EQ(find(path_, options).error(), make_error_code(VolumeErrc::kMissing));
  EXPECT_EQ(files_in(path_), 0U);
}

TEST_F(VolumeTest, MountsThatRaceAgree) {
  asio::io_context io;
  constexpr int kMounts = 8;
  std::vector<std::unique_ptr<Backend>> backends;
  std::vector<VolumeId> ids;
  for (int i = 0; i < kMounts; ++i)
    backends.push_back(std::move(*make_dir_backend(io.get_executor(), path_)));
  VolumeOptions options;
  options.make = MakeMarker::kMounted;
  for (auto& backend : backends) {
    asio::co_spawn(io, find_volume(*backend, options),
                   [&](std::exception_ptr, Result<Volume> result) {
                     ASSERT_TRUE(result);
                     ids.push_back(result->id);
                   });
  }
  io.run();
  ASSERT_EQ(ids.size(), static_cast<std::size_t>(kMounts));
  EXPECT_EQ(std::count(ids.begin(), ids.end(), ids[0]), kMounts);
}

TEST_F(VolumeTest, WithoutRightsTheDirectorysOwnerIsTried) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ::chmod(path_.c_str(), 0711);
  const auto owned = path_ / "a";
  ASSERT_EQ(::chown(owned.c_str(), 1201, 1201), 0);
  ::chmod(owned.c_str(), 0700);
  VolumeOptions options;
  options.make = MakeMarker::kMounted;
  options.who = {65534, 65534, {}};  // what root_squash makes of root
  auto found = find(owned, options);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_TRUE(found->made);
  auto again = find(owned, options);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->id, found->id);
}

TEST_F(VolumeTest, WhereNobodyMayWriteItSaysSo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  // Owner root is not tried in vain: with root_squash it is nobody again; here, a second user.
  ::chmod(path_.c_str(), 0555);
  ASSERT_EQ(::chown(path_.c_str(), 1201, 1201), 0);
  VolumeOptions options;
  options.make = MakeMarker::kMounted;
  options.who = {1202, 1202, {}};
  EXPECT_EQ(find(path_, options).error(), make_error_code(VolumeErrc::kNotWritable));
}

TEST(VolumeMarker, IsHiddenOnMountsUnderBothItsNames) {
  EXPECT_TRUE(is_hidden(kMarkerName));
  EXPECT_TRUE(is_hidden(std::string(kMarkerTemporaryPrefix) + to_string(make_volume_id())));
  EXPECT_FALSE(is_hidden(".holdfast-volumes"));
}

TEST(VolumeId, ReadsWhatItWrites) {
  const VolumeId id = make_volume_id();
  EXPECT_EQ(parse_volume_id(to_string(id)), id);
  EXPECT_EQ(parse_marker(marker_text(id)), id);
  EXPECT_EQ(to_string(id)[14], '4');
}

TEST(VolumeId, RefusesEverythingElse) {
  const std::string text = to_string(make_volume_id());
  for (const std::string& bad :
       {std::string(), text.substr(1), text + "0", std::string(36, '-'), std::string(36, 'a')})
    EXPECT_FALSE(parse_volume_id(bad)) << bad;
}

TEST(VolumeId, NoPrefixOfAMarkerIsAMarker) {
  const std::string text = marker_text(make_volume_id());
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_FALSE(parse_marker(text.substr(0, size))) << size;
}

}  // namespace
}  // namespace holdfast::fs
