// A change that is on its way to the storage when the token that it relies on is lost: it is never
// sent again, and its caller hears EIO.

#include "tests/unit/fuse/caching_fixture.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/system/system_error.hpp>

namespace holdfast::fs::testing {
namespace {

constexpr std::uint64_t kFile = 2;
constexpr std::uint64_t kOther = 3;
const std::vector<std::uint8_t> kData(9);

struct Change {
  const char* name;
  std::function<Backend::Awaitable<void>(CachingBackend&)> begin;
};

template <class T>
Backend::Awaitable<void> outcome(Backend::Awaitable<T> call) {
  const auto result = co_await std::move(call);
  if (!result) co_return result.error();
  co_return Result<void>{};
}

std::vector<Change> all_changes() {
  const FileHandle file = FakeStorage::handle(kFile);
  const FileHandle other = FakeStorage::handle(kOther);
  return {
      {"create",
       [](auto& b) {
         return outcome(b.create(kRoot, kDirectory, "new", CreateMode::kExclusive, {}));
       }},
      {"mkdir", [](auto& b) { return outcome(b.mkdir(kRoot, kDirectory, "new", {})); }},
      {"symlink", [](auto& b) { return outcome(b.symlink(kRoot, kDirectory, "new", "to")); }},
      {"mknod",
       [](auto& b) {
         return outcome(b.mknod(kRoot, kDirectory, "new", FileType::kFifo, {}, 0, 0));
       }},
      {"link", [=](auto& b) { return outcome(b.link(kRoot, file, kDirectory, "new")); }},
      {"remove", [](auto& b) { return outcome(b.remove(kRoot, kDirectory, "a")); }},
      {"rmdir", [](auto& b) { return outcome(b.rmdir(kRoot, kDirectory, "other")); }},
      {"rename",  // the directory is where it goes
       [=](auto& b) { return outcome(b.rename(kRoot, other, "b", kDirectory, "new")); }},
      {"rename",  // the directory is where it comes from
       [=](auto& b) { return outcome(b.rename(kRoot, kDirectory, "a", other, "new")); }},
  };
}

class LostChanges : public CachingBackendTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(known_file("a"), kFile);
    ASSERT_EQ(storage_.make(1, "other", FileType::kDirectory), kOther);
    const FileKey moved = FakeStorage::key(storage_.make(kOther, "b"));
    for (const FileKey& file : {kDirectoryKey, kFileKey, kOtherKey, moved})
      tokens_.give(file, TokenMode::kExclusive);
    // Nothing is to be asked for before the change itself.
    for (const char* name : {"a", "other", "new"})
      (void)look_up(name);
    for (const char* name : {"b", "new"})
      (void)run(cache_.lookup(kRoot, FakeStorage::handle(kOther), name));
    storage_.holding = true;
  }
  void expect_no_pins() {
    for (const auto& [file, count] : tokens_.pins)
      EXPECT_EQ(count, 0) << file.fileid;
  }
  /// The errno of what has ended.
  int error(std::future<Result<void>>& done) {
    if (!ready(done)) return -1;
    const auto result = done.get();
    return result ? 0 : result.error().value();
  }

  const FileKey kFileKey = FakeStorage::key(kFile);
  const FileKey kOtherKey = FakeStorage::key(kOther);
};

class EachChange : public LostChanges, public ::testing::WithParamInterface<std::size_t> {
 protected:
  Change change_ = all_changes()[GetParam()];
};

TEST_P(EachChange, IsGivenUpWhenItsDirectoryIsLost) {
  auto done = begin(change_.begin(cache_));
  ASSERT_EQ(calls(change_.name), 1);
  EXPECT_FALSE(ready(done)) << "it is on its way";
  cache_.lost(kDirectoryKey);
  settle();
  EXPECT_EQ(error(done), EIO);
  expect_no_pins();
}

TEST_P(EachChange, IsGivenUpWhenEverythingIsLost) {
  auto done = begin(change_.begin(cache_));
  cache_.lost_all();
  settle();
  EXPECT_EQ(error(done), EIO);
  expect_no_pins();
}

TEST_P(EachChange, GoesOnWhenSomethingElseIsLost) {
  auto done = begin(change_.begin(cache_));
  cache_.lost(FakeStorage::key(77));
  settle();
  EXPECT_FALSE(ready(done));
  storage_.let_go();
  settle();
  EXPECT_EQ(error(done), 0);
}

