// Locks between two mounts and within one: what fcntl(2) and flock(2) promise.
#include "tests/integration/fuse/fixture.h"

#include <csignal>
#include <cstdlib>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

namespace holdfast::test {
namespace {

class Locks : public TwoMounts {
 protected:
  void TearDown() override {
    if (mounts_ && mounts_->lockd() > 0) ::kill(mounts_->lockd(), SIGCONT);
  }
};

void ignore_alarm() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGALRM, &action, nullptr);  // no SA_RESTART: the wait ends with EINTR
}

TEST_F(Locks, AnExclusiveLockExcludesTheOtherMountAndTheSameOne) {
  const int fd = open_file(a("x"));
  ASSERT_EQ(set_lock(fd, F_SETLK, F_WRLCK, 10, 10), 0);
  for (const auto& path : {a("x"), b("x")}) {
    EXPECT_EQ(try_elsewhere(path, F_WRLCK, 15, 1), EAGAIN) << path;
    EXPECT_EQ(try_elsewhere(path, F_RDLCK, 19, 100), EAGAIN) << path;
    EXPECT_EQ(try_elsewhere(path, F_WRLCK, 20, 1), 0) << path;
  }
  ASSERT_EQ(set_lock(fd, F_SETLK, F_UNLCK, 12, 2), 0);
  EXPECT_EQ(try_elsewhere(b("x"), F_WRLCK, 12, 2), 0);
  EXPECT_EQ(try_elsewhere(b("x"), F_WRLCK, 11, 1), EAGAIN);
  ::close(fd);
  EXPECT_EQ(try_elsewhere(b("x")), 0) << "released when close() has returned";
}

TEST_F(Locks, SharedLocksShareAndUpgradeExcludes) {
  const int fd = open_file(a("s"));
  ASSERT_EQ(set_lock(fd, F_SETLK, F_RDLCK), 0);
  EXPECT_EQ(try_elsewhere(b("s"), F_RDLCK), 0);
  EXPECT_EQ(try_elsewhere(b("s"), F_WRLCK), EAGAIN);
  ASSERT_EQ(set_lock(fd, F_SETLK, F_WRLCK), 0);
  EXPECT_EQ(try_elsewhere(b("s"), F_RDLCK), EAGAIN);
  ASSERT_EQ(set_lock(fd, F_SETLK, F_RDLCK), 0);
  EXPECT_EQ(try_elsewhere(b("s"), F_RDLCK), 0);
  ::close(fd);
}

TEST_F(Locks, AWholeFileLockOfAFileThatIsNoDatabaseHasNothingToDoWithSqlite) {
  const int fd = open_file(a("n"));
  const std::string twos(100, '\2');  // SQLite's header says WAL with a 2 in bytes 18 and 19
  ASSERT_EQ(::pwrite(fd, twos.data(), twos.size(), 0), 100);
  ASSERT_EQ(::fsync(fd), 0);
  ASSERT_EQ(set_lock(fd, F_SETLK, F_RDLCK), 0);
  EXPECT_EQ(try_elsewhere(b("n"), F_RDLCK), 0);
  ::close(fd);
}

TEST_F(Locks, ClosingAnyDescriptorOfTheFileDropsAllPosixLocksOfTheProcess) {
  const int fd = open_file(a("c"));
  ASSERT_EQ(set_lock(fd, F_SETLK, F_WRLCK), 0);
  ::close(open_file(a("c"), O_RDONLY));
  EXPECT_EQ(try_elsewhere(b("c")), 0);
  ASSERT_EQ(set_lock(fd, F_SETLK, F_WRLCK), 0);
  ::close(::dup(fd));
  EXPECT_EQ(try_elsewhere(a("c")), 0);
  ::close(fd);
}

TEST_F(Locks, ForkDoesNotInheritPosixLocksAndTheChildsCloseKeepsTheParents) {
  const int fd = open_file(a("f"));
  ASSERT_EQ(set_lock(fd, F_SETLK, F_WRLCK), 0);
  EXPECT_EQ(in_child([fd] {
              const int result = set_lock(fd, F_SETLK, F_WRLCK);
              ::close(fd);
              return result;
            }),
            EAGAIN);
  EXPECT_EQ(try_elsewhere(b("f")), EAGAIN);
  ::close(fd);
}

