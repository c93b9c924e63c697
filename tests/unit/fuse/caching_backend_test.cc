// What a mount answers from memory, under which token; and what it never does.

#include "fs/cache/caching_backend.h"

#include "tests/unit/fuse/caching_fixture.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast::fs::testing {
namespace {

class UnderEachKeepingMode : public CachingBackendTest,
                             public ::testing::WithParamInterface<TokenMode> {};
INSTANTIATE_TEST_SUITE_P(Modes, UnderEachKeepingMode,
                         ::testing::Values(TokenMode::kRead, TokenMode::kExclusive));

TEST_P(UnderEachKeepingMode, AttributesAndPermissionsAreAskedForOnce) {
  const auto file = known_file("a");
  tokens_.give(FakeStorage::key(file), GetParam());
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(run(cache_.getattr(kRoot, FakeStorage::handle(file))));
    EXPECT_TRUE(run(cache_.access(kRoot, FakeStorage::handle(file), R_OK)));
  }
  EXPECT_EQ(calls("getattr"), 1);
  EXPECT_EQ(calls("access"), 1);
}

TEST_P(UnderEachKeepingMode, NamesAreAskedForOnceAlsoIfTheyAreAbsent) {
  const auto file = known_file("a");
  tokens_.give(kDirectoryKey, GetParam());
  tokens_.give(FakeStorage::key(file), GetParam());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(look_up("a"), 0);
    EXPECT_EQ(look_up("b"), ENOENT);
  }
  EXPECT_EQ(calls("lookup"), 2);
  EXPECT_EQ(calls("getattr"), 1) << "of the file, once: its token is another";
}

TEST_P(UnderEachKeepingMode, WhatWasKeptGoesWithTheToken) {
  const auto file = known_file("a");
  tokens_.give(kDirectoryKey, GetParam());
  tokens_.give(FakeStorage::key(file), GetParam());
  (void)size_of(file);
  EXPECT_EQ(look_up("b"), ENOENT);
  take(FakeStorage::key(file));
  take(kDirectoryKey);
  storage_.resize(file, 7);
  storage_.make(1, "b");
  tokens_.give(kDirectoryKey, GetParam());
  tokens_.give(FakeStorage::key(file), GetParam());
  EXPECT_EQ(size_of(file), 7U);
  EXPECT_EQ(look_up("b"), 0);
}

TEST_F(CachingBackendTest, AnotherTokenOfTheSameFileIsNotTheOneItWasKeptUnder) {
  const auto file = known_file("a");
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  (void)size_of(file);
  storage_.resize(file, 7);
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);  // nobody told the cache
  EXPECT_EQ(size_of(file), 7U);
}

TEST_F(CachingBackendTest, UnderSharedNothingIsKept) {
  const auto file = known_file("a");
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(run(cache_.getattr(kRoot, FakeStorage::handle(file))));
    EXPECT_TRUE(run(cache_.access(kRoot, FakeStorage::handle(file), R_OK)));
    EXPECT_EQ(look_up("a"), 0);
    EXPECT_EQ(look_up("b"), ENOENT);
    EXPECT_TRUE(run(cache_.readdir(kRoot, kDirectory, 0, 0, 4096)));
  }
  EXPECT_EQ(calls("getattr"), 2);
  EXPECT_EQ(calls("access"), 2);
  EXPECT_EQ(calls("lookup"), 4);
  EXPECT_EQ(calls("readdir"), 2);
}

TEST_F(CachingBackendTest, PermissionsAreThoseOfTheCallerAndGoWithTheMode) {
  const auto file = known_file("a");
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  Credentials other;
  other.uid = 1000;
  (void)run(cache_.access(kRoot, FakeStorage::handle(file), R_OK));
  (void)run(cache_.access(other, FakeStorage::handle(file), R_OK));
  (void)run(cache_.access(kRoot, FakeStorage::handle(file), W_OK));
  EXPECT_EQ(calls("access"), 2) << "the first was for all ways";
  SetAttributes change;
  change.mode = 0;
  (void)run(cache_.setattr(kRoot, FakeStorage::handle(file), change));
  (void)run(cache_.access(kRoot, FakeStorage::handle(file), R_OK));
  EXPECT_EQ(calls("access"), 3);
}

