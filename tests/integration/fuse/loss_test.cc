// What a program sees after its lock was lost, and what it can no longer do to others (I6, I2).

#include "tests/integration/fuse/fixture.h"

#include <cstdio>

#include <sys/stat.h>
#include <sys/wait.h>

namespace holdfast::test {
namespace {

class Loss : public TwoMounts {};

/// A gate between processes.
class Gate {
 public:
  Gate() { EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0); }
  ~Gate() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  void open() const { (void)!::write(ends_[1], "x", 1); }
  void pass() const {
    char byte = 0;
    (void)!::read(ends_[0], &byte, 1);
  }

 private:
  int ends_[2]{};
};

/// In a loser: the number of a check that failed becomes the exit code.
#define CHECK_OR_EXIT(number, condition) \
  do {                                   \
    if (!(condition)) return number;     \
  } while (false)

bool fails_with_eio(int result) {
  return result < 0 && errno == EIO;
}

bool fails_with(int error, ssize_t result) {
  return result < 0 && errno == error;
}

/// Written under a token and not made stable, it is lost with the token, and its handles are dead
/// (docs/tokens.md, "Failure").
void make_stable(const std::string& path) {
  const int fd = open_file(path, O_RDWR);
  EXPECT_EQ(::fsync(fd), 0);
  ::close(fd);
}

bool lock_is_lost(int fd) {
  return eventually([fd] { return set_lock(fd, F_SETLK, F_WRLCK) == EIO; });
}

TEST_F(Loss, AHandleThatLostItsLockIsDeadUntilItIsClosedOthersGoOn) {
  Gate held;
  Gate noticed;
  Gate looked;
  Child loser([&] {
    const int fd = open_file(a("lost"));
    CHECK_OR_EXIT(1, ::write(fd, "text", 4) == 4 && ::fsync(fd) == 0);
    CHECK_OR_EXIT(2, set_lock(fd, F_SETLK, F_WRLCK) == 0);
    held.open();
    CHECK_OR_EXIT(3, lock_is_lost(fd));
    char byte = 0;
    CHECK_OR_EXIT(4, fails_with(ESTALE, ::pread(fd, &byte, 1, 0)));
    CHECK_OR_EXIT(5, fails_with_eio(static_cast<int>(::pwrite(fd, "x", 1, 0))));
    CHECK_OR_EXIT(6, fails_with_eio(::fsync(fd)));
    CHECK_OR_EXIT(7, set_lock(fd, F_SETLK, F_UNLCK) == EIO);
    noticed.open();
    looked.pass();
    // Somebody else's read has filled the kernel's pages, and the mount decides about locks of the
    // file again: not for this descriptor.
    CHECK_OR_EXIT(9, fails_with(ESTALE, ::pread(fd, &byte, 1, 0)));
    CHECK_OR_EXIT(10, set_lock(fd, F_SETLK, F_RDLCK) == EIO);
    CHECK_OR_EXIT(11, set_lock(fd, F_SETLK, F_UNLCK) == EIO);
    CHECK_OR_EXIT(8, fails_with_eio(::close(fd)));  // and the close says so, once
    return 0;
  });
  held.pass();
  const int bystander = open_file(a("bystander"));
  ASSERT_TRUE(mounts_->replace_lockd());
  EXPECT_EQ(::pwrite(bystander, "y", 1, 0), 1);
  EXPECT_EQ(::fsync(bystander), 0);
  ::close(bystander);
  noticed.pass();
  const int again = open_file(a("lost"));
  EXPECT_EQ(set_lock(again, F_SETLK, F_WRLCK), 0) << "a new open starts anew";
  char byte = 0;
  EXPECT_EQ(::pread(again, &byte, 1, 0), 1);
  EXPECT_EQ(byte, 't');
  ::close(again);
  looked.open();
  EXPECT_EQ(loser.wait(), 0);
  EXPECT_EQ(get(back("lost")), "text");
  // The other mount may notice only now that its session is gone.
  EXPECT_TRUE(eventually([] { return try_elsewhere(b("lost")) == 0; }));
}

// SQLite in mid-commit: the journal's name belongs to whoever has the lock now.
TEST_F(Loss, AProgramThatLostALockChangesNothingUntilItHasClosedTheFile) {
  ASSERT_EQ(put(a("else"), "kept"), 0);
  make_stable(a("else"));
  ASSERT_EQ(::mkdir(a("directory").c_str(), 0755), 0);
  Gate held;
  Child loser([&] {
    const int database = open_file(a("bank.db"));
    const int journal = open_file(a("bank.db-journal"));
    const int other = open_file(a("else"), O_RDWR);
    CHECK_OR_EXIT(1, database >= 0 && journal >= 0 && other >= 0);
    CHECK_OR_EXIT(2, set_lock(database, F_SETLK, F_WRLCK) == 0);
    held.open();
    CHECK_OR_EXIT(3, lock_is_lost(database));
    CHECK_OR_EXIT(10, fails_with_eio(::unlink(a("bank.db-journal").c_str())));
    CHECK_OR_EXIT(11, fails_with_eio(::rename(a("bank.db-journal").c_str(), a("x").c_str())));
    CHECK_OR_EXIT(12, fails_with_eio(::ftruncate(journal, 0)));
    CHECK_OR_EXIT(13, fails_with_eio(::truncate(a("else").c_str(), 0)));
    CHECK_OR_EXIT(14, fails_with_eio(static_cast<int>(::pwrite(journal, "x", 1, 0))));
    CHECK_OR_EXIT(15, fails_with_eio(static_cast<int>(::pwrite(other, "x", 1, 0))));
    CHECK_OR_EXIT(16, fails_with_eio(open_file(a("new"), O_RDWR | O_CREAT | O_EXCL)));
    CHECK_OR_EXIT(17, fails_with_eio(::mkdir(a("new").c_str(), 0755)));
    CHECK_OR_EXIT(18, fails_with_eio(::rmdir(a("directory").c_str())));
    CHECK_OR_EXIT(19, fails_with_eio(::link(a("else").c_str(), a("new").c_str())));
    CHECK_OR_EXIT(20, fails_with_eio(::symlink("else", a("new").c_str())));
    CHECK_OR_EXIT(21, fails_with_eio(::fsync(other)));
    CHECK_OR_EXIT(22, in_child([] { return ::unlink(a("else").c_str()) == 0 ? 0 : errno; }) == EIO);
    CHECK_OR_EXIT(23, get(a("else")) == "kept");  // reading goes on
    (void)::close(database);
    CHECK_OR_EXIT(30, ::pwrite(other, "x", 1, 0) == 1 && ::fsync(other) == 0);
    CHECK_OR_EXIT(31, ::unlink(a("bank.db-journal").c_str()) == 0);
    return 0;
  });
  held.pass();
  ASSERT_TRUE(mounts_->replace_lockd());
  EXPECT_EQ(put(a("meanwhile"), "fine"), 0) << "who lost nothing goes on";
  EXPECT_EQ(loser.wait(), 0);
  EXPECT_NE(::access(back("bank.db-journal").c_str(), F_OK), 0);
  EXPECT_EQ(get(back("else")), "xept");
}

// `flock 9; ...; mv` in a script: the lock was taken by a process that has ended since, through a
// descriptor that the shell has open.
TEST_F(Loss, AScriptThatLostItsFlockStartsNothingThatChanges) {
  ASSERT_EQ(put(a("script.new"), "new"), 0);
  Gate held;
  Gate lost;
  Child script([&] {
    const int fd = open_file(a("script.lock"));
    CHECK_OR_EXIT(1, in_child([fd] { return ::flock(fd, LOCK_EX); }) == 0);
    held.open();
    lost.pass();
    CHECK_OR_EXIT(2, eventually([fd] { return fails_with_eio(::flock(fd, LOCK_EX)); }));
    const std::string move = "mv " + a("script.new") + " " + a("script.data") + " 2>/dev/null";
    const int status = std::system(move.c_str());
    CHECK_OR_EXIT(3, status != 0);
    (void)::close(fd);
    CHECK_OR_EXIT(4, std::system(move.c_str()) == 0);
    return 0;
  });
  held.pass();
  ASSERT_TRUE(mounts_->replace_lockd());
  lost.open();
  EXPECT_EQ(script.wait(), 0);
}

}  // namespace
}  // namespace holdfast::test