TEST_F(Locks, AnOfdLockBelongsToTheOpenFileAndEndsWithItsLastDescriptor) {
  const int fd = open_file(a("o"));
  ASSERT_EQ(set_lock(fd, F_OFD_SETLK, F_WRLCK), 0);
  EXPECT_EQ(set_lock(open_file(a("o")), F_SETLK, F_WRLCK), EAGAIN) << "same process, other open";
  const int copy = ::dup(fd);
  ::close(fd);
  EXPECT_EQ(in_child([copy] { return set_lock(copy, F_OFD_SETLK, F_WRLCK); }), 0) << "inherited";
  EXPECT_EQ(try_elsewhere(b("o")), EAGAIN);
  ::close(copy);
  // RELEASE comes after close() has returned.
  EXPECT_TRUE(eventually([] { return try_elsewhere(b("o")) == 0; }));
}

TEST_F(Locks, FlockIsASpaceOfItsOwn) {
  const int fd = open_file(a("k"));
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  EXPECT_EQ(try_elsewhere(b("k")), 0) << "fcntl locks are another space";
  const auto try_flock = [](int operation) {
    return in_child(
        [operation] { return ::flock(open_file(b("k")), operation | LOCK_NB) == 0 ? 0 : errno; });
  };
  EXPECT_EQ(try_flock(LOCK_SH), EWOULDBLOCK);
  ASSERT_EQ(::flock(fd, LOCK_SH), 0);
  EXPECT_EQ(try_flock(LOCK_SH), 0);
  EXPECT_EQ(try_flock(LOCK_EX), EWOULDBLOCK);
  ASSERT_EQ(::flock(fd, LOCK_UN), 0);
  EXPECT_EQ(try_flock(LOCK_EX), 0);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  ::close(fd);
  EXPECT_TRUE(eventually([&] { return try_flock(LOCK_EX) == 0; }));
}

TEST_F(Locks, AWaiterGetsTheLockWhenTheHolderOnTheOtherMountLeaves) {
  const int fd = open_file(a("w"));
  ASSERT_EQ(set_lock(fd, F_SETLK, F_WRLCK), 0);
  Child waiter([] { return set_lock(open_file(b("w")), F_SETLKW, F_WRLCK); });
  EXPECT_FALSE(waiter.ends_within(std::chrono::milliseconds(150)));
  ASSERT_EQ(set_lock(fd, F_SETLK, F_UNLCK), 0);
  EXPECT_EQ(waiter.wait(), 0);
  ::close(fd);
}

TEST_F(Locks, ASignalEndsTheWaitWithEINTRAndNothingIsKept) {
  const int fd = open_file(a("i"));
  ASSERT_EQ(set_lock(fd, F_SETLK, F_WRLCK), 0);
  EXPECT_EQ(in_child([] {
              ignore_alarm();
              const int other = open_file(b("i"));
              ::alarm(1);
              const int result = set_lock(other, F_SETLKW, F_WRLCK);
              ::close(other);
              return result;
            }),
            EINTR);
  ::close(fd);
  EXPECT_EQ(try_elsewhere(a("i")), 0);
}

TEST_F(Locks, AKilledWaiterEndsAndAKilledHolderReleases) {
  Child holder([] {
    const int fd = open_file(a("d"));
    if (set_lock(fd, F_SETLKW, F_WRLCK) != 0) return 1;
    ::pause();
    return 0;
  });
  ASSERT_TRUE(eventually([] { return try_elsewhere(b("d")) == EAGAIN; }));
  Child waiter([] { return set_lock(open_file(b("d")), F_SETLKW, F_WRLCK); });
  EXPECT_FALSE(waiter.ends_within(std::chrono::milliseconds(150)));
  waiter.kill(SIGKILL);
  EXPECT_TRUE(waiter.ends_within(std::chrono::seconds(5)));
  holder.kill(SIGKILL);
  holder.wait();
  EXPECT_EQ(try_elsewhere(b("d")), 0) << "FLUSH is answered before the process is gone";
}

