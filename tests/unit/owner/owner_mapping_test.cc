#include "fs/core/owner_mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast::fs {
namespace {

constexpr Owner kOwner{999, 998};
constexpr Owner kIdentity{1201, 1202};

OwnerMapping keeping() {
  OwnerOptions options;
  options.owner = kOwner;
  options.others = OtherOwners::kKept;
  return {options, kIdentity};
}

OwnerMapping mapping(std::uint32_t file_mask = 0, std::uint32_t directory_mask = 0) {
  OwnerOptions options;
  options.owner = kOwner;
  options.file_mask = file_mask;
  options.directory_mask = directory_mask;
  return {options, kIdentity};
}

Attributes stored(FileType type, std::uint32_t mode, std::uint32_t uid = kIdentity.uid) {
  Attributes out;
  out.type = type;
  out.mode = mode;
  out.uid = uid;
  out.gid = kIdentity.gid;
  out.size = 5;
  out.fileid = 6;
  return out;
}

TEST(OwnerMapping, EverythingBelongsToTheOwner) {
  for (const std::uint32_t uid : {0U, kIdentity.uid, 65534U}) {
    const auto shown = mapping().shown(stored(FileType::kRegular, 0640, uid));
    EXPECT_EQ(shown.uid, kOwner.uid);
    EXPECT_EQ(shown.gid, kOwner.gid);
    EXPECT_EQ(shown.mode, 0640U);
    EXPECT_EQ(shown.size, 5U);
    EXPECT_EQ(shown.fileid, 6U);
  }
}

TEST(OwnerMapping, MasksTakeAwayAndNeverAdd) {
  const auto masked = mapping(0137, 0027);
  EXPECT_EQ(masked.shown(stored(FileType::kRegular, 0777)).mode, 0640U);
  EXPECT_EQ(masked.shown(stored(FileType::kRegular, 0400)).mode, 0400U);
  EXPECT_EQ(masked.shown(stored(FileType::kSocket, 0777)).mode, 0640U);
  EXPECT_EQ(masked.shown(stored(FileType::kDirectory, 01777)).mode, 01750U);
  EXPECT_EQ(masked.shown(stored(FileType::kSymlink, 0777)).mode, 0777U);
}

// Somebody else's set-uid program on the server must not become our owner's.
TEST(OwnerMapping, SetIdBitsOfOthersFilesAreNotShown) {
  EXPECT_EQ(mapping().shown(stored(FileType::kRegular, 06755)).mode, 06755U);
  EXPECT_EQ(mapping().shown(stored(FileType::kRegular, 06755, 1000)).mode, 0755U);
  EXPECT_EQ(mapping().shown(stored(FileType::kRegular, 06755, 0)).mode, 0755U);
  EXPECT_EQ(mapping().shown(stored(FileType::kDirectory, 02770, 1000)).mode, 02770U);
}

TEST(OwnerMapping, ChangingToTheOwnerIsNoChangeAndToAnotherIsRefused) {
  SetAttributes change;
  change.uid = kOwner.uid;
  change.mode = 0700;
  auto sent = mapping().to_storage(change, {});
  ASSERT_TRUE(sent);
  EXPECT_FALSE(sent->change.uid);
  EXPECT_EQ(sent->change.mode, 0700U);
  EXPECT_EQ(sent->who, mapping().identity());

  change.gid = kOwner.gid;
  sent = mapping().to_storage(change, {});
  ASSERT_TRUE(sent);
  EXPECT_FALSE(sent->change.gid);

  change.gid = 0;
  EXPECT_EQ(mapping().to_storage(change, {}).error(), errno_code(EPERM));
  change.gid.reset();
  change.uid = kIdentity.uid;  // known to the storage only
  EXPECT_EQ(mapping().to_storage(change, {}).error(), errno_code(EPERM));
}

TEST(OwnerMapping, TheIdentityReadsAndWritesItsFilesWhateverTheirMode) {
  const auto map = mapping();
  EXPECT_EQ(map.owners_access(stored(FileType::kRegular, 0), R_OK | W_OK),
            static_cast<std::uint32_t>(R_OK | W_OK));
  EXPECT_EQ(map.owners_access(stored(FileType::kRegular, 0, 1000), R_OK | W_OK), 0U);
  EXPECT_EQ(map.owners_access(stored(FileType::kDirectory, 0), R_OK), 0U);  // servers do not
}

TEST(OwnerMapping, TheIdentityIsTheDirectorysOwnerButNotRoot) {
  OwnerOptions options;
  options.owner = kOwner;
  const auto of_user = stored(FileType::kDirectory, 0755, 1000);
  const auto of_root = stored(FileType::kDirectory, 0777, 0);
  EXPECT_EQ(identity_for(options, of_user), (Owner{1000, kIdentity.gid}));
  EXPECT_EQ(identity_for(options, of_root), kOwner);
  options.identity = Owner{0, 0};
  EXPECT_EQ(identity_for(options, of_user), (Owner{0, 0}));
  EXPECT_EQ(mapping().identity(), (Credentials{kIdentity.uid, kIdentity.gid, {}}));
}

// What chown leaves at the storage is what is shown from then on.
TEST(OwnerMapping, OtherOwnersAreKeptInTheGroup) {
  const auto map = keeping();
  for (const Owner& owner : {Owner{0, 0}, Owner{33, 33}, Owner{65534, 65534}, Owner{32766, 1},
                             Owner{0, 32766}, Owner{999, 5}, kOwner}) {
    Attributes file = stored(FileType::kRegular, 0640);
    SetAttributes change;
    change.uid = owner.uid;
    change.gid = owner.gid;
    const auto sent = map.to_storage(change, file);
    ASSERT_TRUE(sent) << owner.uid;
    EXPECT_FALSE(sent->change.uid) << "only root may";
    file.gid = sent->change.gid.value_or(file.gid);
    EXPECT_EQ(map.shown(file).uid, owner.uid);
    EXPECT_EQ(map.shown(file).gid, owner.gid);
    EXPECT_EQ(map.shown(file).mode, 0640U);
    // It has to be in the group, before and after.
    EXPECT_EQ(sent->who.uid, kIdentity.uid);
    EXPECT_THAT(sent->who.groups, ::testing::Contains(file.gid));

    SetAttributes back;
    back.uid = kOwner.uid;
    back.gid = kOwner.gid;
    const auto returned = map.to_storage(back, file);
    ASSERT_TRUE(returned);
    if (returned->change.gid) file.gid = *returned->change.gid;
    EXPECT_EQ(file.gid, kIdentity.gid);
  }
}

TEST(OwnerMapping, TheHalfThatIsNotChangedStays) {
  const auto map = keeping();
  Attributes file = stored(FileType::kRegular, 0640);
  SetAttributes change;
  change.uid = 33;
  file.gid = *map.to_storage(change, file)->change.gid;
  EXPECT_EQ(map.shown(file).uid, 33U);
  EXPECT_EQ(map.shown(file).gid, kOwner.gid);
  SetAttributes group;
  group.gid = 34;
  file.gid = *map.to_storage(group, file)->change.gid;
  EXPECT_EQ(map.shown(file).uid, 33U);
  EXPECT_EQ(map.shown(file).gid, 34U);
  SetAttributes mode;
  mode.mode = 02750;
  EXPECT_FALSE(map.to_storage(mode, file)->change.gid);
}

TEST(OwnerMapping, IdsThatCannotBeKeptAreRefused) {
  const auto map = keeping();
  for (const std::uint32_t id : {32767U, 65533U, 65535U, 100'999U, 0xfffffffeU}) {
    SetAttributes change;
    change.uid = id;
    EXPECT_EQ(map.to_storage(change, stored(FileType::kRegular, 0)).error(), errno_code(EOVERFLOW));
    EXPECT_EQ(map.maker({id, 1, {}}).error(), errno_code(EOVERFLOW));
  }
}

TEST(OwnerMapping, AMarkIsBelievedOnFilesOfTheIdentityOnly) {
  Attributes file = stored(FileType::kRegular, 0640);
  file.gid = keeping().maker({33, 33, {}})->gid;
  file.mode = 06755;
  EXPECT_EQ(keeping().shown(file).uid, 33U);
  EXPECT_EQ(keeping().shown(file).mode, 0755U) << "a mark is no way to run as anybody";
  EXPECT_EQ(mapping().shown(file).uid, kOwner.uid) << "nobody has asked for it";
  file.uid = 1000;
  EXPECT_EQ(keeping().shown(file).uid, kOwner.uid);
}

TEST(OwnerMapping, NewFilesBelongToTheirMaker) {
  const auto map = keeping();
  Attributes made = stored(FileType::kRegular, 0644);
  const Credentials who{33, 34, {1, 2}};
  const auto maker = map.maker(who);
  ASSERT_TRUE(maker);
  EXPECT_EQ(maker->uid, kIdentity.uid);
  made.gid = maker->gid;
  EXPECT_EQ(map.shown(made).uid, 33U);
  EXPECT_EQ(map.shown(made).gid, 34U);
  EXPECT_EQ(map.maker({kOwner.uid, kOwner.gid, {}})->gid, kIdentity.gid);
  EXPECT_EQ(*mapping().maker(who), mapping().identity());
}

TEST(OwnerMapping, InASetGroupIdDirectoryOnlyTheGroupIsInherited) {
  const auto map = keeping();
  const Credentials who{33, 33, {}};
  Attributes directory = stored(FileType::kDirectory, 02775);
  directory.gid = map.maker({7, 70, {}})->gid;
  Attributes made = stored(FileType::kRegular, 0644);
  made.gid = directory.gid;  // as servers do it
  const auto change = map.after_making(who, directory, made);
  ASSERT_TRUE(change);
  made.gid = *change->gid;
  EXPECT_EQ(map.shown(made).uid, 33U);
  EXPECT_EQ(map.shown(made).gid, 70U);
  EXPECT_FALSE(map.after_making(who, directory, made));
  made.gid = map.maker({5, 5, {}})->gid;
  EXPECT_FALSE(map.after_making(who, directory, made)) << "somebody else's, found there";
  directory.mode = 0775;
  made.gid = directory.gid;
  EXPECT_FALSE(map.after_making(who, directory, made));
}

}  // namespace
}  // namespace holdfast::fs