TEST_F(CachingBackendTest, PermissionsOutliveAChownToTheOwnerThatItHas) {
  const auto file = known_file("a");
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  const auto chown_to = [&](std::uint32_t uid) {
    SetAttributes change;
    change.uid = uid;
    change.gid = 0;
    EXPECT_TRUE(run(cache_.setattr(kRoot, FakeStorage::handle(file), change)));
    EXPECT_TRUE(run(cache_.access(kRoot, FakeStorage::handle(file), R_OK)));
  };
  EXPECT_EQ(size_of(file), 0U);
  EXPECT_TRUE(run(cache_.access(kRoot, FakeStorage::handle(file), R_OK)));
  chown_to(0);
  EXPECT_EQ(calls("access"), 1);
  EXPECT_EQ(calls("setattr"), 1) << "it is told: ctime is another";
  chown_to(1000);
  EXPECT_EQ(calls("access"), 2);
}

TEST_F(CachingBackendTest, PermissionsOutliveWrites) {
  const std::vector<std::uint8_t> data(10);
  for (const bool tells : {false, true}) {
    storage_.tells_attributes = tells;
    const auto file = known_file(tells ? "a" : "b");
    tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
    const int before = calls("access");
    for (int i = 0; i < 3; ++i) {
      (void)size_of(file);
      EXPECT_TRUE(run(cache_.access(kRoot, FakeStorage::handle(file), R_OK)));
      (void)run(cache_.write(kRoot, FakeStorage::handle(file), 0, data, Stability::kUnstable));
    }
    EXPECT_EQ(calls("access"), before + 1);
  }
}

TEST_F(CachingBackendTest, PermissionsDoNotOutliveAModeThatOthersHaveChangedBetweenOurWrites) {
  const std::vector<std::uint8_t> data(10);
  storage_.tells_attributes = true;
  const auto file = known_file("a");
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  (void)size_of(file);
  EXPECT_TRUE(run(cache_.access(kRoot, FakeStorage::handle(file), R_OK)));
  storage_.change_mode(file, 0600);
  (void)run(cache_.write(kRoot, FakeStorage::handle(file), 0, data, Stability::kUnstable));
  EXPECT_TRUE(run(cache_.access(kRoot, FakeStorage::handle(file), R_OK)));
  EXPECT_EQ(calls("access"), 2);
}

TEST(KeptFiles, PermissionsOfAModeThatNobodyToldUsAreNotTakenForThoseOfTheOneBefore) {
  constexpr FileKey kFile{5, 5};
  const Credentials who;
  KeptFiles kept;
  Attributes before;
  before.mode = 0700;
  EXPECT_FALSE(kept.keep(kept.begin_look(kFile, 1, Instant{}), before));
  kept.end_change(kept.begin_change(kFile, Instant{}, KeptFiles::Concerns::kPermissions), 1);
  kept.keep_access(kept.begin_look(kFile, 1, Instant{}), who, R_OK,
                   R_OK);  // of the mode it has now
  EXPECT_TRUE(kept.access(kFile, 1, who, R_OK));
  kept.end_change(kept.begin_change(kFile, Instant{}), 1, before);  // others have changed it back
  EXPECT_FALSE(kept.access(kFile, 1, who, R_OK));
}

TEST_F(CachingBackendTest, AChangeIsSeenAtOnceAndItsAnswerIsKept) {
  const auto file = known_file("a");
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  EXPECT_EQ(size_of(file), 0U);
  SetAttributes change;
  change.size = 5;
  (void)run(cache_.setattr(kRoot, FakeStorage::handle(file), change));
  storage_.calls.clear();
  EXPECT_EQ(size_of(file), 5U);
  EXPECT_EQ(calls("getattr"), 0) << "setattr has answered it";
  const std::vector<std::uint8_t> data(9);
  (void)run(cache_.write(kRoot, FakeStorage::handle(file), 0, data, Stability::kUnstable));
  EXPECT_EQ(size_of(file), 9U);
  EXPECT_EQ(calls("getattr"), 1) << "a write does not say what the size is";
}

TEST_F(CachingBackendTest, AnAnswerThatAChangeHasOvertakenIsNotKept) {
  const auto file = known_file("a");
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  storage_.holding = true;
  auto before = begin(cache_.getattr(kRoot, FakeStorage::handle(file)));
  storage_.holding = false;
  const std::vector<std::uint8_t> data(9);
  (void)run(cache_.write(kRoot, FakeStorage::handle(file), 0, data, Stability::kUnstable));
  storage_.let_go();
  settle();
  EXPECT_EQ(before.get()->size, 0U) << "it was asked before";
  EXPECT_EQ(size_of(file), 9U);
}