TEST_F(Locks, WithLockdUnreachableAKilledWaiterStillEndsAndCloseReturns) {
  const int fd = open_file(a("u"));
  ASSERT_EQ(set_lock(fd, F_SETLK, F_WRLCK), 0);
  Child waiter([] { return set_lock(open_file(b("u")), F_SETLKW, F_WRLCK); });
  Child closer([] {
    const int other = open_file(a("u2"));
    if (set_lock(other, F_SETLKW, F_WRLCK) != 0) return 1;
    ::pause();
    return 0;
  });
  ASSERT_TRUE(eventually([] { return try_elsewhere(b("u2")) == EAGAIN; }));
  ::kill(mounts_->lockd(), SIGSTOP);
  waiter.kill(SIGKILL);
  EXPECT_TRUE(waiter.ends_within(std::chrono::seconds(5)));
  closer.kill(SIGKILL);
  EXPECT_TRUE(closer.ends_within(std::chrono::seconds(15)));
  ::kill(mounts_->lockd(), SIGCONT);
  EXPECT_TRUE(eventually([] { return try_elsewhere(b("u2")) == 0; }));
  ::close(fd);
  EXPECT_TRUE(eventually([] { return try_elsewhere(b("u")) == 0; }));
}

/// Each of two processes holds one byte and waits for the other's.
std::pair<int, int> cross_wait(const std::string& left, const std::string& right, int command) {
  const auto cross = [&](bool first) {
    ignore_alarm();
    const int fd = open_file(first ? left : right);
    if (set_lock(fd, command == F_SETLKW ? F_SETLK : F_OFD_SETLK, F_WRLCK, first ? 0 : 1, 1) != 0)
      return 1;
    ::usleep(300'000);
    ::alarm(4);
    return set_lock(fd, command, F_WRLCK, first ? 1 : 0, 1);
  };
  Child one([&] { return cross(true); });
  Child two([&] { return cross(false); });
  const int first = one.wait();
  return {first, two.wait()};
}

TEST_F(Locks, ADeadlockOverTwoMountsIsReportedToOneAndTheOtherGoesOn) {
  const auto [one, two] = cross_wait(a("dead"), b("dead"), F_SETLKW);
  EXPECT_TRUE((one == EDEADLK && two == 0) || (one == 0 && two == EDEADLK)) << one << " " << two;
}

TEST_F(Locks, OfdOwnersAreNeverToldOfADeadlock) {
  const auto [one, two] = cross_wait(a("ofd"), b("ofd"), F_OFD_SETLKW);
  EXPECT_NE(one, EDEADLK);
  EXPECT_NE(two, EDEADLK);
  EXPECT_TRUE(one == EINTR || two == EINTR);
}

TEST_F(Locks, GetlkNamesAProcessOfThisNodeAndNoneOfAnother) {
  const int fd = open_file(a("g"));
  ASSERT_EQ(set_lock(fd, F_SETLK, F_WRLCK, 3, 4), 0);
  const pid_t holder = ::getpid();
  const auto query = [](const std::string& path, pid_t expected) {
    return in_child([&] {
      struct flock lock {};
      lock.l_type = F_RDLCK;
      if (::fcntl(open_file(path), F_GETLK, &lock) != 0) return errno;
      const bool right = lock.l_type == F_WRLCK && lock.l_start == 3 && lock.l_len == 4;
      return right && lock.l_pid == expected ? 0 : 1;
    });
  };
  EXPECT_EQ(query(a("g"), holder), 0);
  EXPECT_EQ(query(b("g"), 0), 0);
  ::close(fd);
  EXPECT_EQ(in_child([] {
              struct flock lock {};
              lock.l_type = F_WRLCK;
              return ::fcntl(open_file(b("g")), F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK ? 0
                                                                                               : 1;
            }),
            0);
}

TEST_F(Locks, AMappingSeesWhatTheOtherMountWroteBeforeItUnlocked) {
  ASSERT_EQ(put(a("map"), std::string(4096, '0')), 0);
  const int one = open_file(a("map")), two = open_file(b("map"));
  auto* left =
      static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, one, 0));
  auto* right =
      static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, two, 0));
  ASSERT_NE(left, MAP_FAILED);
  ASSERT_NE(right, MAP_FAILED);
  for (int round = 0; round < 40; ++round) {
    const bool odd = round % 2 != 0;
    const int fd = odd ? two : one;
    volatile char* counter = odd ? right : left;
    ASSERT_EQ(set_lock(fd, F_SETLKW, F_WRLCK), 0);
    ASSERT_EQ(counter[7], static_cast<char>('0' + round)) << "stale in round " << round;
    counter[7] = static_cast<char>('0' + round + 1);
    ASSERT_EQ(set_lock(fd, F_SETLK, F_UNLCK), 0);
  }
  ::munmap(left, 4096);
  ::munmap(right, 4096);
  ::close(one);
  ::close(two);
}

