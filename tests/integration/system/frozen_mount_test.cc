// Mount A loses its locks while it is frozen, at the worst moments. Seen by a tap before the NFS
// server: nothing of A arrives after B was granted what A had held (I2, F13, F23).

#include "holdfast/base/unique_fd.h"
#include "tests/integration/system/traced_mount.h"
#include "tests/support/fuse/mount_process.h"
#include "tests/support/fuse/mounts.h"
#include "tests/support/lock/lockd_process.h"
#include "tests/support/nfs/fault_proxy.h"
#include "tests/support/nfs/ganesha_server.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace holdfast {
namespace {

using fs::testing::FaultProxy;
using fs::testing::GaneshaServer;
using test::Child;
using test::eventually;
using test::MountProcess;
using test::signal_process;
using test::TracedMount;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kSmall = 512;  // goes through a narrow() proxy in one piece

/// A gate between processes.
class Gate {
 public:
  static constexpr int kPatienceMs = 60'000;

  Gate() {
    if (::pipe2(ends_, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  }
  ~Gate() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  void open() const { (void)!::write(ends_[1], "x", 1); }
  /// Does not wait for ever: who should open it may have failed, which its exit status tells.
  void pass() const {
    pollfd opened{ends_[0], POLLIN, 0};
    char byte = 0;
    if (::poll(&opened, 1, kPatienceMs) == 1) (void)!::read(ends_[0], &byte, 1);
  }

 private:
  int ends_[2]{};
};

bool lock_file(int fd, int command) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return ::fcntl(fd, command, &lock) == 0;
}

bool rewrite(const std::string& path, std::string_view text) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  return file && ::pwrite(file.get(), text.data(), text.size(), 0) == std::ssize(text) &&
         ::fsync(file.get()) == 0;
}

/// Some thread of the process waits for the kernel and cannot be killed.
bool has_stuck_thread(pid_t process) {
  const std::string tasks = "/proc/" + std::to_string(process) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    std::ifstream file(task.path() / "stat");
    std::string text;
    std::getline(file, text);
    if (text.find(") D ") != std::string::npos) return true;
  }
  return false;
}

/// Of the connection to the kernel of the mount that `path` is on.
std::string abort_file(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return "/sys/fs/fuse/connections/" + std::to_string(minor(status.st_dev)) + "/abort";
}

