// The life of volumes on a share, over a real directory: repeats, quarrels, and death at every
// step.

#include "deploy/csi/storage/volumes.h"

#include "fs/backend/dir/dir_backend.h"
#include "tests/support/openat2.h"
#include "tests/unit/csi/mortal_storage.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace asio = boost::asio;
namespace stdfs = std::filesystem;

namespace holdfast::csi {
namespace {

using testing::Killed;
using testing::LastCall;
using testing::MortalStorage;

constexpr unsigned kNever = 1'000'000;

class VolumesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = stdfs::temp_directory_path() / "holdfast-csi-XXXXXX";
    share_ = ::mkdtemp(pattern.data());
    stdfs::permissions(share_, stdfs::perms(0755));
    HOLDFAST_NEEDS_OPENAT2();
  }
  void TearDown() override { stdfs::remove_all(share_); }

  static CreateOrder order(const std::string& name, const std::string& directory = {},
                           OnDelete on_delete = OnDelete::kDelete) {
    CreateOrder out;
    out.name = name;
    out.capacity.required_bytes = 1 << 20;
    out.parameters.place.directory = directory.empty() ? name : directory;
    out.parameters.on_delete = on_delete;
    return out;
  }

  /// Killed at its change number `after`: nothing.
  template <class T>
  std::optional<Answer<T>> run(std::function<asio::awaitable<Answer<T>>(fs::Backend&)> work,
                               unsigned after = kNever, LastCall last = LastCall::kLost) {
    asio::io_context io;
    auto inner = fs::make_dir_backend(io.get_executor(), share_);
    EXPECT_TRUE(inner);
    MortalStorage backend(io.get_executor(), **inner, after, last);
    std::optional<Answer<T>> out;
    asio::co_spawn(io, work(backend), [&](std::exception_ptr failure, Answer<T> answer) {
      if (!failure) out = std::move(answer);
    });
    io.run();
    return out;
  }
  std::optional<Answer<Record>> create(const CreateOrder& wanted, unsigned after = kNever,
                                       LastCall last = LastCall::kLost) {
    return run<Record>([&](fs::Backend& backend) { return create_volume(backend, wanted); }, after,
                       last);
  }
  std::optional<Done> remove(const std::string& name, unsigned after = kNever,
                             LastCall last = LastCall::kLost) {
    return run<void>([&](fs::Backend& backend) { return delete_volume(backend, name); }, after,
                     last);
  }
  Answer<Record> find(const std::string& name) {
    return *run<Record>([&](fs::Backend& backend) { return find_volume_record(backend, name); });
  }
  void fill(const std::string& directory) const {
    const auto deep = share_ / directory / "a" / "b";
    stdfs::create_directories(deep);
    for (const auto& file : {deep / "1", deep / "2", share_ / directory / "3"})
      std::ofstream(file) << "data";
    stdfs::create_symlink("/etc", deep / "link");
    stdfs::create_directory(deep / "locked");
    std::ofstream(deep / "locked" / "4") << "data";
    stdfs::permissions(deep / "locked", stdfs::perms(0500));
  }
  std::size_t records() const {
    if (!stdfs::exists(share_ / ".holdfast-csi")) return 0;
    return static_cast<std::size_t>(
        std::distance(stdfs::directory_iterator(share_ / ".holdfast-csi"), {}));
  }
  static Code code(const std::optional<Answer<Record>>& answer) {
    return *answer ? Code::kInternal : answer->error().code;
  }

  stdfs::path share_;
};

