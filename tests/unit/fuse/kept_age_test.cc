// What is changed without a token, on the server itself: when a mount sees it, what it costs to
// look, and what is not taken for such a change.

#include "tests/unit/fuse/caching_fixture.h"

#include <algorithm>
#include <cerrno>

#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast::fs::testing {
namespace {

class KeptAge : public CachingBackendTest {
 protected:
  KeptAge() {
    cache_.on_changed([this](const FileKey& file) { changed_.push_back(file); });
    tokens_.give(kDirectoryKey, TokenMode::kExclusive);
  }
  /// With a token, and everything that is kept of it.
  std::uint64_t kept_file(const std::string& name) {
    const auto file = known_file(name);
    tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
    EXPECT_EQ(look_up(name), 0);
    EXPECT_TRUE(run(cache_.access(kRoot, FakeStorage::handle(file), R_OK)));
    storage_.calls.clear();
    return file;
  }
  int open(std::uint64_t file) {
    const auto looked = run(cache_.look_before_open(kRoot, FakeStorage::handle(file)));
    return looked ? 0 : looked.error().value();
  }
  /// As Operations does it.
  int open_for(std::uint64_t file, std::uint32_t wanted) {
    if (const int error = open(file)) return error;
    const auto granted = run(cache_.access(kRoot, FakeStorage::handle(file), wanted));
    if (!granted) return granted.error().value();
    return *granted == wanted ? 0 : EACCES;
  }
  [[nodiscard]] long told_changed(std::uint64_t file) const {
    return std::count(changed_.begin(), changed_.end(), FakeStorage::key(file));
  }
  int all_calls() {
    int sum = 0;
    for (const auto& [name, count] : storage_.calls)
      sum += count;
    return sum;
  }

  const KeptAges ages_;
  std::vector<FileKey> changed_;
};

TEST_F(KeptAge, AnOpenSeesWhatIsOlderThanItsAge) {
  const auto file = kept_file("a");
  storage_.resize(file, 7);
  EXPECT_EQ(open(file), 0);
  EXPECT_EQ(size_of(file), 0U) << "so soon nobody asks";
  EXPECT_EQ(all_calls(), 0);
  now_ += ages_.at_open + Duration(1);
  EXPECT_EQ(size_of(file), 0U) << "who does not open it";
  EXPECT_EQ(open(file), 0);
  EXPECT_EQ(calls("getattr"), 1);
  EXPECT_EQ(told_changed(file), 1);
  EXPECT_EQ(size_of(file), 7U);
  EXPECT_EQ(calls("getattr"), 1);
  EXPECT_TRUE(run(cache_.access(kRoot, FakeStorage::handle(file), R_OK)));
  EXPECT_EQ(calls("access"), 1) << "it may have been a chmod";
}

TEST_F(KeptAge, AFileThatNobodyChangedCostsOneGetattrForEachAgeAndIsKept) {
  const auto file = kept_file("a");
  for (int i = 0; i < 3; ++i) {
    now_ += ages_.at_open + Duration(1);
    for (int j = 0; j < 3; ++j) {
      EXPECT_EQ(open(file), 0);
      EXPECT_TRUE(run(cache_.access(kRoot, FakeStorage::handle(file), R_OK)));
    }
  }
  EXPECT_EQ(calls("getattr"), 3);
  EXPECT_EQ(all_calls(), 3);
  EXPECT_EQ(told_changed(file), 0);
}

TEST_F(KeptAge, AChangeThatKeepsSizeAndMtimeIsSeen) {
  const auto file = kept_file("a");
  storage_.resize(file, 0);  // cp -p, tar, rsync -t: only ctime tells
  now_ += ages_.at_open + Duration(1);
  EXPECT_EQ(open(file), 0);
  EXPECT_EQ(told_changed(file), 1);
}

TEST_F(KeptAge, AttributesAreNotOlderThanTheirs) {
  const auto file = kept_file("a");
  storage_.resize(file, 7);
  now_ += ages_.attributes;
  EXPECT_EQ(size_of(file), 0U);
  now_ += Duration(1);
  EXPECT_EQ(size_of(file), 7U);
  EXPECT_EQ(told_changed(file), 1);
}

TEST_F(KeptAge, NamesAreBelievedUntilTheDirectoryIsAskedAgain) {
  kept_file("a");
  EXPECT_TRUE(run(cache_.getattr(kRoot, kDirectory)));
  EXPECT_EQ(look_up("a"), 0);
  EXPECT_EQ(look_up("b"), ENOENT);
  storage_.calls.clear();
  storage_.make(1, "b");
  storage_.unlink(1, "a");
  now_ += ages_.names;
  EXPECT_EQ(look_up("b"), ENOENT);
  EXPECT_EQ(look_up("a"), 0);
  now_ += Duration(1);
  EXPECT_EQ(look_up("b"), 0);
  EXPECT_EQ(look_up("a"), ENOENT);
}

TEST_F(KeptAge, ADirectoryThatNobodyChangedCostsOneGetattrForAllItsNames) {
  kept_file("a");
  EXPECT_TRUE(run(cache_.getattr(kRoot, kDirectory)));
  EXPECT_EQ(look_up("a"), 0);
  EXPECT_EQ(look_up("b"), ENOENT);
  storage_.calls.clear();
  now_ += ages_.names + Duration(1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(look_up("a"), 0);
    EXPECT_EQ(look_up("b"), ENOENT);
  }
  EXPECT_EQ(calls("getattr"), 1);
  EXPECT_EQ(all_calls(), 1);
}

TEST_F(KeptAge, AFileThatAnotherHasReplacedIsLookedUpAgain) {
  const auto old = kept_file("a");
  storage_.unlink(1, "a");
  storage_.make(1, "a");
  now_ += ages_.at_open + Duration(1);
  EXPECT_EQ(open(old), ESTALE) << "the kernel looks it up again then";
  const auto found = run(cache_.lookup(kRoot, kDirectory, "a"));
  ASSERT_TRUE(found);
  EXPECT_NE(found->handle, FakeStorage::handle(old));
}

// ---- What opening many files costs

TEST_F(KeptAge, OneCallTellsWhatMayBeDoneInAllWays) {
  const auto file = known_file("a");
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  EXPECT_EQ(open_for(file, R_OK), 0);
  EXPECT_EQ(open_for(file, R_OK | W_OK), 0);
  EXPECT_EQ(calls("access"), 1);
  EXPECT_EQ(calls("getattr"), 1);
}

TEST_F(KeptAge, WhatIsNotGrantedIsNotGrantedFromMemoryEither) {
  const auto file = known_file("a");
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  storage_.granted = R_OK;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(open_for(file, R_OK | W_OK), EACCES);
    EXPECT_EQ(open_for(file, R_OK), 0);
  }
  EXPECT_EQ(calls("access"), 1);
}