class FrozenMount : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { test::enter_private_mounts(); }
  void SetUp() override {
    proxy_.narrow();
    std::string pattern = std::filesystem::temp_directory_path() / "holdfast-frozen-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    const std::string lockd = wire::to_string(lockd_.address());
    a_.emplace(directory_ / "a", lockd, proxy_.port());
    b_.emplace(directory_ / "b", lockd, 2049);
    ASSERT_TRUE(a_->mounted()) << a_->log();
    ASSERT_TRUE(b_->mounted()) << b_->log();
  }
  void TearDown() override {
    if (HasFailure()) std::cerr << "--- mount a\n" << a_->log() << "--- mount b\n" << b_->log();
    a_.reset();
    b_.reset();
    std::filesystem::remove_all(directory_);
  }

  /// On A: takes the lock, writes, and, let through the gate, writes again and tells what came of
  /// it.
  Child writer(std::size_t late_bytes) {
    return Child([this, late_bytes] {
      const UniqueFd file(::open(a_->at("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
      if (!file || !lock_file(file.get(), F_SETLK)) return 100;
      const std::vector<char> first(kBlock, 'a');
      if (::pwrite(file.get(), first.data(), first.size(), 0) != ssize_t{kBlock}) return 101;
      if (::fsync(file.get()) != 0) return 102;
      written_.open();
      late_.pass();
      const std::vector<char> late(late_bytes, 'L');
      if (::pwrite(file.get(), late.data(), late.size(), 0) < 0) return errno;
      return ::fsync(file.get()) == 0 ? 0 : errno;
    });
  }
  /// On B: waits for the lock, writes, and returns when it was granted.
  Clock::time_point take_over() {
    Gate granted;
    Child taker([this, &granted] {
      const UniqueFd file(::open(b_->at("file").c_str(), O_RDWR | O_CLOEXEC));
      if (!file || !lock_file(file.get(), F_SETLKW)) return 100;
      granted.open();
      const std::vector<char> mine(kBlock, 'B');
      if (::pwrite(file.get(), mine.data(), mine.size(), 0) != ssize_t{kBlock}) return 101;
      return ::fsync(file.get()) == 0 ? 0 : 102;
    });
    granted.pass();
    const auto at = Clock::now();
    EXPECT_EQ(taker.wait(), 0);
    return at;
  }
  [[nodiscard]] std::size_t changes_of_a_after(Clock::time_point instant) const {
    std::size_t count = 0;
    for (const auto& change : proxy_.changes())
      if (change.at >= instant) ++count;
    return count;
  }
  [[nodiscard]] char stored(const std::string& name = "file") const {
    char byte = 0;
    std::ifstream(server_.directory() / name).get(byte);
    return byte;
  }

  GaneshaServer server_;
  // Between A and the server. Programs forked here keep copies of its sockets, and with them their
  // ports, so these cannot be A's.
  FaultProxy proxy_{2049, FaultProxy::SourcePorts::kChanged};
  support::LockdProcess lockd_{{"--lease-ttl", "2"}};
  std::filesystem::path directory_;
  std::optional<MountProcess> a_;
  std::optional<MountProcess> b_;
  Gate written_;
  Gate late_;
};

TEST_F(FrozenMount, BetweenItsLeaseCheckAndItsSendItSendsNothingWhenItWakes) {
  Child program = writer(kSmall);
  written_.pass();
  {
    TracedMount traced(a_->pid());
    late_.open();
    ASSERT_TRUE(traced.stop_at_write());
    const auto granted = take_over();
    traced.let_go();
    EXPECT_EQ(program.wait(), EIO);
    EXPECT_EQ(changes_of_a_after(granted), 0U);
  }
  EXPECT_EQ(stored(), 'B');
}

// The control: with its guardian dead at the same time, the very write arrives. So the test above
// would see it.
TEST_F(FrozenMount, WithoutItsGuardianTheLateWriteArrives) {
  Child program = writer(kSmall);
  written_.pass();
  TracedMount traced(a_->pid());
  late_.open();
  ASSERT_TRUE(traced.stop_at_write());
  ASSERT_GT(a_->guardian(), 0);
  signal_process(a_->guardian(), SIGKILL);
  const auto granted = take_over();
  traced.let_go();
  EXPECT_EQ(program.wait(), EIO);
  EXPECT_TRUE(eventually([&] { return changes_of_a_after(granted) > 0; }));
}

TEST_F(FrozenMount, StoppedWithWritesInItsKernelNoneOfThemArrives) {
  Child program = writer(4 << 20);
  written_.pass();
  proxy_.black_hole(true);
  late_.open();
  std::this_thread::sleep_for(300ms);  // the kernel has taken what it takes
  signal_process(a_->pid(), SIGSTOP);
  const auto granted = take_over();
  proxy_.black_hole(false);
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(changes_of_a_after(granted), 0U);
  signal_process(a_->pid(), SIGCONT);
  EXPECT_EQ(program.wait(), EIO);
  EXPECT_EQ(changes_of_a_after(granted), 0U);
  EXPECT_EQ(stored(), 'B');
}

TEST_F(FrozenMount, KilledWithWritesInItsKernelNoneOfThemArrives) {
  Child program = writer(4 << 20);
  written_.pass();
  proxy_.black_hole(true);
  late_.open();
  std::this_thread::sleep_for(300ms);
  signal_process(a_->pid(), SIGKILL);
  const auto granted = take_over();
  proxy_.black_hole(false);
  EXPECT_NE(program.wait(), 0);
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(changes_of_a_after(granted), 0U);
  EXPECT_EQ(stored(), 'B');
}

// One of its threads waits in the kernel for a page whose WRITE is not answered: it does not die
// before that, and nobody will answer any more.
TEST_F(FrozenMount, KilledWithAThreadStuckInTheKernelItLetsItsProgramsGo) {
  ASSERT_TRUE(rewrite(b_->at("file"), std::string(2 * kBlock, 'b')));
  const std::string abort = abort_file(a_->at(""));
  if (!std::filesystem::exists(abort)) GTEST_SKIP() << "fusectl is not mounted";
  Gate ready;
  Gate lock;
  const auto program = [&](auto work) {
    return Child([&, work] {
      const UniqueFd file(::open(a_->at("file").c_str(), O_RDWR | O_CLOEXEC));
      return work(file.get()) ? 0 : errno;
    });
  };
  std::vector<Child> programs;
  programs.push_back(program([&](int file) {
    ready.open();
    late_.pass();
    return ::pwrite(file, "L", 1, kBlock) == 1 && ::fsync(file) == 0;
  }));
  programs.push_back(program([&](int file) {
    ready.open();
    lock.pass();
    return lock_file(file, F_SETLK);
  }));
  ready.pass();
  ready.pass();
  // The last to open the file: whoever does makes A drop its pages.
  programs.push_back(program([&](int file) {
    void* const page = ::mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) return false;
    *static_cast<volatile char*>(page) = 'L';
    ready.open();
    late_.pass();
    return ::fsync(file) == 0;
  }));
  ready.pass();
  proxy_.black_hole(true);
  // With tokens, B's writing makes A drop its pages; without, the grant of a lock on A does.
  Child elsewhere([this] {
    const UniqueFd file(::open(b_->at("file").c_str(), O_WRONLY | O_CLOEXEC));
    return ::pwrite(file.get(), "B", 1, 0) == 1 ? 0 : errno;
  });
  std::this_thread::sleep_for(300ms);
  lock.open();
  EXPECT_TRUE(eventually([&] { return has_stuck_thread(a_->pid()); })) << "tests nothing";
  late_.open();
  late_.open();
  std::this_thread::sleep_for(300ms);
  signal_process(a_->pid(), SIGKILL);
  for (Child& one : programs)
    EXPECT_TRUE(one.ends_within(15s));
  if (HasFailure()) std::ofstream(abort) << "1";  // else this test would not end either
  for (Child& one : programs)
    EXPECT_NE(one.wait(), 0);
  EXPECT_EQ(elsewhere.wait(), 0);
}

// SQLite in mid-commit: A's journal is rolled back by B, which is now in a commit of its own. A's
// program, woken, must not delete B's journal by name, though it never locked that file.
TEST_F(FrozenMount, ItsProgramDoesNotDeleteTheJournalOfTheNextHolder) {
  Child program([this] {
    const UniqueFd file(::open(a_->at("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!file || !lock_file(file.get(), F_SETLK)) return 100;
    const UniqueFd journal(
        ::open(a_->at("file-journal").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!journal || ::pwrite(journal.get(), "A", 1, 0) != 1) return 101;
    written_.open();
    late_.pass();
    return ::unlink(a_->at("file-journal").c_str()) == 0 ? 0 : errno;
  });
  written_.pass();
  signal_process(a_->pid(), SIGSTOP);
  Gate done;
  Gate end;
  Child next([&] {
    const UniqueFd file(::open(b_->at("file").c_str(), O_RDWR | O_CLOEXEC));
    if (!file || !lock_file(file.get(), F_SETLKW)) return 100;
    if (::unlink(b_->at("file-journal").c_str()) != 0) return 101;
    const UniqueFd journal(
        ::open(b_->at("file-journal").c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!journal || ::pwrite(journal.get(), "B", 1, 0) != 1 || ::fsync(journal.get()) != 0)
      return 102;
    done.open();
    end.pass();
    return 0;
  });
  done.pass();
  late_.open();
  signal_process(a_->pid(), SIGCONT);
  EXPECT_EQ(program.wait(), EIO);
  EXPECT_EQ(stored("file-journal"), 'B');
  end.open();
  EXPECT_EQ(next.wait(), 0);
  // Nothing of this outlasts the program.
  const UniqueFd journal(::open(a_->at("file-journal").c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  EXPECT_EQ(::pwrite(journal.get(), "C", 1, 0), 1);
  EXPECT_EQ(::fsync(journal.get()), 0);
  EXPECT_EQ(stored("file-journal"), 'C');
}

// Only what somebody wanted is lost: another program on A keeps its lock and its data.
// (Made on B, so that A's token is the file's own: what a directory's token implies is lost with
// that, docs/tokens.md, T8.)
TEST_F(FrozenMount, AProgramWhoseLockNobodyWantedGoesOn) {
  std::ofstream(b_->at("other")) << "";
  Child loser = writer(kSmall);
  written_.pass();
  Gate held;
  Gate go_on;
  Child keeper([&] {
    const UniqueFd file(::open(a_->at("other").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!file || !lock_file(file.get(), F_SETLK)) return 100;
    if (::pwrite(file.get(), "o", 1, 0) != 1) return 101;  // not made stable yet
    held.open();
    go_on.pass();
    if (::pwrite(file.get(), "k", 1, 1) != 1 || ::fsync(file.get()) != 0) return errno;
    return lock_file(file.get(), F_SETLK) ? 0 : errno;
  });
  held.pass();
  signal_process(a_->pid(), SIGSTOP);
  (void)take_over();
  signal_process(a_->pid(), SIGCONT);
  late_.open();
  EXPECT_EQ(loser.wait(), EIO);
  const UniqueFd elsewhere(::open(b_->at("other").c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(lock_file(elsewhere.get(), F_SETLK)) << "it was never given away";
  go_on.open();
  EXPECT_EQ(keeper.wait(), 0);
  EXPECT_TRUE(eventually([&] { return lock_file(elsewhere.get(), F_SETLK); }));
  EXPECT_EQ(stored("other"), 'o');
}

// A silent NFS server: whoever only looks can be killed, and a signal that does not kill changes
// nothing.
TEST_F(FrozenMount, WhoIsKilledWhileTheServerIsSilentEnds) {
  std::filesystem::create_directory(b_->at("directory"));
  std::ofstream(b_->at("file")) << "text";
  const std::string file = a_->at("file");
  const std::string directory = a_->at("directory");
  const UniqueFd open_file(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  char byte = 0;
  // So that A keeps nothing of what it will be asked.
  std::ofstream(b_->at("file")) << "TEXT";
  std::ofstream(b_->at("directory/file")) << "";
  proxy_.black_hole(true);
  std::vector<Child> children;
  children.emplace_back([&] { return ::access(file.c_str(), F_OK); });
  children.emplace_back([&] { return static_cast<int>(::pread(open_file.get(), &byte, 1, 0)); });
  children.emplace_back([&] { return ::open(file.c_str(), O_RDONLY); });
  children.emplace_back([&] {
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) {
    }
    return 0;
  });
  std::this_thread::sleep_for(300ms);
  for (Child& child : children) {
    EXPECT_FALSE(child.ends_within(1ms));
    child.kill(SIGKILL);
    EXPECT_TRUE(child.ends_within(5s));
  }
  Child alarmed([&] {
    ::signal(SIGALRM, [](int) {});
    ::alarm(1);
    return ::pread(open_file.get(), &byte, 1, 0) == 1 ? 0 : errno;
  });
  EXPECT_FALSE(alarmed.ends_within(2s));
  proxy_.black_hole(false);
  EXPECT_EQ(alarmed.wait(), 0);
}

// What A's kernel keeps of a file is not read any more when others can have changed it (T11): a
// program reads what is there when A runs again, or an error.
TEST_F(FrozenMount, WhatItsKernelKeepsIsNotReadOnceOthersHaveWritten) {
  ASSERT_TRUE(rewrite(a_->at("kept"), "old"));
  Gate again;
  const auto reader = [&](auto look) {
    return Child([&, look] {
      const UniqueFd file(::open(a_->at("kept").c_str(), O_RDONLY | O_CLOEXEC));
      if (!file || look(file.get()) != 'o') return 100;
      written_.open();
      again.pass();
      const int seen = look(file.get());
      return seen >= 0 ? seen : errno;
    });
  };
  Child reads = reader([](int file) {
    char byte = 0;
    return ::pread(file, &byte, 1, 0) == 1 ? static_cast<int>(byte) : -1;
  });
  Child looks = reader([](int file) -> int {
    struct stat status {};
    if (::fstat(file, &status) != 0) return -1;
    return status.st_size == 3 ? 'o' : 'n';
  });
  written_.pass();
  written_.pass();
  signal_process(a_->pid(), SIGSTOP);
  ASSERT_TRUE(rewrite(b_->at("kept"), "newer"));
  again.open();
  again.open();
  EXPECT_FALSE(reads.ends_within(500ms)) << "it waits for its mount";
  EXPECT_FALSE(looks.ends_within(1ms)) << "it waits for its mount";
  signal_process(a_->pid(), SIGCONT);
  EXPECT_EQ(reads.wait(), 'n');
  EXPECT_EQ(looks.wait(), 'n');
}

// For a while only, nobody wants its locks: it goes on as if nothing had been.
TEST_F(FrozenMount, StoppedAndNotMissedItGoesOn) {
  Child program = writer(kSmall);
  written_.pass();
  signal_process(a_->pid(), SIGSTOP);
  std::this_thread::sleep_for(500ms);
  signal_process(a_->pid(), SIGCONT);
  late_.open();
  EXPECT_EQ(program.wait(), 0);
  EXPECT_EQ(stored(), 'L');
}

}  // namespace
}  // namespace holdfast