// flock(2): a conversion gives the old lock up first, so others may write before it is granted.
class FlockConversion : public Locks {
 protected:
  void SetUp() override {
    Locks::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_EQ(put(a("conversion"), std::string(4096, '0')), 0);
    fd_ = open_file(a("conversion"));
    other_ = open_file(b("conversion"));
    page_ = static_cast<char*>(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd_, 0));
    ASSERT_NE(page_, MAP_FAILED);
    ASSERT_EQ(::flock(fd_, LOCK_SH), 0);
    ASSERT_EQ(::flock(other_, LOCK_SH), 0);
    ASSERT_EQ(page_[7], '0');  // from now on the kernel has the page
  }
  void TearDown() override {
    if (page_ != nullptr && page_ != MAP_FAILED) ::munmap(page_, 4096);
    ::close(fd_);
    ::close(other_);
  }
  int fd_ = -1, other_ = -1;
  volatile char* byte() { return page_ + 7; }
  char* page_ = nullptr;
};

TEST_F(FlockConversion, ThatWasRefusedLeavesNoLockAndNoPages) {
  ASSERT_EQ(::flock(fd_, LOCK_EX | LOCK_NB), -1);
  ASSERT_EQ(errno, EWOULDBLOCK);
  ASSERT_EQ(::flock(other_, LOCK_EX | LOCK_NB), 0) << "the refused conversion lost the lock";
  ASSERT_EQ(::pwrite(other_, "1", 1, 7), 1);
  ASSERT_EQ(::flock(other_, LOCK_UN), 0);
  ASSERT_EQ(::flock(fd_, LOCK_SH), 0);
  EXPECT_EQ(*byte(), '1');
}

TEST_F(FlockConversion, ThatIsInterruptedHasLostTheOldLockAsOnALocalFile) {
  const auto lost_when_interrupted = [](const std::string& file, const std::string& elsewhere) {
    const int fd = open_file(file);
    const int other = open_file(elsewhere);
    if (::flock(fd, LOCK_SH) != 0 || ::flock(other, LOCK_SH) != 0) return 2;
    struct sigaction noticed {};
    noticed.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &noticed, nullptr);
    const itimerval soon{{0, 100'000}, {0, 100'000}};  // again: the first may come too early
    ::setitimer(ITIMER_REAL, &soon, nullptr);
    const int result = ::flock(fd, LOCK_EX);
    const int error = errno;
    ::setitimer(ITIMER_REAL, nullptr, nullptr);
    if (result == 0 || error != EINTR) return 3;
    return ::flock(other, LOCK_EX | LOCK_NB) == 0 ? 0 : 1;
  };
  const auto ask = [&](const std::string& file, const std::string& elsewhere) {
    return in_child([&] { return lost_when_interrupted(file, elsewhere); });
  };
  EXPECT_EQ(ask(back("local"), back("local")), 0) << "Linux keeps it now";
  EXPECT_EQ(ask(a("alone"), a("alone")), 0) << "decided by the mount";
  EXPECT_EQ(ask(a("shared"), b("shared")), 0) << "decided by lockd";
}

