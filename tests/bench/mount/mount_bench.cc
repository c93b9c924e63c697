/// What a directory costs: fcntl pairs, SQLite transactions by journal mode, streams. Prints one
/// line a figure.
///
///   mount_bench DIR [--only NAME] [--seconds S]      NAME: fcntl, insert-delete, insert-wal,
///   select-delete, stream, ...
///
/// tools/bench runs it on a Holdfast mount and on a local directory in the same run, and reads the
/// mount's call counters around each figure.

#include "holdfast/base/unique_fd.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

struct Figure {
  double value = 0;
  const char* unit = "";
  long operations = 0;
};

holdfast::UniqueFd open_or_fail(const std::string& path, int flags) {
  holdfast::UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  if (!fd) fail(path);
  return fd;
}

Figure fcntl_pairs(const std::string& dir, double seconds) {
  const std::string path = dir + "/bench-fcntl";
  const auto fd = open_or_fail(path, O_RDWR | O_CREAT);
  struct flock lock {};
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  long pairs = 0;
  const auto start = Clock::now();
  while (seconds_since(start) < seconds) {
    for (int i = 0; i < 100; ++i, ++pairs) {
      lock.l_type = F_WRLCK;
      if (::fcntl(fd.get(), F_SETLKW, &lock) != 0) fail("F_SETLKW");
      lock.l_type = F_UNLCK;
      if (::fcntl(fd.get(), F_SETLK, &lock) != 0) fail("F_UNLCK");
    }
  }
  const double elapsed = seconds_since(start);
  ::unlink(path.c_str());
  return {elapsed * 1e6 / static_cast<double>(pairs), "us/pair", pairs};
}

class Database {
 public:
  explicit Database(const std::string& path) {
    if (sqlite3_open(path.c_str(), &handle_) != SQLITE_OK)
      throw std::runtime_error(sqlite3_errmsg(handle_));
    sqlite3_busy_timeout(handle_, 10'000);
  }
  ~Database() { sqlite3_close(handle_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void run(const std::string& sql) {
    char* message = nullptr;
    if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, &message) != SQLITE_OK) {
      const std::string text = message ? message : "sqlite error";
      sqlite3_free(message);
      throw std::runtime_error(sql + ": " + text);
    }
  }

 private:
  sqlite3* handle_ = nullptr;
};

void prepare(Database& db, const std::string& mode) {
  db.run("PRAGMA journal_mode=" + mode);
  db.run("PRAGMA synchronous=FULL");
  db.run("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v TEXT)");
}

void remove_database(const std::string& path) {
  for (const char* suffix : {"", "-journal", "-wal", "-shm"})
    ::unlink((path + suffix).c_str());
}

Figure inserts(const std::string& dir, double seconds, const std::string& mode) {
  const std::string path = dir + "/bench-insert-" + mode + ".db";
  remove_database(path);
  Figure figure{0, "tx/s", 0};
  {
    Database db(path);
    prepare(db, mode);
    const std::string sql = "INSERT INTO t(v) VALUES('" + std::string(100, 'x') + "')";
    for (int i = 0; i < 5; ++i)
      db.run(sql);
    const auto start = Clock::now();
    while (seconds_since(start) < seconds) {
      for (int i = 0; i < 5; ++i, ++figure.operations)
        db.run(sql);
    }
    figure.value = static_cast<double>(figure.operations) / seconds_since(start);
  }
  remove_database(path);
  return figure;
}

Figure selects(const std::string& dir, double seconds, const std::string& mode) {
  const std::string path = dir + "/bench-select-" + mode + ".db";
  remove_database(path);
  Figure figure{0, "tx/s", 0};
  {
    Database db(path);
    prepare(db, mode);
    db.run("BEGIN");
    for (int i = 0; i < 10'000; ++i)
      db.run("INSERT INTO t(v) VALUES('" + std::string(50, 'y') + "')");
    db.run("COMMIT");
    Database reader(path);
    reader.run("SELECT v FROM t WHERE id=1");
    const auto start = Clock::now();
    while (seconds_since(start) < seconds) {
      for (int i = 0; i < 10; ++i, ++figure.operations) {
        reader.run("SELECT v FROM t WHERE id=" +
                   std::to_string(1 + figure.operations * 37 % 10'000));
      }
    }
    figure.value = static_cast<double>(figure.operations) / seconds_since(start);
  }
  remove_database(path);
  return figure;
}

constexpr std::size_t kStreamBytes = 256ULL << 20;

Figure stream_write(const std::string& dir, double) {
  const std::string path = dir + "/bench-stream";
  const auto fd = open_or_fail(path, O_RDWR | O_CREAT | O_TRUNC);
  const std::vector<char> block(1 << 20, 'z');
  const auto start = Clock::now();
  for (std::size_t done = 0; done < kStreamBytes; done += block.size()) {
    if (::write(fd.get(), block.data(), block.size()) != static_cast<ssize_t>(block.size()))
      fail("write");
  }
  if (::fsync(fd.get()) != 0) fail("fsync");
  return {static_cast<double>(kStreamBytes >> 20) / seconds_since(start), "MiB/s",
          kStreamBytes >> 20};
}

Figure stream_read(const std::string& dir, double) {
  const std::string path = dir + "/bench-stream";
  if (::access(path.c_str(), F_OK) != 0) stream_write(dir, 0);
  const auto fd = open_or_fail(path, O_RDONLY);
  std::vector<char> block(1 << 20);
  std::size_t total = 0;
  const auto start = Clock::now();
  for (;;) {
    const auto got = ::read(fd.get(), block.data(), block.size());
    if (got < 0) fail("read");
    if (got == 0) break;
    total += static_cast<std::size_t>(got);
  }
  const double elapsed = seconds_since(start);
  ::unlink(path.c_str());
  return {static_cast<double>(total >> 20) / elapsed, "MiB/s", static_cast<long>(total >> 20)};
}

/// What the machine takes for one request and answer between two processes over loopback TCP: the
/// floor under every lock call. `dir` does not matter.
Figure loopback(const std::string&, double seconds) {
  const holdfast::UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener.get(), generic, length) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), generic, &length) != 0)
    fail("loopback");
  char block[72] = {};
  const pid_t echo = ::fork();
  if (echo == 0) {
    const holdfast::UniqueFd peer(::socket(AF_INET, SOCK_STREAM, 0));
    if (::connect(peer.get(), generic, length) != 0) ::_exit(1);
    while (::read(peer.get(), block, sizeof block) > 0)
      if (::write(peer.get(), block, sizeof block) < 0) break;
    ::_exit(0);
  }
  holdfast::UniqueFd connection(::accept(listener.get(), nullptr, nullptr));
  const int on = 1;
  ::setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  long trips = 0;
  const auto start = Clock::now();
  while (seconds_since(start) < seconds) {
    for (int i = 0; i < 100; ++i, ++trips)
      if (::write(connection.get(), block, sizeof block) < 0 ||
          ::read(connection.get(), block, sizeof block) <= 0)
        fail("loopback");
  }
  const double elapsed = seconds_since(start);
  connection.reset();
  ::waitpid(echo, nullptr, 0);
  return {elapsed * 1e6 / static_cast<double>(trips), "us/trip", trips};
}

