// The store file under a lockd that dies, a disk that fails, and bits that decay: it opens with
// every record that was acknowledged, or it refuses.
#include "tests/integration/lockd/store_fixture.h"
#include "tests/support/store/fault_vfs.h"

#include <csignal>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

namespace holdfast::lockd {
namespace {

using namespace testing;
using support::StorageFault;
using support::StorageFaultAt;

constexpr std::uint64_t kWrites = 12;

// Shared with the child: what it was told is durable.
struct Told {
  std::uint64_t epoch = 0;    // of the life it began; 0 = not yet
  std::uint64_t writes = 0;   // acknowledged
  std::uint64_t changes = 0;  // of the storage, when it ended by itself
  int failed = 0;             // writes that were refused and repeated
};

class Shared {
 public:
  Shared()
      : told_(static_cast<Told*>(::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    *told_ = {};
  }
  ~Shared() { ::munmap(told_, sizeof(Told)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  Told* operator->() { return told_; }

 private:
  Told* told_;
};

// A life of lockd in a child: begins, writes, repeats what fails. Ends with 0, or by the fault.
template <class Prepare>
int live(const std::string& path, Shared& told, Prepare prepare) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    prepare();
    std::unique_ptr<SqliteFile> file;
    const auto begun = start(path, file);
    if (!begun) ::_exit(2);
    told->epoch = begun->epoch.value;
    for (std::uint64_t i = 0; i < kWrites; ++i) {
      for (int tries = 0; !file->write(sample_changes(i)); ++tries) {
        ++told->failed;
        if (tries == 3) ::_exit(3);
      }
      ++told->writes;
    }
    file.reset();
    told->changes = support::storage_changes();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

std::string model_after(std::uint64_t writes) {
  Contents model;
  model.begin_life(0, kTtl);
  for (std::uint64_t i = 0; i < writes; ++i) {
    for (const StoreChange& change : sample_changes(i))
      model.apply(change, kTtl);
  }
  model.begin_life(0, kTtl);
  return text_of(model.recovered());
}

void expect_all_acknowledged(const std::string& path, Shared& told) {
  const auto recovered = start(path);
  ASSERT_TRUE(recovered) << recovered.error().what;
  EXPECT_GT(recovered->epoch.value, told->epoch) << "the epoch was durable before it was told";
  const std::string found = text_of(*recovered);
  if (found == model_after(told->writes)) return;
  EXPECT_EQ(found, model_after(told->writes + 1)) << "told " << told->writes;
}

class AtEachChange : public ::testing::TestWithParam<StorageFault> {};

INSTANTIATE_TEST_SUITE_P(OfTheStorage, AtEachChange,
                         ::testing::Values(StorageFault::kKill, StorageFault::kPowerCut),
                         [](const auto& which) {
                           return which.param == StorageFault::kKill ? "Kill" : "PowerCut";
                         });

// From before the file exists to after the last write.
TEST_P(AtEachChange, LockdDiesAndTheNextFindsAllThatWasAcknowledged) {
  std::uint64_t lives = 0;
  for (std::uint64_t n = 1;; ++n) {
    SCOPED_TRACE(n);
    const Directory directory;
    Shared told;
    const int status = live(directory / "store", told, [&] {
      support::plant_storage_fault(
          {.fault = GetParam(), .n = n, .seed = static_cast<std::uint32_t>(n)});
    });
    expect_all_acknowledged(directory / "store", told);
    if (HasFailure()) return;
    ++lives;
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      EXPECT_EQ(told->writes, kWrites);
      break;
    }
  }
  EXPECT_GT(lives, 80u) << "the fault was really planted";
}

// Every change of the storage fails once with an I/O error: the write says so, and repeating it is
// right.
TEST(AStoreWrite, ThatFailsAtAnyChangeMayBeRepeated) {
  std::uint64_t failed = 0;
  for (std::uint64_t n = 1;; ++n) {
    SCOPED_TRACE(n);
    const Directory directory;
    const std::string path = directory / "store";
    ASSERT_TRUE(start(path));
    Shared told;
    const int status = live(
        path, told, [&] { support::plant_storage_fault({.fault = StorageFault::kError, .n = n}); });
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2) continue;  // refused to begin
    ASSERT_EQ(WEXITSTATUS(status), 0);
    failed += static_cast<std::uint64_t>(told->failed);
    const auto recovered = start(path);
    ASSERT_TRUE(recovered) << recovered.error().what;
    ASSERT_EQ(text_of(*recovered), model_after(kWrites));
    if (told->changes != 0 && told->changes < n) break;
  }
  EXPECT_GT(failed, 60u);
}

TEST(AStoreWrite, ThatFindsTheFileSizeLimitSaysSo) {
  const Directory directory;
  const std::string path = directory / "store";
  ASSERT_TRUE(start(path));
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    std::unique_ptr<SqliteFile> file;
    if (!start(path, file)) ::_exit(2);
    const rlimit limit{16 << 10, 16 << 10};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    StoreChanges many;
    for (std::uint64_t id = 1; id < 300; ++id)
      many.emplace_back(PutSession{sample_session(id)});
    const auto written = file->write(many);
    ::_exit(written || to_errno(written.error()) == EIO ? 3 : 0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  const auto recovered = start(path);
  ASSERT_TRUE(recovered) << recovered.error().what;
  EXPECT_TRUE(recovered->sessions.empty()) << "nothing of the transaction that failed";
}

TEST(AKilledWriter, LosesNothingAcknowledged) {
  for (std::uint32_t round = 0; round < 20; ++round) {
    const Directory directory;
    const std::string path = directory / "store";
    Shared told;
    const pid_t pid = ::fork();
    if (pid == 0) {
      std::unique_ptr<SqliteFile> file;
      if (!start(path, file)) ::_exit(2);
      told->epoch = 1;
      for (std::uint64_t i = 0; file->write(sample_changes(i)); ++i)
        ++told->writes;
      ::_exit(3);
    }
    std::minstd_rand random(round + 1);
    ::usleep(static_cast<useconds_t>(random() % 60'000));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    expect_all_acknowledged(path, told);
  }
}

class DecayedStore : public ::testing::Test {
 protected:
  DecayedStore() {
    std::unique_ptr<SqliteFile> file;
    EXPECT_TRUE(start(path, file));
    for (std::uint64_t i = 0; i < kWrites; ++i)
      EXPECT_TRUE(file->write(sample_changes(i)));
    EXPECT_TRUE(file->write({Settled{}}));
    for (std::uint64_t id = 100; id < 160; ++id)  // several pages
      EXPECT_TRUE(file->write({PutSession{sample_session(id)}}));
    file.reset();
    sound = read_file(path);
    const auto recovered = start(path);
    EXPECT_TRUE(recovered);
    expected = text_of(*recovered);
    epoch = recovered->epoch;
  }
  // True: refused.
  bool judge(const std::string& bytes) {
    write_file(path, bytes);
    ::unlink((path + "-journal").c_str());
    const auto recovered = start(path);
    if (!recovered) {
      EXPECT_FALSE(recovered.error().hint.empty());
      return true;
    }
    EXPECT_EQ(text_of(*recovered), expected);
    EXPECT_GE(recovered->epoch.value, epoch.value);
    return false;
  }

  Directory directory;
  std::string path = directory / "store";
  std::string sound;
  std::string expected;
  Epoch epoch;
};

TEST_F(DecayedStore, WithFlippedBitsIsRefusedOrComplete) {
  std::minstd_rand random(7);
  int refused = 0;
  constexpr int kFlips = 1500;
  for (int i = 0; i < kFlips; ++i) {
    std::string bytes = sound;
    const std::size_t at = random() % bytes.size();
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (random() % 8)));
    SCOPED_TRACE(at);
    refused += judge(bytes) ? 1 : 0;
    if (HasFailure()) return;
  }
  // The rest hit space that nothing uses.
  EXPECT_GT(refused, kFlips / 4);
}

TEST_F(DecayedStore, OverwrittenInPartsIsRefusedOrComplete) {
  std::minstd_rand random(8);
  for (int i = 0; i < 300; ++i) {
    std::string bytes = sound;
    const std::size_t at = random() % bytes.size();
    const std::size_t size = std::min<std::size_t>(bytes.size() - at, 1 + random() % 4096);
    bytes.replace(at, size, std::string(size, random() % 2 == 0 ? '\0' : '\xff'));
    SCOPED_TRACE(at);
    judge(bytes);
    if (HasFailure()) return;
  }
}

TEST_F(DecayedStore, CutOffAnywhereIsRefused) {
  for (std::size_t size = 0; size < sound.size(); size += 211) {
    SCOPED_TRACE(size);
    EXPECT_TRUE(judge(sound.substr(0, size)));
  }
  for (std::size_t size = 0; size < sound.size(); size += 4096) {
    SCOPED_TRACE(size);
    EXPECT_TRUE(judge(sound.substr(0, size)));
  }
}

}  // namespace
}  // namespace holdfast::lockd