TEST_F(CachingBackendTest, AnAnswerOfATokenThatIsGoneIsNotKept) {
  known_file("a");
  tokens_.give(kDirectoryKey, TokenMode::kRead);
  storage_.holding = true;
  auto before = begin(cache_.lookup(kRoot, kDirectory, "b"));
  take(kDirectoryKey);
  storage_.make(1, "b");
  tokens_.give(kDirectoryKey, TokenMode::kRead);
  storage_.let_go();
  settle();
  EXPECT_FALSE(before.get());
  EXPECT_EQ(look_up("b"), 0);
}

TEST_F(CachingBackendTest, WhoMakesRemovesAndRenamesKnowsTheNames) {
  EXPECT_TRUE(run(cache_.root()));
  tokens_.give(kDirectoryKey, TokenMode::kExclusive);
  const auto made = run(cache_.create(kRoot, kDirectory, "a", CreateMode::kExclusive, {}));
  ASSERT_TRUE(made);
  const FileKey file = key_of_entry(*made);
  ASSERT_EQ(tokens_.told_created.size(), 1U);
  EXPECT_EQ(tokens_.told_created[0], std::pair(kDirectoryKey, file));
  tokens_.give(file, TokenMode::kExclusive);
  EXPECT_TRUE(run(cache_.getattr(kRoot, made->handle)));
  EXPECT_TRUE(run(cache_.rename(kRoot, kDirectory, "a", kDirectory, "b")));
  storage_.calls.clear();
  EXPECT_EQ(look_up("a"), ENOENT);
  EXPECT_EQ(look_up("b"), 0);
  EXPECT_EQ(calls("lookup"), 0);
  EXPECT_TRUE(run(cache_.remove(kRoot, kDirectory, "b")));
  EXPECT_EQ(look_up("b"), ENOENT);
  EXPECT_EQ(calls("lookup"), 0);
}

TEST_F(CachingBackendTest, AfterAChangeThatFailedNobodyKnowsTheName) {
  known_file("a");
  tokens_.give(kDirectoryKey, TokenMode::kExclusive);
  EXPECT_EQ(look_up("a"), 0);
  storage_.next_error = EIO;  // it was executed all the same
  EXPECT_FALSE(run(cache_.remove(kRoot, kDirectory, "a")));
  EXPECT_EQ(look_up("a"), ENOENT);
  storage_.next_error = EIO;
  EXPECT_FALSE(run(cache_.create(kRoot, kDirectory, "a", CreateMode::kUnchecked, {})));
  EXPECT_EQ(look_up("a"), 0);
}

TEST_F(CachingBackendTest, ARemovalTakesTheAttributesOfTheFilesOtherNames) {
  const auto file = known_file("a");
  tokens_.give(kDirectoryKey, TokenMode::kExclusive);
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  EXPECT_TRUE(run(cache_.link(kRoot, FakeStorage::handle(file), kDirectory, "b")));
  EXPECT_EQ(look_up("b"), 0);
  EXPECT_TRUE(run(cache_.remove(kRoot, kDirectory, "a")));
  storage_.calls.clear();
  EXPECT_EQ(look_up("b"), 0);
  EXPECT_EQ(calls("getattr"), 1) << "it has a name less";
}

TEST_F(CachingBackendTest, AListingIsANameForEachEntryAndAttributesUnderTheVolumesToken) {
  const auto file = known_file("a");
  tokens_.give(kDirectoryKey, TokenMode::kRead);
  tokens_.give(FakeStorage::key(file), TokenMode::kRead);
  EXPECT_TRUE(run(cache_.readdir(kRoot, kDirectory, 0, 0, 4096)));
  EXPECT_EQ(look_up("a"), 0);
  EXPECT_EQ(calls("lookup"), 0);
  EXPECT_EQ(calls("getattr"), 1) << "somebody else may have changed it before the token came";
  take(kDirectoryKey);
  take(FakeStorage::key(file));
  tokens_.give(kVolumeKey, TokenMode::kExclusive);
  tokens_.give(kDirectoryKey, TokenMode::kExclusive);
  tokens_.give(FakeStorage::key(file), TokenMode::kExclusive);
  storage_.calls.clear();
  EXPECT_TRUE(run(cache_.readdir(kRoot, kDirectory, 0, 0, 4096)));
  EXPECT_EQ(look_up("a"), 0);
  EXPECT_EQ(calls("getattr"), 0);
}

