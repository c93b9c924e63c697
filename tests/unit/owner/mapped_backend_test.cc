// Mapped ownership over a real directory that belongs to somebody else.

#include "fs/owner/mapped_backend.h"

#include "fs/backend/dir/dir_backend.h"
#include "tests/support/openat2.h"
#include "tests/unit/fuse/caching_fakes.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

constexpr Owner kOwner{999, 998};
constexpr uid_t kIdentity = 1201;

class MappedBackendTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: NOTHING WAS TESTED";
    HOLDFAST_NEEDS_OPENAT2();
    std::string pattern = std::filesystem::temp_directory_path() / "holdfast-owner-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    ASSERT_EQ(::chown(path_.c_str(), kIdentity, kIdentity), 0);
    auto storage = make_dir_backend(io_.get_executor(), path_);
    ASSERT_TRUE(storage);
    storage_ = std::move(*storage);
    map(OtherOwners::kRefused);
    root_ = ask(mapped_->root()).value();
  }
  void map(OtherOwners others) {
    OwnerOptions options;
    options.owner = kOwner;
    options.others = others;
    const OwnerMapping mapping(options, {kIdentity, kIdentity});
    mapped_ = std::make_unique<MappedBackend>(*storage_, mapping);
  }
  void TearDown() override {
    if (path_.empty()) return;
    asio::co_spawn(io_, storage_->stop(), [](std::exception_ptr) {});
    io_.restart();
    io_.run();
    std::filesystem::remove_all(path_);
  }

  template <class T>
  Result<T> ask(Backend::Awaitable<T> call) {
    std::optional<Result<T>> out;
    asio::co_spawn(io_, std::move(call),
                   [&](std::exception_ptr, Result<T> result) { out = std::move(result); });
    io_.restart();
    while (!out)
      io_.run_one();
    return *out;
  }
  struct stat on_disk(const std::string& name) {
    struct stat out {};
    EXPECT_EQ(::lstat((path_ / name).c_str(), &out), 0) << name;
    return out;
  }
  Entry make(const std::string& name, std::uint32_t mode = 0644, Credentials who = {}) {
    SetAttributes attributes;
    attributes.mode = mode;
    return ask(mapped_->create(who, root_.handle, name, CreateMode::kExclusive, attributes))
        .value();
  }
  void is_of(const std::string& name, Owner owner) {
    const auto found = ask(mapped_->lookup(root_user_, root_.handle, name));
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(found->attributes.uid, owner.uid) << name;
    EXPECT_EQ(found->attributes.gid, owner.gid) << name;
    EXPECT_EQ(on_disk(name).st_uid, kIdentity) << name;
  }
  static void is_the_owners(const Attributes& attributes) {
    EXPECT_EQ(attributes.uid, kOwner.uid);
    EXPECT_EQ(attributes.gid, kOwner.gid);
  }

  asio::io_context io_;
  std::filesystem::path path_;
  std::unique_ptr<Backend> storage_;
  std::unique_ptr<MappedBackend> mapped_;
  Entry root_;
  const Credentials root_user_{0, 0, {}};
};

TEST_F(MappedBackendTest, EveryAnswerShowsTheOwnerAndEveryFileIsTheIdentitys) {
  is_the_owners(root_.attributes);
  const auto file = make("file");
  is_the_owners(file.attributes);
  if (file.directory_after) is_the_owners(*file.directory_after);
  SetAttributes attributes;
  attributes.mode = 0755;
  const Credentials& who = root_user_;
  is_the_owners(ask(mapped_->mkdir(who, root_.handle, "dir", attributes))->attributes);
  is_the_owners(ask(mapped_->symlink(who, root_.handle, "link", "file"))->attributes);
  is_the_owners(ask(mapped_->mknod(who, root_.handle, "fifo", FileType::kFifo, attributes, 0, 0))
                    ->attributes);
  for (const char* name : {"file", "dir", "link", "fifo"}) {
    EXPECT_EQ(on_disk(name).st_uid, kIdentity) << name;
    EXPECT_EQ(on_disk(name).st_gid, kIdentity) << name;
  }
  is_the_owners(ask(mapped_->getattr(who, file.handle)).value());
  is_the_owners(ask(mapped_->lookup(who, root_.handle, "file"))->attributes);
  is_the_owners(ask(mapped_->link(who, file.handle, root_.handle, "second")).value());
  const std::vector<std::uint8_t> data{1, 2, 3};
  const auto written = ask(mapped_->write(who, file.handle, 0, data, Stability::kUnstable));
  ASSERT_TRUE(written);
  if (written->after) is_the_owners(*written->after);
  const auto committed = ask(mapped_->commit(who, file.handle, 0, 0));
  ASSERT_TRUE(committed);
  if (committed->after) is_the_owners(*committed->after);
  const auto page = ask(mapped_->readdir(who, root_.handle, 0, 0, 1U << 16));
  ASSERT_TRUE(page);
  EXPECT_GE(page->entries.size(), 5U);
  for (const auto& entry : page->entries) {
    if (entry.entry) is_the_owners(entry.entry->attributes);
  }
  const auto removed = ask(mapped_->remove(who, root_.handle, "second"));
  ASSERT_TRUE(removed);
  if (removed->directory_after) is_the_owners(*removed->directory_after);
}

TEST_F(MappedBackendTest, ModesAreTheStoragesOwn) {
  const auto file = make("file", 0600);
  EXPECT_EQ(file.attributes.mode, 0600U);
  SetAttributes change;
  change.mode = 0440;
  change.uid = kOwner.uid;
  const auto changed = ask(mapped_->setattr(root_user_, file.handle, change));
  ASSERT_TRUE(changed) << changed.error().message();
  EXPECT_EQ(changed->mode, 0440U);
  is_the_owners(*changed);
  EXPECT_EQ(on_disk("file").st_mode & 07777U, 0440U);
}