struct Case {
  std::string name;
  std::function<Figure(const std::string&, double)> run;
};

std::vector<Case> cases() {
  std::vector<Case> all{{"loopback", loopback}, {"fcntl", fcntl_pairs}};
  for (const char* mode : {"delete", "truncate", "persist", "wal"}) {
    all.push_back({std::string("insert-") + mode,
                   [mode](const std::string& dir, double s) { return inserts(dir, s, mode); }});
  }
  for (const char* mode : {"delete", "wal"}) {
    all.push_back({std::string("select-") + mode,
                   [mode](const std::string& dir, double s) { return selects(dir, s, mode); }});
  }
  all.push_back({"stream-write", stream_write});
  all.push_back({"stream-read", stream_read});
  return all;
}

}  // namespace

int main(int argc, char** argv) try {
  std::string dir, only;
  double seconds = 2;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--only" && i + 1 < argc) {
      only = argv[++i];
    } else if (arg == "--seconds" && i + 1 < argc) {
      seconds = std::atof(argv[++i]);
    } else if (arg == "--list") {
      for (const auto& c : cases())
        std::printf("%s\n", c.name.c_str());
      return 0;
    } else {
      dir = arg;
    }
  }
  if (dir.empty()) {
    std::fprintf(stderr, "usage: mount_bench DIR [--only NAME] [--seconds S] | --list\n");
    return 2;
  }
  for (const auto& c : cases()) {
    if (!only.empty() && c.name != only) continue;
    const Figure figure = c.run(dir, seconds);
    std::printf("%s value=%.1f unit=%s operations=%ld\n", c.name.c_str(), figure.value, figure.unit,
                figure.operations);
    std::fflush(stdout);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "mount_bench: %s\n", error.what());
  return 1;
}
