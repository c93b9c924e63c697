// Data, attributes and permissions.

#include "tests/integration/dir/backend_contract.h"

#include <unistd.h>

namespace holdfast::fs::testing {

TEST_P(BackendContract, ReadsBackWhatWasWritten) {
  const Entry file = make_file("f");
  write_all(file.handle, 0, "hello world");
  EXPECT_EQ(read_all(file.handle, 0, 100), "hello world");
  EXPECT_EQ(read_all(file.handle, 6, 5), "world");
  EXPECT_EQ(read_all(file.handle, 11, 5), "");
  EXPECT_EQ(read_all(file.handle, 1000, 5), "");
  write_all(file.handle, 6, "there");
  EXPECT_EQ(read_all(file.handle, 0, 100), "hello there");
  EXPECT_EQ(attributes(file.handle).size, 11U);
}

TEST_P(BackendContract, EofIsSaidAtTheEndOnly) {
  const Entry file = make_file("f");
  write_all(file.handle, 0, "0123456789");
  auto inside = sync(backend().read(root_user_, file.handle, 0, 5));
  ASSERT_TRUE(inside);
  EXPECT_FALSE(inside->eof);
  auto across = sync(backend().read(root_user_, file.handle, 5, 50));
  ASSERT_TRUE(across);
  EXPECT_TRUE(across->eof);
  EXPECT_EQ(across->data.size(), 5U);
  auto beyond = sync(backend().read(root_user_, file.handle, 500, 50));
  ASSERT_TRUE(beyond);
  EXPECT_TRUE(beyond->eof);
}

TEST_P(BackendContract, BigWritesAndReadsAreExact) {
  const Entry file = make_file("big");
  std::string bytes(3 * 1024 * 1024 + 777, '\0');
  std::uint32_t state = 12345;
  for (char& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  write_all(file.handle, 0, bytes);
  // One call for all: the backend splits it.
  EXPECT_TRUE(read_all(file.handle, 0, static_cast<std::uint32_t>(bytes.size())) == bytes);
  EXPECT_TRUE(read_all(file.handle, 1000, 2'000'000) == bytes.substr(1000, 2'000'000));
}

TEST_P(BackendContract, HolesReadAsZeros) {
  const Entry file = make_file("sparse");
  write_all(file.handle, 1U << 20, "end");
  EXPECT_EQ(attributes(file.handle).size, (1U << 20) + 3);
  EXPECT_EQ(read_all(file.handle, 4096, 100), std::string(100, '\0'));
  EXPECT_EQ(read_all(file.handle, (1U << 20) - 2, 10), std::string("\0\0end", 5));
}

TEST_P(BackendContract, TruncationCutsAndExtends) {
  const Entry file = make_file("f");
  write_all(file.handle, 0, "0123456789");
  SetAttributes change;
  change.size = 4;
  auto cut = sync(backend().setattr(root_user_, file.handle, change));
  ASSERT_TRUE(cut) << cut.error().message();
  EXPECT_EQ(cut->size, 4U);
  change.size = 8;
  auto grown = sync(backend().setattr(root_user_, file.handle, change));
  ASSERT_TRUE(grown);
  EXPECT_EQ(grown->size, 8U);
  EXPECT_EQ(read_all(file.handle, 0, 20), std::string("0123\0\0\0\0", 8));
}

TEST_P(BackendContract, CommitAnswersWithTheWritesVerifier) {
  const Entry file = make_file("f");
  const std::string text = "unstable";
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(text.data()),
                                            text.size());
  auto wrote = sync(backend().write(root_user_, file.handle, 0, bytes, Stability::kUnstable));
  ASSERT_TRUE(wrote);
  auto committed = sync(backend().commit(root_user_, file.handle, 0, 0));
  ASSERT_TRUE(committed) << committed.error().message();
  EXPECT_EQ(committed->verifier, wrote->verifier);
  auto stable = sync(backend().write(root_user_, file.handle, 0, bytes, Stability::kFileSync));
  ASSERT_TRUE(stable);
  EXPECT_EQ(stable->committed, Stability::kFileSync);
  EXPECT_EQ(stable->count, text.size());
}

TEST_P(BackendContract, WritesOfOneFileAreExecutedInTheirOrder) {
  const Entry file = make_file("ordered");
  constexpr int kWrites = 64;
  std::vector<std::string> texts;
  for (int i = 0; i < kWrites; ++i)
    texts.push_back(std::string(4096, static_cast<char>('A' + i % 26)) + std::to_string(i) + ";");
  int done = 0;
  for (const auto& text : texts) {
    const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(text.data()),
                                              text.size());
    boost::asio::co_spawn(io_,
                          backend().write(root_user_, file.handle, 0, bytes, Stability::kUnstable),
                          [&](std::exception_ptr, Result<WriteResult> result) {
                            EXPECT_TRUE(result);
                            ++done;
                          });
  }
  io_.restart();
  while (done < kWrites && io_.run_one() != 0) {
  }
  EXPECT_EQ(read_all(file.handle, 0, 4099), texts.back().substr(0, 4099));
}