TEST_F(MappedBackendTest, ChownToTheOwnerTouchesNothingAndToAnotherIsRefused) {
  const auto file = make("file");
  SetAttributes change;
  change.uid = kOwner.uid;
  change.gid = kOwner.gid;
  const auto same = ask(mapped_->setattr(root_user_, file.handle, change));
  ASSERT_TRUE(same) << same.error().message();
  is_the_owners(*same);
  EXPECT_EQ(on_disk("file").st_uid, kIdentity);
  change.uid = 0;
  EXPECT_EQ(ask(mapped_->setattr(root_user_, file.handle, change)).error(), errno_code(EPERM));
  EXPECT_EQ(on_disk("file").st_uid, kIdentity);
}

TEST_F(MappedBackendTest, FilesThatTheStorageKeepsFromTheIdentityStayClosed) {
  const auto ours = make("ours", 0);
  const std::uint32_t wanted = R_OK | W_OK;
  EXPECT_EQ(ask(mapped_->access(root_user_, ours.handle, wanted)).value(), wanted);
  const std::vector<std::uint8_t> data{1};
  EXPECT_TRUE(ask(mapped_->write(root_user_, ours.handle, 0, data, Stability::kUnstable)));
  EXPECT_EQ(ask(mapped_->read(root_user_, ours.handle, 0, 1)).value().data, data);

  std::ofstream(path_ / "theirs") << "x";
  ASSERT_EQ(::chown((path_ / "theirs").c_str(), 1000, 1000), 0);
  ::chmod((path_ / "theirs").c_str(), 0600);
  const auto theirs = ask(mapped_->lookup(root_user_, root_.handle, "theirs")).value();
  is_the_owners(theirs.attributes);
  EXPECT_EQ(ask(mapped_->access(root_user_, theirs.handle, wanted)).value(), 0U);
  EXPECT_EQ(ask(mapped_->read(root_user_, theirs.handle, 0, 1)).error(), errno_code(EACCES));
}

TEST_F(MappedBackendTest, OtherOwnersAreKeptAndMoveWithTheFile) {
  map(OtherOwners::kKept);
  const Credentials www{33, 33, {}};
  make("theirs", 0600, www);
  make("roots");
  const auto ours = make("ours", 0644, {kOwner.uid, kOwner.gid, {}});
  SetAttributes attributes;
  attributes.mode = 0750;
  ASSERT_TRUE(ask(mapped_->mkdir(www, root_.handle, "dir", attributes)));
  ASSERT_TRUE(ask(mapped_->symlink(www, root_.handle, "link", "theirs")));
  ASSERT_TRUE(ask(mapped_->mknod(www, root_.handle, "fifo", FileType::kFifo, attributes, 0, 0)));
  is_of("roots", {0, 0});
  is_of("ours", kOwner);
  EXPECT_EQ(on_disk("ours").st_gid, kIdentity) << "nothing to be kept";
  for (const char* name : {"theirs", "dir", "link", "fifo"})
    is_of(name, {33, 33});

  SetAttributes change;
  change.uid = 70;
  const auto changed = ask(mapped_->setattr(root_user_, ours.handle, change));
  ASSERT_TRUE(changed) << changed.error().message();
  EXPECT_EQ(changed->uid, 70U);
  EXPECT_EQ(changed->gid, kOwner.gid);
  ASSERT_TRUE(ask(mapped_->rename(root_user_, root_.handle, "ours", root_.handle, "moved")));
  map(OtherOwners::kKept);  // another mount
  is_of("moved", {70, kOwner.gid});
  change.uid = kOwner.uid;
  ASSERT_TRUE(ask(mapped_->setattr(root_user_, ours.handle, change)));
  is_of("moved", kOwner);
  EXPECT_EQ(on_disk("moved").st_gid, kIdentity);
}

TEST_F(MappedBackendTest, SetGroupIdDirectoriesGiveTheirGroupAndKeepTheirBit) {
  map(OtherOwners::kKept);
  SetAttributes attributes;
  attributes.mode = 0777;
  const Credentials maker{7, 70, {}}, www{33, 33, {}};
  const auto directory = ask(mapped_->mkdir(maker, root_.handle, "dir", attributes)).value();
  SetAttributes change;
  change.mode = 02777;
  ASSERT_TRUE(ask(mapped_->setattr(root_user_, directory.handle, change)));
  EXPECT_EQ(on_disk("dir").st_mode & 07777U, 02777U);
  const auto file =
      ask(mapped_->create(www, directory.handle, "file", CreateMode::kExclusive, attributes));
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->attributes.uid, 33U);
  EXPECT_EQ(file->attributes.gid, 70U);
  is_of("dir", {7, 70});
}

TEST(MappedAnswers, WhatComesWithAWriteIsTheOwnersToo) {
  asio::io_context io;
  testing::FakeStorage storage(io);
  storage.tells_attributes = true;
  const auto fileid = storage.make(1, "file");
  OwnerOptions options;
  options.owner = kOwner;
  MappedBackend mapped(storage, OwnerMapping(options, {kIdentity, kIdentity}));
  const std::vector<std::uint8_t> data{1};
  std::optional<Result<WriteResult>> written;
  asio::co_spawn(io, mapped.write({}, storage.handle(fileid), 0, data, Stability::kUnstable),
                 [&](std::exception_ptr, Result<WriteResult> result) { written = result; });
  io.run();
  ASSERT_TRUE(written && *written && (*written)->after);
  EXPECT_EQ((*written)->after->uid, kOwner.uid);
  EXPECT_EQ((*written)->after->gid, kOwner.gid);
}

}  // namespace
}  // namespace holdfast::fs