TEST_F(KeptAge, AListingTellsOfTheFilesThatAreKept) {
  const auto same = kept_file("a");
  const auto other = kept_file("b");
  storage_.resize(other, 7);
  now_ += ages_.at_open + Duration(1);
  EXPECT_TRUE(run(cache_.readdir(kRoot, kDirectory, 0, 0, 4096)));
  EXPECT_EQ(told_changed(same), 0);
  EXPECT_EQ(told_changed(other), 1);
  EXPECT_EQ(open(same), 0);
  EXPECT_EQ(size_of(other), 7U);
  EXPECT_EQ(calls("getattr"), 0);
}

// Without its token another mount may have more than the storage knows.
TEST_F(KeptAge, AListingTellsNothingOfFilesWhoseTokenIsYoungerThanIt) {
  const auto file = kept_file("a");
  now_ += Duration(1);
  storage_.holding = true;
  auto listed = begin(cache_.readdir(kRoot, kDirectory, 0, 0, 4096));
  storage_.holding = false;
  take(FakeStorage::key(file));
  storage_.resize(file, 7);
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  for (const bool known : {false, true}) {
    SCOPED_TRACE(known);
    if (known) {
      storage_.holding = true;
      listed = begin(cache_.readdir(kRoot, kDirectory, 0, 0, 4096));
      storage_.holding = false;
      take(FakeStorage::key(file));
      storage_.resize(file, 8);
      tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
      EXPECT_EQ(size_of(file), 8U);  // in the same moment as the listing was asked for
    }
    storage_.let_go();
    settle();
    EXPECT_TRUE(listed.get());
    EXPECT_EQ(size_of(file), known ? 8U : 7U);
  }
}

// ---- Our own changes