TEST_F(FlockConversion, ThatWaitedSeesWhatOthersWroteMeanwhile) {
  Child writer([] {
    const int fd = open_file(b("conversion"));
    if (::flock(fd, LOCK_EX) != 0) return errno;
    return ::pwrite(fd, "1", 1, 7) == 1 ? 0 : errno;  // its end unlocks
  });
  EXPECT_FALSE(writer.ends_within(std::chrono::milliseconds(150)));
  Child reader([this] {  // waits behind the writer, whichever of the two it finds waiting
    if (::flock(fd_, LOCK_EX) != 0) return errno;
    return *byte() == get(back("conversion"))[7] ? 0 : 1;
  });
  EXPECT_FALSE(reader.ends_within(std::chrono::milliseconds(150)));
  ASSERT_EQ(::flock(other_, LOCK_UN), 0);
  EXPECT_EQ(writer.wait(), 0);
  EXPECT_EQ(reader.wait(), 0) << "a stale page under an exclusive lock";
}

// Nobody is in the way: the request waits for a token, which a frozen mount does not give up.
TEST_F(Locks, AFlockConversionThatIsInterruptedBeforeItIsDecidedHasLostTheOldLock) {
  ASSERT_EQ(put(a("waits"), "text"), 0);
  const auto interrupted = [] {
    const int fd = open_file(a("waits"));
    const int other = open_file(a("waits"));
    if (::flock(fd, LOCK_SH) != 0) return 2;
    if (get(b("waits")) != "text") return 3;
    signal_process(mounts_->mount_process(1), SIGSTOP);
    struct sigaction noticed {};
    noticed.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &noticed, nullptr);
    const itimerval soon{{0, 100'000}, {0, 100'000}};
    ::setitimer(ITIMER_REAL, &soon, nullptr);
    const int result = ::flock(fd, LOCK_EX);
    const int error = errno;
    ::setitimer(ITIMER_REAL, nullptr, nullptr);
    signal_process(mounts_->mount_process(1), SIGCONT);
    if (result == 0) return 0;  // all locks are lockd's here, and it has granted it
    if (error != EINTR) return 4;
    return ::flock(other, LOCK_EX | LOCK_NB) == 0 ? 0 : 1;
  };
  EXPECT_EQ(in_child(interrupted), 0);
}

TEST_F(Locks, CountersUnderLockLoseNoIncrement) {
  constexpr int kRounds = 60;
  ASSERT_EQ(put(a("n"), std::string(8, '\0')), 0);
  std::vector<Child> workers;
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([i] {
      const int fd = open_file(i % 2 == 0 ? a("n") : b("n"));
      for (int n = 0; n < kRounds; ++n) {
        std::uint64_t value = 0;
        if (set_lock(fd, F_SETLKW, F_WRLCK) != 0 || ::pread(fd, &value, 8, 0) != 8) return 1;
        ++value;
        if (::pwrite(fd, &value, 8, 0) != 8 || set_lock(fd, F_SETLK, F_UNLCK) != 0) return 2;
      }
      return 0;
    });
  }
  for (auto& worker : workers)
    EXPECT_EQ(worker.wait(), 0);
  std::uint64_t value = 0;
  const int fd = open_file(a("n"));
  ASSERT_EQ(::pread(fd, &value, 8, 0), 8);
  EXPECT_EQ(value, 4U * kRounds);
  ::close(fd);
}

TEST_F(Locks, AStrayOfAKilledMountIsCleanedOnceItsLifeIsOver) {
  Child user([] {
    const int fd = open_file(a("stray"));
    if (::unlink(a("stray").c_str()) != 0 || fd < 0) return 1;
    ::pause();
    return 0;
  });
  const auto strays = [] {
    return std::system(("ls -A " + back("") + " | grep -q holdfast-silly").c_str()) == 0;
  };
  ASSERT_TRUE(eventually(strays));
  ASSERT_EQ(std::system(("ls -A " + b("") + " >/dev/null").c_str()), 0);
  EXPECT_TRUE(strays()) << "its owner lives: nobody may touch it";
  mounts_->kill_mount(0);
  ASSERT_TRUE(mounts_->start_mount(0));
  EXPECT_TRUE(eventually([&] {
    if (std::system(("ls -A " + b("") + " >/dev/null").c_str()) != 0) return false;
    return !strays();
  }));
}

}  // namespace
}  // namespace holdfast::test
