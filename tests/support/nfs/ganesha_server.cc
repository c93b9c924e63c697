#include "tests/support/nfs/ganesha_server.h"

#include "tests/support/nfs/private_network.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::fs::testing {
namespace {

constexpr auto kPatience = std::chrono::seconds(30);
constexpr auto kPoll = std::chrono::milliseconds(20);

/// The last line that ganesha writes when it is ready, counted: the log is appended to over
/// restarts.
std::size_t times_ready(const std::filesystem::path& log) {
  std::ifstream in(log);
  std::size_t count = 0;
  for (std::string line; std::getline(in, line);)
    if (line.find("NFS SERVER INITIALIZED") != std::string::npos) ++count;
  return count;
}

/// The script's child, which is pid 1 of the server's pid namespace: the server itself.
pid_t child_of(pid_t parent) {
  std::ifstream in("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) +
                   "/children");
  pid_t child = -1;
  return in >> child ? child : -1;
}

}  // namespace

GaneshaServer::GaneshaServer(std::vector<std::string> options) : options_(std::move(options)) {
  enter_private_network();
  std::string base = (std::filesystem::temp_directory_path() / "holdfast-nfs-XXXXXX").string();
  if (::mkdtemp(base.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + base);
  base_ = base;
  std::filesystem::permissions(base_, std::filesystem::perms(0755));
  directory_ = base_ / "data";
  state_ = base_ / "state";
  std::filesystem::create_directory(directory_);
  std::filesystem::create_directory(state_);
  std::filesystem::permissions(directory_, std::filesystem::perms(0777));
  try {
    start();
  } catch (...) {
    end(SIGKILL);
    std::filesystem::remove_all(base_);
    throw;
  }
}

GaneshaServer::~GaneshaServer() {
  end(SIGKILL);
  std::error_code ignored;
  std::filesystem::remove_all(base_, ignored);
}

void GaneshaServer::start() {
  std::vector<std::string> words = {HOLDFAST_GANESHA_SCRIPT, "run", directory_.string(),
                                    state_.string()};
  words.insert(words.end(), options_.begin(), options_.end());
  std::vector<char*> argv;
  for (auto& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const auto log = state_ / "ganesha.log";
  const auto ready_before = times_ready(log);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    if (std::freopen((state_ / "output").c_str(), "a", stdout) == nullptr) ::_exit(1);
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (times_ready(log) == ready_before) {
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      throw std::runtime_error("nfs-ganesha ended at once:\n" + log_end());
    }
    if (std::chrono::steady_clock::now() > deadline)
      throw std::runtime_error("nfs-ganesha does not get ready:\n" + log_end());
    std::this_thread::sleep_for(kPoll);
  }
}

void GaneshaServer::stop() {
  end(SIGTERM);
}
void GaneshaServer::kill9() {
  end(SIGKILL);
}

void GaneshaServer::end(int signal) {
  if (pid_ < 0) return;
  const pid_t server = child_of(pid_);
  ::kill(server > 0 ? server : pid_, signal);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) ::kill(pid_, SIGKILL);
    std::this_thread::sleep_for(kPoll);
  }
  pid_ = -1;
}

std::string GaneshaServer::log_end() const {
  std::ostringstream all;
  for (const char* name : {"output", "ganesha.log"}) {
    std::ifstream in(state_ / name);
    all << in.rdbuf();
  }
  auto text = all.str();
  return text.size() > 3000 ? text.substr(text.size() - 3000) : text;
}

}  // namespace holdfast::fs::testing