TEST_P(EachChange, EndsWithWhoAskedForIt) {
  boost::asio::cancellation_signal signal;
  auto done = boost::asio::co_spawn(
      loop_, change_.begin(cache_),
      boost::asio::bind_cancellation_slot(signal.slot(), boost::asio::use_future));
  settle();
  ASSERT_EQ(calls(change_.name), 1);
  signal.emit(boost::asio::cancellation_type::terminal);
  settle();
  ASSERT_TRUE(ready(done));
  EXPECT_THROW(done.get(), boost::system::system_error);
  expect_no_pins();
}

INSTANTIATE_TEST_SUITE_P(Names, EachChange, ::testing::Range<std::size_t>(0, 9),
                         [](const auto& which) {
                           return std::string(all_changes()[which.param].name) +
                                  std::to_string(which.param);
                         });

// Its attributes are those of the other mount.
TEST_F(LostChanges, ARemovalIsGivenUpWhenTheFileIsLost) {
  auto done = begin(outcome(cache_.remove(kRoot, kDirectory, "a")));
  cache_.lost(kFileKey);
  settle();
  EXPECT_EQ(error(done), EIO);
}

TEST_F(LostChanges, NobodyKnowsTheNameAfterwards) {
  auto done = begin(outcome(cache_.create(kRoot, kDirectory, "new", CreateMode::kExclusive, {})));
  cache_.lost(kDirectoryKey);
  settle();
  ASSERT_EQ(error(done), EIO);
  storage_.let_go();
  storage_.calls.clear();
  EXPECT_EQ(look_up("new"), 0) << "it had been executed";
  EXPECT_EQ(calls("lookup"), 1);
}

TEST_F(LostChanges, AWriteIsGivenUp) {
  auto done = begin(outcome(cache_.writes_under_token().write(kRoot, FakeStorage::handle(kFile), 0,
                                                              kData, Stability::kUnstable)));
  ASSERT_EQ(calls("write"), 1);
  cache_.lost(kFileKey);
  settle();
  EXPECT_EQ(error(done), EIO);
  expect_no_pins();
}

TEST_F(LostChanges, AChangeOfAttributesIsGivenUp) {
  SetAttributes mode;
  mode.mode = 0600;
  auto done = begin(outcome(cache_.setattr(kRoot, FakeStorage::handle(kFile), mode)));
  ASSERT_EQ(calls("setattr"), 1);
  cache_.lost(kFileKey);
  settle();
  EXPECT_EQ(error(done), EIO);
  expect_no_pins();
}

// It shows nothing to anybody: what it makes stable is there.
TEST_F(LostChanges, ACommitIsSentAgain) {
  auto done =
      begin(outcome(cache_.writes_under_token().commit(kRoot, FakeStorage::handle(kFile), 0, 0)));
  cache_.lost(kFileKey);
  settle();
  EXPECT_FALSE(ready(done));
  storage_.let_go();
  settle();
  EXPECT_EQ(error(done), 0);
}

// Another mount has the directory now, and may have made a file there of which lockd knows nothing.
TEST_F(LostChanges, NamesAreLookedAtAgainUnderTheNextToken) {
  tokens_.give(kDirectoryKey, TokenMode::kShared);
  auto found = begin(outcome(cache_.lookup(kRoot, kDirectory, "a")));
  auto listed = begin(outcome(cache_.readdir(kRoot, kDirectory, 0, 0, 4096)));
  const int lookups = calls("lookup");
  const int listings = calls("readdir");
  tokens_.withhold(kDirectoryKey);
  cache_.lost(kDirectoryKey);
  storage_.let_go();
  settle();
  EXPECT_FALSE(ready(found) || ready(listed)) << "they wait for the token";
  tokens_.give(kDirectoryKey, TokenMode::kShared);
  tokens_.wake();
  settle();
  EXPECT_EQ(error(found), 0);
  EXPECT_EQ(error(listed), 0);
  EXPECT_EQ(calls("lookup"), lookups + 1);
  EXPECT_EQ(calls("readdir"), listings + 1);
}

// Whoever has pinned the file may wait for other writes before his own.
TEST_F(LostChanges, AWriteDoesNotBeginUnderATokenThatIsLost) {
  tokens_.withhold(kFileKey);
  auto done = begin(outcome(cache_.writes_under_token().write(kRoot, FakeStorage::handle(kFile), 0,
                                                              kData, Stability::kUnstable)));
  cache_.lost(kFileKey);
  tokens_.give(kFileKey, TokenMode::kExclusive);
  tokens_.wake();
  settle();
  EXPECT_EQ(error(done), EIO);
  EXPECT_EQ(calls("write"), 0);
}

}  // namespace
}  // namespace holdfast::fs::testing
