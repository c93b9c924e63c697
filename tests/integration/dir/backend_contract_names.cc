// Names: lookup, create, remove, rename, link, readdir, and their errors.

#include "tests/integration/dir/backend_contract.h"

#include <set>

namespace asio = boost::asio;

namespace holdfast::fs::testing {

TEST_P(BackendContract, RootIsADirectoryAndStable) {
  auto root = sync(backend().root());
  ASSERT_TRUE(root);
  EXPECT_EQ(root->attributes.type, FileType::kDirectory);
  EXPECT_EQ(root->handle, root_);
  EXPECT_LE(root->handle.bytes.size(), FileHandle::kSizeMax);
  EXPECT_FALSE(backend().describe().empty());
  EXPECT_GE(backend().limits().read_max, 4096U);
  EXPECT_GE(backend().limits().write_max, 4096U);
}

TEST_P(BackendContract, LookupFindsWhatWasCreatedWithTheSameHandleOnEveryMount) {
  const Entry file = make_file("a");
  auto found = sync(backend().lookup(root_user_, root_, "a"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->handle, file.handle);
  EXPECT_EQ(found->attributes.fileid, file.attributes.fileid);
  auto other = another_mount();
  auto there = sync(other->lookup(root_user_, root_, "a"));
  ASSERT_TRUE(there) << there.error().message();
  EXPECT_EQ(there->handle, file.handle);
  stop(*other);
}

TEST_P(BackendContract, DotDotOfASubdirectoryIsItsParent) {
  const Entry directory = make_directory("d");
  auto parent = sync(backend().lookup(root_user_, directory.handle, ".."));
  ASSERT_TRUE(parent) << parent.error().message();
  EXPECT_EQ(parent->handle, root_);
}

TEST_P(BackendContract, DotDotOfTheRootIsADirectoryOrRefused) {
  auto parent = sync(backend().lookup(root_user_, root_, ".."));
  if (parent) {
    EXPECT_EQ(parent->attributes.type, FileType::kDirectory);
  } else {
    const int error = errno_of(parent);
    EXPECT_TRUE(error == ENOENT || error == EACCES || error == EPERM) << error;
  }
}

TEST_P(BackendContract, MissingNamesAreENOENT) {
  EXPECT_EQ(lookup_errno(root_, "nothing"), ENOENT);
  EXPECT_EQ(errno_of(sync(backend().remove(root_user_, root_, "nothing"))), ENOENT);
  EXPECT_EQ(errno_of(sync(backend().rmdir(root_user_, root_, "nothing"))), ENOENT);
  EXPECT_EQ(errno_of(sync(backend().rename(root_user_, root_, "nothing", root_, "x"))), ENOENT);
}

TEST_P(BackendContract, ExistingNamesAreEEXIST) {
  const Entry file = make_file("taken");
  EXPECT_EQ(errno_of(sync(backend().create(root_user_, root_, "taken", CreateMode::kExclusive,
                                           with_mode(0644)))),
            EEXIST);
  EXPECT_EQ(errno_of(sync(backend().mkdir(root_user_, root_, "taken", with_mode(0755)))), EEXIST);
  EXPECT_EQ(errno_of(sync(backend().symlink(root_user_, root_, "taken", "x"))), EEXIST);
  EXPECT_EQ(errno_of(sync(backend().mknod(root_user_, root_, "taken", FileType::kFifo,
                                          with_mode(0644), 0, 0))),
            EEXIST);
  EXPECT_EQ(errno_of(sync(backend().link(root_user_, file.handle, root_, "taken"))), EEXIST);
}

TEST_P(BackendContract, FilesAreNotDirectoriesAndDirectoriesAreNotFiles) {
  const Entry file = make_file("f");
  const Entry directory = make_directory("d");
  EXPECT_EQ(lookup_errno(file.handle, "x"), ENOTDIR);
  EXPECT_EQ(errno_of(sync(backend().mkdir(root_user_, file.handle, "x", with_mode(0755)))),
            ENOTDIR);
  EXPECT_EQ(errno_of(sync(backend().readdir(root_user_, file.handle, 0, 0, 4096))), ENOTDIR);
  EXPECT_EQ(errno_of(sync(backend().rmdir(root_user_, root_, "f"))), ENOTDIR);
  const int removed = errno_of(sync(backend().remove(root_user_, root_, "d")));
  EXPECT_TRUE(removed == EISDIR || removed == EPERM) << removed;
  EXPECT_EQ(errno_of(sync(backend().read(root_user_, directory.handle, 0, 10))), EISDIR);
  EXPECT_EQ(errno_of(sync(backend().create(root_user_, root_, "d", CreateMode::kUnchecked,
                                           with_mode(0644)))) != 0,
            true);
}

TEST_P(BackendContract, DirectoriesInUseAreENOTEMPTY) {
  const Entry directory = make_directory("d");
  ASSERT_TRUE(sync(backend().mkdir(root_user_, directory.handle, "inner", with_mode(0755))));
  const int removed = errno_of(sync(backend().rmdir(root_user_, root_, "d")));
  EXPECT_TRUE(removed == ENOTEMPTY || removed == EEXIST) << removed;
  make_directory("e");
  const int renamed = errno_of(sync(backend().rename(root_user_, root_, "e", root_, "d")));
  EXPECT_TRUE(renamed == ENOTEMPTY || renamed == EEXIST) << renamed;
  ASSERT_TRUE(sync(backend().rmdir(root_user_, directory.handle, "inner")));
  EXPECT_TRUE(sync(backend().rmdir(root_user_, root_, "d")));
  EXPECT_EQ(lookup_errno(root_, "d"), ENOENT);
}

TEST_P(BackendContract, LongNamesAreENAMETOOLONG) {
  const std::string name(backend().limits().name_max + 1, 'n');
  EXPECT_EQ(lookup_errno(root_, name), ENAMETOOLONG);
  EXPECT_EQ(errno_of(sync(backend().create(root_user_, root_, name, CreateMode::kExclusive,
                                           with_mode(0644)))),
            ENAMETOOLONG);
  make_file(std::string(backend().limits().name_max, 'n'));
}

TEST_P(BackendContract, RemovedObjectsAreESTALE) {
  const Entry file = make_file("gone");
  write_all(file.handle, 0, "bytes");
  const Entry directory = make_directory("gone-too");
  ASSERT_TRUE(sync(backend().remove(root_user_, root_, "gone")));
  ASSERT_TRUE(sync(backend().rmdir(root_user_, root_, "gone-too")));
  EXPECT_EQ(errno_of(sync(backend().getattr(root_user_, file.handle))), ESTALE);
  EXPECT_EQ(errno_of(sync(backend().read(root_user_, file.handle, 0, 10))), ESTALE);
  const std::uint8_t byte = 1;
  EXPECT_EQ(
      errno_of(sync(backend().write(root_user_, file.handle, 0, {&byte, 1}, Stability::kFileSync))),
      ESTALE);
  EXPECT_EQ(lookup_errno(directory.handle, "x"), ESTALE);
}

TEST_P(BackendContract, RemovalIsSeenByAnotherMountThatUsedTheFile) {
  const Entry file = make_file("shared");
  auto other = another_mount();
  ASSERT_TRUE(sync(other->lookup(root_user_, root_, "shared")));
  ASSERT_TRUE(sync(other->read(root_user_, file.handle, 0, 10)));
  ASSERT_TRUE(sync(backend().remove(root_user_, root_, "shared")));
  EXPECT_EQ(errno_of(sync(other->lookup(root_user_, root_, "shared"))), ENOENT);
  EXPECT_EQ(errno_of(sync(other->read(root_user_, file.handle, 0, 10))), ESTALE);
  stop(*other);
}

TEST_P(BackendContract, UncheckedCreateOpensWhatIsThere) {
  const Entry file = make_file("f", 0640);
  write_all(file.handle, 0, "hello");
  auto again =
      sync(backend().create(root_user_, root_, "f", CreateMode::kUnchecked, with_mode(0600)));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->handle, file.handle);
  EXPECT_EQ(again->attributes.size, 5U);
  SetAttributes truncating = with_mode(0600);
  truncating.size = 0;
  auto cut = sync(backend().create(root_user_, root_, "f", CreateMode::kUnchecked, truncating));
  ASSERT_TRUE(cut) << cut.error().message();
  EXPECT_EQ(attributes(file.handle).size, 0U);
}

TEST_P(BackendContract, ExclusiveCreateHasOneWinnerAmongMounts) {
  auto other = another_mount();
  for (int round = 0; round < 20; ++round) {
    const std::string name = "race" + std::to_string(round);
    int won = 0;
    int lost = 0;
    int done = 0;
    const auto count = [&](std::exception_ptr, Result<Entry> result) {
      ++done;
      if (result) ++won;
      if (errno_of(result) == EEXIST) ++lost;
    };
    for (Backend* racer : {backend_.get(), other.get(), backend_.get(), other.get()}) {
      asio::co_spawn(
          io_, racer->create(root_user_, root_, name, CreateMode::kExclusive, with_mode(0644)),
          count);
    }
    io_.restart();
    while (done < 4 && io_.run_one() != 0) {
    }
    EXPECT_EQ(won, 1) << name;
    EXPECT_EQ(lost, 3) << name;
  }
  stop(*other);
}

TEST_P(BackendContract, CreatedFilesHaveTheirMode) {
  for (const std::uint32_t mode : {0644U, 0600U, 0666U, 0444U, 0755U}) {
    const Entry file = make_file("mode" + std::to_string(mode), mode);
    EXPECT_EQ(file.attributes.mode, mode);
    EXPECT_EQ(attributes(file.handle).mode, mode);
  }
  EXPECT_EQ(make_directory("d", 0777).attributes.mode, 0777U);
}

TEST_P(BackendContract, RenameReplacesAtomically) {
  const Entry old_file = make_file("target");
  const Entry new_file = make_file("source");
  write_all(old_file.handle, 0, "old");
  write_all(new_file.handle, 0, "new");
  ASSERT_TRUE(sync(backend().rename(root_user_, root_, "source", root_, "target")));
  EXPECT_EQ(lookup_errno(root_, "source"), ENOENT);
  auto found = sync(backend().lookup(root_user_, root_, "target"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->handle, new_file.handle);
  EXPECT_EQ(read_all(found->handle, 0, 10), "new");
  EXPECT_EQ(errno_of(sync(backend().getattr(root_user_, old_file.handle))), ESTALE);
}

TEST_P(BackendContract, RenameMovesBetweenDirectoriesAndKeepsTheHandle) {
  const Entry directory = make_directory("d");
  const Entry file = make_file("f");
  ASSERT_TRUE(sync(backend().rename(root_user_, root_, "f", directory.handle, "g")));
  auto found = sync(backend().lookup(root_user_, directory.handle, "g"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->handle, file.handle);
  ASSERT_TRUE(sync(backend().rename(root_user_, root_, "d", root_, "e")));
  EXPECT_EQ(attributes(file.handle).type, FileType::kRegular);
  EXPECT_EQ(read_all(file.handle, 0, 1), "");
}

TEST_P(BackendContract, RenameRefusesMixedTypes) {
  make_file("f");
  make_directory("d");
  const int over_directory = errno_of(sync(backend().rename(root_user_, root_, "f", root_, "d")));
  EXPECT_TRUE(over_directory == EISDIR || over_directory == EEXIST) << over_directory;
  const int over_file = errno_of(sync(backend().rename(root_user_, root_, "d", root_, "f")));
  EXPECT_TRUE(over_file == ENOTDIR || over_file == EEXIST) << over_file;
}

TEST_P(BackendContract, LinksCountAndShareTheFile) {
  const Entry file = make_file("one");
  EXPECT_EQ(file.attributes.nlink, 1U);
  auto linked = sync(backend().link(root_user_, file.handle, root_, "two"));
  ASSERT_TRUE(linked) << linked.error().message();
  EXPECT_EQ(linked->nlink, 2U);
  auto found = sync(backend().lookup(root_user_, root_, "two"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->handle, file.handle);
  ASSERT_TRUE(sync(backend().remove(root_user_, root_, "one")));
  EXPECT_EQ(attributes(file.handle).nlink, 1U);
  write_all(file.handle, 0, "still here");
  EXPECT_EQ(read_all(found->handle, 0, 20), "still here");
}

TEST_P(BackendContract, SymlinksKeepTheirText) {
  for (const std::size_t length : {1U, 60U, 1000U, 3000U}) {
    const std::string target(length, 't');
    auto link = sync(backend().symlink(root_user_, root_, "l" + std::to_string(length), target));
    ASSERT_TRUE(link) << link.error().message();
    EXPECT_EQ(link->attributes.type, FileType::kSymlink);
    auto text = sync(backend().readlink(root_user_, link->handle));
    ASSERT_TRUE(text) << text.error().message();
    EXPECT_EQ(*text, target);
  }
  // Looked up as itself, never followed.
  auto found = sync(backend().lookup(root_user_, root_, "l1"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->attributes.type, FileType::kSymlink);
  EXPECT_EQ(errno_of(sync(backend().readlink(root_user_, make_file("f").handle))), EINVAL);
}

TEST_P(BackendContract, SpecialFilesKeepTheirType) {
  for (const FileType type : {FileType::kFifo, FileType::kSocket}) {
    const std::string name = type == FileType::kFifo ? "fifo" : "socket";
    auto node = sync(backend().mknod(root_user_, root_, name, type, with_mode(0640), 0, 0));
    ASSERT_TRUE(node) << node.error().message();
    EXPECT_EQ(node->attributes.type, type);
    EXPECT_EQ(node->attributes.mode, 0640U);
    EXPECT_EQ(attributes(node->handle).type, type);
    EXPECT_TRUE(sync(backend().remove(root_user_, root_, name)));
  }
}

TEST_P(BackendContract, ReaddirPagesThroughManyEntriesOnceEach) {
  constexpr int kCount = 700;
  std::set<std::string> expected{".", ".."};
  for (int i = 0; i < kCount; ++i) {
    const std::string name = "entry-with-some-length-" + std::to_string(i);
    make_file(name);
    expected.insert(name);
  }
  for (const std::uint32_t bytes_max : {1024U, 8192U, 65536U}) {
    std::multiset<std::string> seen;
    for (const auto& entry : list(root_, bytes_max))
      seen.insert(entry.name);
    EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()), expected);
    EXPECT_EQ(seen.size(), expected.size()) << "an entry came twice at bytes_max " << bytes_max;
  }
}

TEST_P(BackendContract, ReaddirsEntriesAgreeWithLookup) {
  const Entry file = make_file("f");
  make_directory("d");
  bool seen = false;
  for (const auto& entry : list(root_, 8192)) {
    if (entry.name != "f") continue;
    seen = true;
    EXPECT_EQ(entry.fileid, file.attributes.fileid);
    if (entry.entry) {
      EXPECT_EQ(entry.entry->handle, file.handle);
    }
  }
  EXPECT_TRUE(seen);
}

TEST_P(BackendContract, ReaddirSurvivesRemovalBetweenPages) {
  for (int i = 0; i < 200; ++i)
    make_file("f" + std::to_string(i));
  std::uint64_t cookie = 0;
  std::uint64_t verifier = 0;
  int removed = 0;
  while (true) {  // what rm -r does
    auto page = sync(backend().readdir(root_user_, root_, cookie, verifier, 2048));
    ASSERT_TRUE(page) << page.error().message();
    for (const auto& entry : page->entries) {
      cookie = entry.cookie;
      if (entry.name == "." || entry.name == "..") continue;
      ASSERT_TRUE(sync(backend().remove(root_user_, root_, entry.name))) << entry.name;
      ++removed;
    }
    verifier = page->verifier;
    if (page->eof) break;
  }
  EXPECT_EQ(removed, 200);
}

TEST_P(BackendContract, FsstatIsPlausible) {
  auto stat = sync(backend().fsstat(root_user_));
  ASSERT_TRUE(stat) << stat.error().message();
  EXPECT_GT(stat->total_bytes, 0U);
  EXPECT_LE(stat->available_bytes, stat->total_bytes);
}

}  // namespace holdfast::fs::testing
