// Keys that a client chooses so that they collide do not, for who does not know the salt.
#include "lockd/core/lock_objects.h"
#include "tests/unit/lockd/driver.h"

#include <algorithm>
#include <unordered_map>

namespace holdfast::lockd::test {
namespace {

constexpr HashSalt kSalt{0x0123456789abcdef, 0xfedcba9876543210};
constexpr std::uint64_t kKeys = 20'000;

// All equal under std::hash<FileKey>, which is public: the multiplier cancels out.
FileKey colliding(std::uint64_t i) {
  return {i, (i * 0x9e3779b97f4a7c15ULL) ^ 42};
}

TEST(SaltedHash, FilesChosenToCollideAreSpread) {
  ASSERT_EQ(std::hash<FileKey>{}(colliding(1)), std::hash<FileKey>{}(colliding(2)));
  std::unordered_map<FileId, int, FileIdHash> files(0, FileIdHash{SaltedHash(kSalt)});
  for (std::uint64_t i = 0; i < kKeys; ++i)
    files.emplace(FileId{{}, colliding(i)}, 0);
  std::size_t most = 0;
  for (std::size_t bucket = 0; bucket < files.bucket_count(); ++bucket)
    most = std::max(most, files.bucket_size(bucket));
  EXPECT_LE(most, 12U) << "of " << kKeys << " at most a few share a bucket";
}

TEST(SaltedHash, OwnersThatShareTheirLowBitsAreSpread) {
  std::unordered_map<AgentKey, int, AgentKeyHash> agents(0, AgentKeyHash{SaltedHash(kSalt)});
  for (std::uint64_t i = 0; i < kKeys; ++i)
    agents.emplace(AgentKey{LockSpace::kRange, OwnerId{i << 40U}}, 0);
  std::size_t most = 0;
  for (std::size_t bucket = 0; bucket < agents.bucket_count(); ++bucket)
    most = std::max(most, agents.bucket_size(bucket));
  EXPECT_LE(most, 12U);
}

TEST(SaltedHash, AnotherSaltIsAnotherFunction) {
  const FileId file{{}, kFile};
  EXPECT_NE(FileIdHash{SaltedHash(kSalt)}(file), FileIdHash{SaltedHash({})}(file));
  const FileId elsewhere{{1}, kFile};
  EXPECT_NE(FileIdHash{SaltedHash(kSalt)}(file), FileIdHash{SaltedHash(kSalt)}(elsewhere));
}

// The whole coordinator, with keys that collided before: each lock is found and freed.
TEST(SaltedHash, ManyFilesAndNamesOfVolumesAreKept) {
  Options options = plain_options();
  options.salt = kSalt;
  Coordinator core(options, nothing_before(), Instant{});
  const SessionId session{1};
  Hello hello = Driver::hello_of();
  static_cast<void>(core.hello(hello, {session, {}, {}}, ConnectionId{1}, Instant{}));
  std::uint64_t number = 0;
  for (std::uint64_t i = 1; i <= kKeys; ++i) {
    const Request request{{++number}, {number - 1}, lock(kA, kX, byte(0), Wait::kNo, colliding(i))};
    const auto replies = all_of<SendReply>(core.request(session, request, Instant{}));
    ASSERT_EQ(replies.size(), 1U);
    ASSERT_TRUE(granted(replies[0].reply.outcome)) << i;
  }
  core.check_invariants();
  EXPECT_EQ(core.list_sessions(Instant{}).sessions.at(0).locks, kKeys);
}

}  // namespace
}  // namespace holdfast::lockd::test