TEST_F(VolumesTest, CreatingTwiceGivesOneVolume) {
  const auto first = create(order("pvc-1"));
  ASSERT_TRUE(*first) << first->error().what;
  const auto second = create(order("pvc-1"));
  ASSERT_TRUE(*second);
  EXPECT_EQ(**first, **second);
  struct stat status {};
  ASSERT_EQ(::stat((share_ / "pvc-1").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0777U);
  EXPECT_EQ(*find("pvc-1"), **first);
}

TEST_F(VolumesTest, TheSameNameWithOtherWishesIsRefused) {
  ASSERT_TRUE(*create(order("pvc-1")));
  auto bigger = order("pvc-1");
  bigger.capacity = {2 << 20, 2 << 20};
  EXPECT_EQ(code(create(bigger)), Code::kAlreadyExists);
  EXPECT_EQ(code(create(order("pvc-1", "elsewhere"))), Code::kAlreadyExists);
  EXPECT_EQ(code(create(order("pvc-1", {}, OnDelete::kRetain))), Code::kAlreadyExists);
  EXPECT_FALSE(stdfs::exists(share_ / "elsewhere"));
}

TEST_F(VolumesTest, OwnerAndModeAreSet) {
  auto wanted = order("pvc-1", "team/app");
  wanted.parameters.uid = 1234;
  wanted.parameters.gid = 2345;
  wanted.parameters.mode = 0750;
  ASSERT_TRUE(*create(wanted));
  struct stat status {};
  ASSERT_EQ(::stat((share_ / "team/app").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 1234U);
  EXPECT_EQ(status.st_gid, 2345U);
  EXPECT_EQ(status.st_mode & 07777U, 0750U);
}

TEST_F(VolumesTest, AnOwnerThatIsWishedForIsSetToo) {
  auto wanted = order("pvc-1", "team/app");
  wanted.parameters.uid = 1234;
  wanted.parameters.giving = Parameters::Giving::kWished;
  ASSERT_TRUE(*create(wanted));
  struct stat status {};
  ASSERT_EQ(::stat((share_ / "team/app").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 1234U);
}

TEST_F(VolumesTest, TwoVolumesInOneDirectoryOnlyWhereNothingIsDeleted) {
  ASSERT_TRUE(*create(order("a", "team/app")));
  EXPECT_EQ(code(create(order("b", "team/app", OnDelete::kRetain))), Code::kAlreadyExists);
  EXPECT_EQ(code(create(order("b", "team"))), Code::kAlreadyExists);
  EXPECT_EQ(code(create(order("b", "team/app/deeper"))), Code::kAlreadyExists);
  EXPECT_TRUE(*create(order("b", "team/other")));
  EXPECT_TRUE(*create(order("c", "kept", OnDelete::kRetain)));
  EXPECT_TRUE(*create(order("d", "kept", OnDelete::kRetain)));
  EXPECT_FALSE(find("e"));
}

TEST_F(VolumesTest, ALinkInTheWayIsNotFollowed) {
  stdfs::create_directory(share_ / "target");
  stdfs::create_directory_symlink("target", share_ / "link");
  EXPECT_EQ(code(create(order("a", "link"))), Code::kInvalidArgument);
  EXPECT_EQ(code(create(order("b", "link/c"))), Code::kInvalidArgument);
  EXPECT_TRUE(stdfs::is_empty(share_ / "target"));
  EXPECT_EQ(records(), 0U);
}

TEST_F(VolumesTest, DeletingTakesTheDataAndNothingElse) {
  ASSERT_TRUE(*create(order("pvc-1")));
  ASSERT_TRUE(*create(order("pvc-2")));
  fill("pvc-1");
  EXPECT_TRUE(*remove("pvc-1"));
  EXPECT_FALSE(stdfs::exists(share_ / "pvc-1"));
  EXPECT_TRUE(stdfs::exists(share_ / "pvc-2"));
  EXPECT_TRUE(stdfs::exists("/etc/passwd"));
  EXPECT_EQ(records(), 1U);
  EXPECT_TRUE(*remove("pvc-1"));
}

TEST_F(VolumesTest, WhatTheControllerDidNotMakeItDoesNotDelete) {
  fill("precious");
  EXPECT_TRUE(*remove("precious"));
  EXPECT_TRUE(stdfs::exists(share_ / "precious" / "3"));
}

TEST_F(VolumesTest, RetainLeavesTheDirectoryForTheNextVolume) {
  ASSERT_TRUE(*create(order("a", "kept", OnDelete::kRetain)));
  fill("kept");
  EXPECT_TRUE(*remove("a"));
  EXPECT_TRUE(stdfs::exists(share_ / "kept" / "3"));
  EXPECT_EQ(records(), 0U);
  EXPECT_TRUE(*create(order("b", "kept", OnDelete::kRetain)));
  EXPECT_TRUE(stdfs::exists(share_ / "kept" / "3"));
}

// Else a volume whose name is as long as a name may be could be made, and never removed.
TEST_F(VolumesTest, OfALongNameTheArchiveHasTheBegin) {
  std::string name(239, 'n');
  for (int i = 0; i < 8; ++i)
    name += "\xc3\xa4";
  ASSERT_EQ(name.size(), 255U);
  for (const std::string end : {"\xc3\xa4\xc3\xa4\xc3\xa4", "\xc3\xa4\xc3\xa4-1"}) {
    ASSERT_TRUE(*create(order("a", "team/" + name, OnDelete::kArchive)));
    ASSERT_TRUE(*remove("a"));
    EXPECT_TRUE(stdfs::exists(share_ / "team" / ("archived-" + std::string(239, 'n') + end)))
        << end;
  }
}

TEST_F(VolumesTest, ArchivesDoNotReplaceEachOther) {
  for (const std::string expected : {"archived-app", "archived-app-1", "archived-app-2"}) {
    ASSERT_TRUE(*create(order("a", "team/app", OnDelete::kArchive)));
    fill("team/app");
    EXPECT_TRUE(*remove("a"));
    EXPECT_TRUE(stdfs::exists(share_ / "team" / expected / "3")) << expected;
    EXPECT_FALSE(stdfs::exists(share_ / "team" / "app"));
  }
}

TEST_F(VolumesTest, ExpandingNotesTheSizeAndNeverShrinks) {
  ASSERT_TRUE(*create(order("a")));
  const auto expand = [&](CapacityRange range) {
    return run<Record>([&](fs::Backend& backend) { return expand_volume(backend, "a", range); });
  };
  EXPECT_EQ((**expand({5 << 20, 0})).capacity_bytes, 5 << 20);
  EXPECT_EQ((**expand({5 << 20, 0})).capacity_bytes, 5 << 20);
  EXPECT_EQ((**expand({1 << 20, 0})).capacity_bytes, 5 << 20);
  EXPECT_EQ(expand({0, 1 << 20})->error().code, Code::kOutOfRange);
  EXPECT_EQ(find("a")->capacity_bytes, 5 << 20);
  EXPECT_EQ(records(), 1U);
}

TEST_F(VolumesTest, ADamagedRecordIsSaidAndNotGuessed) {
  ASSERT_TRUE(*create(order("a")));
  std::ofstream(share_ / ".holdfast-csi" / "a.volume") << "holdfast-csi vol";
  EXPECT_EQ(find("a").error().code, Code::kInternal);
  EXPECT_FALSE(*remove("a"));
  EXPECT_TRUE(stdfs::exists(share_ / "a"));
}

class KilledVolumesTest : public VolumesTest, public ::testing::WithParamInterface<LastCall> {};

TEST_P(KilledVolumesTest, CreatingIsDoneByTheNextCall) {
  unsigned deaths = 0;
  for (unsigned after = 0;; ++after) {
    const std::string name = "pvc-" + std::to_string(after);
    const auto wanted = order(name, "team/" + name);
    const auto first = create(wanted, after, GetParam());
    const auto second = create(wanted);
    ASSERT_TRUE(*second) << after << " " << second->error().what;
    EXPECT_TRUE(stdfs::is_directory(share_ / "team" / name));
    ASSERT_TRUE(*remove(name));
    EXPECT_FALSE(stdfs::exists(share_ / "team" / name));
    if (first) break;
    ++deaths;
  }
  EXPECT_GE(deaths, 5U);
}

TEST_P(KilledVolumesTest, DeletingIsDoneByTheNextCallAndNobodySeesHalfOfIt) {
  unsigned deaths = 0;
  for (unsigned after = 0;; ++after) {
    const std::string name = "pvc-" + std::to_string(after);
    ASSERT_TRUE(*create(order(name)));
    fill(name);
    const auto first = remove(name, after, GetParam());
    EXPECT_EQ(stdfs::exists(share_ / name), stdfs::exists(share_ / name / "a/b/locked/4"));
    // What somebody puts there now is not the volume's.
    const bool moved = !stdfs::exists(share_ / name);
    if (moved) fill(name);
    ASSERT_TRUE(*remove(name)) << after;
    EXPECT_EQ(stdfs::exists(share_ / name), moved) << after;
    EXPECT_EQ(records(), 0U) << after;
    if (first) break;
    ++deaths;
  }
  EXPECT_GE(deaths, 9U);
}

TEST_P(KilledVolumesTest, AfterAHalfDeletionTheNameCanBeUsedAgain) {
  ASSERT_TRUE(*create(order("a")));
  fill("a");
  ASSERT_FALSE(remove("a", 4, GetParam()));
  ASSERT_TRUE(*create(order("a")));
  EXPECT_TRUE(stdfs::is_empty(share_ / "a"));
  ASSERT_TRUE(*remove("a"));
  EXPECT_EQ(records(), 0U);
}

TEST_P(KilledVolumesTest, ArchivingIsDoneByTheNextCall) {
  for (unsigned after = 0;; ++after) {
    const std::string name = "pvc-" + std::to_string(after);
    ASSERT_TRUE(*create(order(name, {}, OnDelete::kArchive)));
    fill(name);
    const auto first = remove(name, after, GetParam());
    ASSERT_TRUE(*remove(name));
    EXPECT_TRUE(stdfs::exists(share_ / ("archived-" + name) / "a/b/locked/4")) << after;
    EXPECT_FALSE(stdfs::exists(share_ / ("archived-" + name + "-1")));
    EXPECT_EQ(records(), 0U);
    if (first) break;
  }
}

INSTANTIATE_TEST_SUITE_P(TheLastCall, KilledVolumesTest,
                         ::testing::Values(LastCall::kLost, LastCall::kCarriedOut));

}  // namespace
}  // namespace holdfast::csi