TEST_F(KeptAge, WhatWeChangeOurselvesIsNotTakenForSomebodyElses) {
  const auto file = kept_file("a");
  const std::vector<std::uint8_t> data(9);
  (void)run(cache_.write(kRoot, FakeStorage::handle(file), 0, data, Stability::kUnstable));
  EXPECT_EQ(size_of(file), 9U);
  now_ += ages_.attributes + Duration(1);
  EXPECT_EQ(open(file), 0);
  SetAttributes change;
  change.mode = 0600;
  (void)run(cache_.setattr(kRoot, FakeStorage::handle(file), change));
  EXPECT_TRUE(run(cache_.link(kRoot, FakeStorage::handle(file), kDirectory, "b")));
  now_ += ages_.attributes + Duration(1);
  EXPECT_EQ(open(file), 0);
  EXPECT_EQ(told_changed(file), 0);
  storage_.resize(file, 10);
  now_ += ages_.at_open + Duration(1);
  EXPECT_EQ(open(file), 0);
  EXPECT_EQ(told_changed(file), 1) << "but what comes after is";
}

// Their attributes cannot be told from ours in a directory that both change.
TEST_F(KeptAge, NamesAmongOurOwnChangesAreForgottenWhenTheyAreTooOld) {
  kept_file("a");
  EXPECT_EQ(look_up("b"), ENOENT);
  storage_.make(1, "b");
  now_ += ages_.names;
  EXPECT_TRUE(run(cache_.create(kRoot, kDirectory, "journal", CreateMode::kExclusive, {})));
  EXPECT_TRUE(run(cache_.remove(kRoot, kDirectory, "journal")));
  EXPECT_EQ(look_up("b"), ENOENT) << "not yet";
  now_ += Duration(1);
  EXPECT_EQ(look_up("b"), 0);
}

TEST_F(KeptAge, AChangeUnderWayIsNotLookedAt) {
  const auto file = kept_file("a");
  now_ += ages_.at_open + Duration(1);
  storage_.holding = true;
  const std::vector<std::uint8_t> data(9);
  auto written =
      begin(cache_.write(kRoot, FakeStorage::handle(file), 0, data, Stability::kUnstable));
  auto looked = begin(cache_.look_before_open(kRoot, FakeStorage::handle(file)));
  storage_.let_go();
  settle();
  EXPECT_TRUE(written.get());
  EXPECT_TRUE(looked.get());
  EXPECT_EQ(size_of(file), 9U);
  EXPECT_EQ(told_changed(file), 0);
}

// ---- Answers, tokens, memory

TEST_F(KeptAge, AnAnswerThatIsOvertakenByOneAskedForLaterIsNotKept) {
  const auto file = kept_file("a");
  now_ += ages_.attributes + Duration(1);
  storage_.holding = true;
  auto first = begin(cache_.getattr(kRoot, FakeStorage::handle(file)));
  storage_.holding = false;
  storage_.resize(file, 7);
  now_ += Duration(1);
  EXPECT_EQ(size_of(file), 7U);
  storage_.let_go();
  settle();
  EXPECT_EQ(first.get()->size, 0U);
  EXPECT_EQ(size_of(file), 7U);
  EXPECT_EQ(told_changed(file), 1);
}

TEST_F(KeptAge, WhatChangedWhileTheTokenWasAwayIsNotToldAgain) {
  const auto file = kept_file("a");
  take(FakeStorage::key(file));
  storage_.resize(file, 7);
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  EXPECT_EQ(size_of(file), 7U);
  EXPECT_EQ(told_changed(file), 0) << "it went with the token";
}

TEST_F(KeptAge, UnderSharedAnOpenHasNothingToLookAt) {
  const auto file = known_file("a");
  EXPECT_EQ(open(file), 0);
  EXPECT_EQ(all_calls(), 0);
}

TEST(KeptFilesAge, OfAFileThatHadToMakeRoomNobodyKnows) {
  KeptFiles files(1);
  const auto keep = [&](std::uint64_t file) {
    return files.keep(files.begin_look(FakeStorage::key(file), 1, Instant{}), Attributes{});
  };
  EXPECT_FALSE(keep(1));
  EXPECT_TRUE(keep(2)) << "it may have been known before the other one";
  EXPECT_FALSE(keep(2));
}

}  // namespace
}  // namespace holdfast::fs::testing