// ---- Pins

TEST_F(CachingBackendTest, ARemovalHasTheFilesTokenToo) {
  const auto file = known_file("a");
  tokens_.pinned.clear();
  EXPECT_TRUE(run(cache_.remove(kRoot, kDirectory, "a")));
  std::map<FileKey, TokenUse> uses;
  for (const auto& pin : tokens_.pinned)
    uses[pin.file] = pin.use;
  EXPECT_EQ(uses.at(kDirectoryKey), TokenUse::kWrite);
  EXPECT_EQ(uses.at(FakeStorage::key(file)), TokenUse::kWrite);
}

// A change that has one token and waits for another can only have the smaller key's.
TEST_F(CachingBackendTest, ARemovalThatWaitsHoldsNoTokenOutOfOrder) {
  const auto file = known_file("a");
  const FileKey key = FakeStorage::key(file);
  ASSERT_LT(kDirectoryKey, key);
  tokens_.withhold(kDirectoryKey);
  auto waits = begin(cache_.remove(kRoot, kDirectory, "a"));
  EXPECT_EQ(tokens_.pins[key], 0);
  tokens_.give(kDirectoryKey, TokenMode::kShared);
  tokens_.withhold(key);
  tokens_.wake();
  settle();
  EXPECT_FALSE(ready(waits));
  EXPECT_EQ(calls("remove"), 0) << "not without the file's token";
  tokens_.give(key, TokenMode::kShared);
  tokens_.wake();
  settle();
  EXPECT_TRUE(waits.get());
  for (const auto& [pinned, count] : tokens_.pins)
    EXPECT_EQ(count, 0) << pinned.fileid;
}

// Whoever removes the file may have its token, and wait for the directory's.
TEST_F(CachingBackendTest, ALookupThatWaitsForTheFileDoesNotHoldTheDirectory) {
  const auto file = known_file("a");
  tokens_.give(kDirectoryKey, TokenMode::kRead);
  EXPECT_EQ(look_up("a"), 0);
  tokens_.withhold(FakeStorage::key(file));
  auto waits = begin(cache_.lookup(kRoot, kDirectory, "a"));
  EXPECT_FALSE(ready(waits));
  EXPECT_EQ(tokens_.pins[kDirectoryKey], 0);
  tokens_.give(FakeStorage::key(file), TokenMode::kRead);
  tokens_.wake();
  settle();
  EXPECT_TRUE(waits.get());
}

// They are part of something that has the token, or of giving it up (T10).
TEST_F(CachingBackendTest, WhatIsWrittenIsAdmittedAsLongAsTheTokenIsHeld) {
  const auto file = known_file("a");
  tokens_.pinned.clear();
  const std::vector<std::uint8_t> data(9);
  (void)run(cache_.write(kRoot, FakeStorage::handle(file), 0, data, Stability::kUnstable));
  (void)run(cache_.commit(kRoot, FakeStorage::handle(file), 0, 0));
  (void)run(cache_.setattr(kRoot, FakeStorage::handle(file), {}));
  (void)run(cache_.getattr_within(kRoot, FakeStorage::handle(file)));
  ASSERT_EQ(tokens_.pinned.size(), 4U);
  for (const auto& pin : tokens_.pinned)
    EXPECT_EQ(pin.urgency, Urgency::kWithin);
}

// Whoever finds it in the other directory asks lockd for the file, which must know that we have it.
TEST_F(CachingBackendTest, AFileThatLeavesTheDirectoryWhereItWasMadeHasATokenOfItsOwnBefore) {
  const auto file = known_file("a");
  const auto other = storage_.make(1, "other", FileType::kDirectory);
  tokens_.covers[FakeStorage::key(file)] = kDirectoryKey;
  EXPECT_TRUE(run(cache_.rename(kRoot, kDirectory, "a", kDirectory, "b")));
  EXPECT_TRUE(tokens_.given_up.empty()) << "it stays in it";
  EXPECT_TRUE(run(cache_.rename(kRoot, kDirectory, "b", FakeStorage::handle(other), "c")));
  EXPECT_EQ(tokens_.given_up, std::vector<FileKey>{kDirectoryKey});
  tokens_.given_up.clear();
  tokens_.covers[FakeStorage::key(file)] = FakeStorage::key(other);
  EXPECT_TRUE(run(cache_.link(kRoot, FakeStorage::handle(file), kDirectory, "d")));
  EXPECT_EQ(tokens_.given_up, std::vector<FileKey>{FakeStorage::key(other)});
}

