// Two directories that should be one: a child process uses the other.
#include "cli/doctor/gather.h"
#include "holdfast/base/unique_fd.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

// What the other one is asked, and answers with 1 or 0; kEnd ends it.
enum class Ask : char { kExists = 'e', kFcntl = 'f', kFlock = 'l', kBytes = 'b', kEnd = 'q' };

constexpr std::string_view kBytes = "written by one, read by the other";

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

char answer(Ask ask, const std::string& path) {
  if (ask == Ask::kExists) return ::access(path.c_str(), F_OK) == 0 ? 1 : 0;
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) return 0;
  if (ask == Ask::kFlock) return ::flock(file.get(), LOCK_EX | LOCK_NB) == 0 ? 1 : 0;
  struct flock lock = whole_file(F_WRLCK);
  const bool locked = ::fcntl(file.get(), F_SETLK, &lock) == 0;
  if (ask == Ask::kFcntl || !locked) return locked ? 1 : 0;
  std::array<char, kBytes.size()> seen{};
  const auto got = ::pread(file.get(), seen.data(), seen.size(), 0);
  return got == static_cast<ssize_t>(seen.size()) &&
                 std::string_view(seen.data(), seen.size()) == kBytes
             ? 1
             : 0;
}

[[noreturn]] void be_the_other(int socket, const std::string& path) {
  for (char ask = 0; ::read(socket, &ask, 1) == 1 && static_cast<Ask>(ask) != Ask::kEnd;) {
    const char said = answer(static_cast<Ask>(ask), path);
    if (::write(socket, &said, 1) != 1) break;
  }
  ::_exit(0);
}

class Pair {
 public:
  explicit Pair(PairFacts& facts) : facts_(facts) {
    const std::string name = fmt::format("{}{}", kTrialPrefix, ::getpid());
    path_ = facts.one + "/" + name;
    const std::string other_path = facts.other + "/" + name;
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      fail();
      return;
    }
    socket_.reset(ends[0]);
    UniqueFd theirs(ends[1]);
    child_ = ::fork();
    if (child_ < 0) fail();
    if (child_ == 0) be_the_other(theirs.get(), other_path);
  }
  ~Pair() {
    const char end = static_cast<char>(Ask::kEnd);
    if (socket_) static_cast<void>(!::write(socket_.get(), &end, 1));
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  void run() {
    if (facts_.error != 0) return;
    // Asked for before it is there: whoever remembers that misses it later.
    static_cast<void>(other(Ask::kExists));
    UniqueFd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) return fail();
    facts_.sees_new_name = other(Ask::kExists);
    if (facts_.sees_new_name) with(file.get());
    file.reset();
    ::unlink(path_.c_str());
    facts_.sees_removed_name = !other(Ask::kExists);
  }

 private:
  void with(int file) {
    struct flock lock = whole_file(F_WRLCK);
    if (::fcntl(file, F_SETLK, &lock) != 0) return fail();
    facts_.fcntl_excludes = !other(Ask::kFcntl);
    if (::pwrite(file, kBytes.data(), kBytes.size(), 0) != static_cast<ssize_t>(kBytes.size()))
      return fail();
    lock.l_type = F_UNLCK;
    ::fcntl(file, F_SETLK, &lock);
    facts_.sees_new_bytes = other(Ask::kBytes);
    if (::flock(file, LOCK_EX | LOCK_NB) != 0) return fail();
    facts_.flock_excludes = !other(Ask::kFlock);
  }
  bool other(Ask ask) {
    const char asked = static_cast<char>(ask);
    char said = 0;
    const bool told =
        ::write(socket_.get(), &asked, 1) == 1 && ::read(socket_.get(), &said, 1) == 1;
    if (!told && facts_.error == 0) {
      facts_.error = EPIPE;
      facts_.error_text = "the trial ended early";
    }
    return told && said == 1;
  }
  void fail() {
    facts_.error = errno;
    facts_.error_text = std::strerror(errno);
  }

  PairFacts& facts_;
  std::string path_;
  UniqueFd socket_;
  pid_t child_ = -1;
};

}  // namespace

PairFacts gather_pair(const std::string& one, const std::string& other) {
  PairFacts facts;
  facts.one = one;
  facts.other = other;
  Pair(facts).run();
  return facts;
}

}  // namespace holdfast::cli
