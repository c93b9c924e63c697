#include "cli/bench/own_lockd.h"

#include "holdfast/base/unique_fd.h"
#include "holdfast/base/unix_socket.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/frame.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::bench {
namespace {

namespace stdfs = std::filesystem;

constexpr std::chrono::seconds kStartMax{60};
constexpr std::chrono::milliseconds kPoll{20};
constexpr std::size_t kLogTail = 2000;
constexpr timeval kAdminPatience{.tv_sec = 30, .tv_usec = 0};

std::string binary_of(const Options& options) {
  if (!options.binary.empty()) return options.binary;
  return stdfs::read_symlink("/proc/self/exe").parent_path() / "holdfast-lockd";
}

std::string fresh_directory(const Options& options) {
  std::string pattern =
      stdfs::path(options.directory.empty() ? stdfs::temp_directory_path().string()
                                            : options.directory) /
      "holdfast-bench.XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw SetupError(fmt::format("cannot create {}: {}", pattern, std::strerror(errno)));
  }
  return pattern;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons(port);
  return name;
}

// Free now; a restart needs the same one, so lockd cannot choose.
std::uint16_t free_port() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name = loopback(0);
  socklen_t size = sizeof name;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&name), size) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    throw SetupError(fmt::format("no free loopback port: {}", std::strerror(errno)));
  }
  return ntohs(name.sin_port);
}

bool listens(std::uint16_t port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in name = loopback(port);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
}

}  // namespace

OwnLockd::OwnLockd(const Options& options, std::vector<std::string> more)
    : binary_(binary_of(options)), directory_(fresh_directory(options)), port_(free_port()) {
  arguments_ = {"--listen", fmt::format("127.0.0.1:{}", port_),
                "--admin",  directory_ + "/admin.sock",
                "--store",  directory_ + "/lockd.store"};
  arguments_.insert(arguments_.end(), more.begin(), more.end());
  try {
    create_store();
    spawn();
    wait_until_listening();
  } catch (...) {
    kill_hard();
    std::error_code ignored;
    stdfs::remove_all(directory_, ignored);
    throw;
  }
}

OwnLockd::~OwnLockd() {
  kill_hard();
  std::error_code ignored;
  stdfs::remove_all(directory_, ignored);
}

void OwnLockd::create_store() {
  const pid_t pid = run({"--store", directory_ + "/lockd.store", "--new-volume"});
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw SetupError(fmt::format("{} cannot create a store:\n{}", binary_, log_tail()));
  }
}

void OwnLockd::spawn() {
  pid_ = run(arguments_);
}

pid_t OwnLockd::run(const std::vector<std::string>& arguments) const {
  std::vector<std::string> words{binary_};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string log = directory_ + "/log";
  const UniqueFd out(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!out) throw SetupError(fmt::format("cannot write {}: {}", log, std::strerror(errno)));
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw SetupError(fmt::format("cannot fork: {}", std::strerror(errno)));
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it died before the line above
    ::dup2(out.get(), STDOUT_FILENO);
    ::dup2(out.get(), STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::dprintf(STDERR_FILENO, "cannot execute %s: %s\n", argv[0], std::strerror(errno));
    ::_exit(127);
  }
  return pid;
}

void OwnLockd::wait_until_listening() {
  const auto until = std::chrono::steady_clock::now() + kStartMax;
  while (!listens(port_)) {
    if (!alive() || std::chrono::steady_clock::now() > until) {
      throw SetupError(fmt::format("{} does not start:\n{}", binary_, log_tail()));
    }
    std::this_thread::sleep_for(kPoll);
  }
}

void OwnLockd::kill_hard() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

bool OwnLockd::alive() {
  if (pid_ <= 0) return false;
  if (::waitpid(pid_, nullptr, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

std::uint64_t OwnLockd::store_size() const {
  std::uint64_t sum = 0;
  std::error_code ignored;
  for (const auto& entry : stdfs::directory_iterator(directory_, ignored)) {
    if (entry.path().filename().string().starts_with("lockd.store")) {
      sum += entry.file_size(ignored);
    }
  }
  return sum;
}

std::optional<SessionList> OwnLockd::sessions() const {
  const auto connected = connect_unix(directory_ + "/admin.sock");
  if (!connected) return std::nullopt;
  const UniqueFd& fd = *connected;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kAdminPatience, sizeof kAdminPatience);
  wire::Codec codec;
  std::string question;
  if (!codec.append_frame(question, ClientMessage(ListSessions{})) ||
      ::send(fd.get(), question.data(), question.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(question.size())) {
    return std::nullopt;
  }
  wire::FrameBuffer incoming;
  for (;;) {
    const auto room = incoming.prepare();
    const ssize_t count = ::recv(fd.get(), room.data(), room.size(), 0);
    if (count <= 0) return std::nullopt;
    incoming.commit(static_cast<std::size_t>(count));
    const auto body = incoming.next();
    if (!body) return std::nullopt;
    if (!*body) continue;
    auto message = codec.decode_server(**body);
    auto* list = message ? std::get_if<SessionList>(&*message) : nullptr;
    if (list == nullptr) return std::nullopt;
    return std::move(*list);
  }
}

std::string OwnLockd::log_tail() const {
  std::ifstream file(directory_ + "/log");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (text.size() > kLogTail) text.erase(0, text.size() - kLogTail);
  return text;
}

}  // namespace holdfast::bench