// The names were looked at under tokens that are somebody else's by the time the storage answers.
TEST_F(CachingBackendTest, AChangeOfNamesWhoseTokensAreLostBeforeItIsSentHasTheNextOnes) {
  const auto file = known_file("a");
  const FileHandle other = FakeStorage::handle(storage_.make(1, "other", FileType::kDirectory));
  EXPECT_EQ(look_up("other"), 0);
  storage_.holding = true;
  auto renames = begin(cache_.rename(kRoot, kDirectory, "a", other, "b"));
  ASSERT_EQ(tokens_.pins[kDirectoryKey], 1);
  tokens_.withhold(kDirectoryKey);
  cache_.lost(kDirectoryKey);
  storage_.let_go();
  settle();
  EXPECT_FALSE(ready(renames));
  EXPECT_EQ(calls("rename"), 0) << "another mount has the directory to itself";
  tokens_.give(kDirectoryKey, TokenMode::kShared);
  tokens_.wake();
  settle();
  EXPECT_TRUE(renames.get());
  EXPECT_EQ(run(cache_.lookup(kRoot, other, "b"))->handle, FakeStorage::handle(file));
  for (const auto& [pinned, count] : tokens_.pins)
    EXPECT_EQ(count, 0) << pinned.fileid;
}

TEST_F(CachingBackendTest, ATokenThatIsLostWhileTheNextIsWaitedForIsAskedForAnew) {
  const auto file = known_file("a");
  const FileKey key = FakeStorage::key(file);
  ASSERT_LT(kDirectoryKey, key);
  tokens_.withhold(key);
  auto links = begin(cache_.link(kRoot, FakeStorage::handle(file), kDirectory, "b"));
  ASSERT_EQ(tokens_.pins[kDirectoryKey], 1);
  tokens_.withhold(kDirectoryKey);
  cache_.lost_all();
  tokens_.give(key, TokenMode::kShared);
  tokens_.wake();
  settle();
  EXPECT_EQ(calls("link"), 0) << "another mount has the directory to itself";
  tokens_.give(kDirectoryKey, TokenMode::kShared);
  tokens_.wake();
  settle();
  EXPECT_TRUE(links.get());
  for (const auto& [pinned, count] : tokens_.pins)
    EXPECT_EQ(count, 0) << pinned.fileid;
}

// ---- Bounds

TEST(KeptFilesBounds, TheFileUnusedForLongestGoes) {
  KeptFiles files(2);
  const auto keep = [&](std::uint64_t file) {
    (void)files.keep(files.begin_look(FakeStorage::key(file), 1, Instant{}), Attributes{});
  };
  keep(1);
  keep(2);
  EXPECT_TRUE(files.attributes(FakeStorage::key(1), 1, Instant{}));
  keep(3);
  EXPECT_EQ(files.size(), 2U);
  EXPECT_FALSE(files.attributes(FakeStorage::key(2), 1, Instant{}));
  EXPECT_TRUE(files.attributes(FakeStorage::key(1), 1, Instant{}));
}

TEST(KeptFilesBounds, TooManyNamesOfADirectoryBeginAnew) {
  KeptFiles files;
  const auto look = files.begin_look(kDirectoryKey, 1, Instant{});
  for (std::size_t i = 0; i <= KeptFiles::kNamesMax; ++i)
    files.keep_absent(look, std::to_string(i));
  using State = KeptFiles::Name::State;
  EXPECT_EQ(files.name(kDirectoryKey, 1, "0", Instant{}).state, State::kUnknown);
  const auto last = std::to_string(KeptFiles::kNamesMax);
  EXPECT_EQ(files.name(kDirectoryKey, 1, last, Instant{}).state, State::kAbsent);
}

}  // namespace
}  // namespace holdfast::fs::testing