TEST_P(BackendContract, TimesKeepNanosecondsAsFarAsTheStorageDoes) {
  const Entry file = make_file("f");
  SetAttributes change;
  change.atime = {false, {1'000'000'001, 123'456'789}};
  change.mtime = {false, {1'000'000'002, 987'654'321}};
  auto set = sync(backend().setattr(root_user_, file.handle, change));
  ASSERT_TRUE(set) << set.error().message();
  const long grain = std::max(1L, backend().limits().time_granularity.tv_nsec);
  EXPECT_EQ(set->atime.tv_sec, 1'000'000'001);
  EXPECT_EQ(set->mtime.tv_sec, 1'000'000'002);
  EXPECT_NEAR(static_cast<double>(set->mtime.tv_nsec), 987'654'321.0, static_cast<double>(grain));
  SetAttributes only_atime;
  only_atime.atime = {true, {}};
  auto touched = sync(backend().setattr(root_user_, file.handle, only_atime));
  ASSERT_TRUE(touched);
  EXPECT_EQ(touched->mtime.tv_sec, 1'000'000'002);
  EXPECT_GT(touched->atime.tv_sec, 1'600'000'000);
}

TEST_P(BackendContract, ModeAndOwnerChange) {
  if (!environment_->acts_as_caller()) GTEST_SKIP() << "needs root";
  const Entry file = make_file("f");
  SetAttributes change = with_mode(0751);
  change.uid = alice_.uid;
  change.gid = alice_.gid;
  auto set = sync(backend().setattr(root_user_, file.handle, change));
  ASSERT_TRUE(set) << set.error().message();
  EXPECT_EQ(set->mode, 0751U);
  EXPECT_EQ(set->uid, alice_.uid);
  EXPECT_EQ(set->gid, alice_.gid);
  // Only the owner and root may.
  EXPECT_EQ(errno_of(sync(backend().setattr(bob_, file.handle, with_mode(0777)))), EPERM);
  EXPECT_TRUE(sync(backend().setattr(alice_, file.handle, with_mode(0700))));
}

TEST_P(BackendContract, ObjectsBelongToWhoeverMadeThem) {
  if (!environment_->acts_as_caller()) GTEST_SKIP() << "needs root";
  auto file =
      sync(backend().create(alice_, root_, "hers", CreateMode::kExclusive, with_mode(0600)));
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->attributes.uid, alice_.uid);
  EXPECT_EQ(file->attributes.gid, alice_.gid);
  auto directory = sync(backend().mkdir(bob_, root_, "his", with_mode(0700)));
  ASSERT_TRUE(directory);
  EXPECT_EQ(directory->attributes.uid, bob_.uid);
}

TEST_P(BackendContract, PermissionsAreJudgedForTheCaller) {
  if (!environment_->acts_as_caller()) GTEST_SKIP() << "needs root";
  auto file =
      sync(backend().create(alice_, root_, "hers", CreateMode::kExclusive, with_mode(0600)));
  ASSERT_TRUE(file);
  const std::uint8_t byte = 'x';
  const std::span<const std::uint8_t> one(&byte, 1);
  EXPECT_TRUE(sync(backend().write(alice_, file->handle, 0, one, Stability::kUnstable)));
  EXPECT_EQ(errno_of(sync(backend().write(bob_, file->handle, 0, one, Stability::kUnstable))),
            EACCES);
  EXPECT_EQ(errno_of(sync(backend().read(bob_, file->handle, 0, 1))), EACCES);
  const Entry closed = make_directory("closed", 0700);
  EXPECT_EQ(errno_of(sync(backend().lookup(bob_, closed.handle, "x"))), EACCES);
  EXPECT_EQ(errno_of(sync(backend().create(bob_, closed.handle, "x", CreateMode::kExclusive,
                                           with_mode(0600)))),
            EACCES);
  EXPECT_EQ(errno_of(sync(backend().readdir(bob_, closed.handle, 0, 0, 4096))), EACCES);
}

TEST_P(BackendContract, GroupsOfTheCallerCount) {
  if (!environment_->acts_as_caller()) GTEST_SKIP() << "needs root";
  const Entry file = make_file("grouped", 0660);
  SetAttributes change;
  change.gid = 4711;
  ASSERT_TRUE(sync(backend().setattr(root_user_, file.handle, change)));
  Credentials member = bob_;
  member.groups.push_back(4711);
  EXPECT_TRUE(sync(backend().read(member, file.handle, 0, 1)));
  EXPECT_EQ(errno_of(sync(backend().read(bob_, file.handle, 0, 1))), EACCES);
}

TEST_P(BackendContract, TheOwnerMayAlwaysUseItsData) {
  if (!environment_->acts_as_caller()) GTEST_SKIP() << "needs root";
  // open(O_CREAT, 0400) gives a writable handle, and chmod does not end one (RFC 1813, 4.4).
  auto file =
      sync(backend().create(alice_, root_, "mine", CreateMode::kExclusive, with_mode(0400)));
  ASSERT_TRUE(file) << file.error().message();
  const std::uint8_t byte = 'x';
  EXPECT_TRUE(sync(backend().write(alice_, file->handle, 0, {&byte, 1}, Stability::kUnstable)));
  EXPECT_TRUE(sync(backend().read(alice_, file->handle, 0, 1)));
}

TEST_P(BackendContract, AccessSaysWhatIsAllowed) {
  if (!environment_->acts_as_caller()) GTEST_SKIP() << "needs root";
  auto file = sync(backend().create(alice_, root_, "f", CreateMode::kExclusive, with_mode(0640)));
  ASSERT_TRUE(file);
  const std::uint32_t all = R_OK | W_OK | X_OK;
  auto hers = sync(backend().access(alice_, file->handle, all));
  ASSERT_TRUE(hers) << hers.error().message();
  EXPECT_EQ(*hers, static_cast<std::uint32_t>(R_OK | W_OK));
  auto his = sync(backend().access(bob_, file->handle, all));
  ASSERT_TRUE(his);
  EXPECT_EQ(*his, 0U);
}

TEST_P(BackendContract, SuspendedCallsWaitAndGoOnAfterResume) {
  const Entry file = make_file("f");
  backend().suspend();
  bool answered = false;
  boost::asio::co_spawn(io_, backend().getattr(root_user_, file.handle),
                        [&](std::exception_ptr, Result<Attributes> result) {
                          EXPECT_TRUE(result);
                          answered = true;
                        });
  io_.restart();
  io_.poll();
  EXPECT_FALSE(answered);
  backend().resume();
  io_.restart();
  while (!answered && io_.run_one() != 0) {
  }
  EXPECT_TRUE(answered);
}

}  // namespace holdfast::fs::testing
