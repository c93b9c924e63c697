#include "tests/support/fuse/mounts.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::test {
namespace {

constexpr const char* kConnections = "/sys/fs/fuse/connections";

/// "0:53" -> "53": the connection's directory under fusectl. No request to the mount is made.
std::string connection_of(const std::string& path) {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line, found;
  while (std::getline(mounts, line)) {
    std::istringstream fields(line);
    std::string id, parent, device, root, where;
    fields >> id >> parent >> device >> root >> where;
    if (where == path) found = device.substr(device.find(':') + 1);
  }
  return found;
}

void abort_connection(const std::string& connection) {
  if (connection.empty()) return;
  std::ofstream(std::string(kConnections) + "/" + connection + "/abort") << "1\n";
}

pid_t spawn(const std::vector<std::string>& command, int output) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  if (output >= 0) ::dup2(output, STDOUT_FILENO);
  std::vector<char*> arguments;
  for (const auto& word : command)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

bool reaped(pid_t pid, int& status, std::chrono::milliseconds patience) {
  return eventually([&] { return ::waitpid(pid, &status, WNOHANG) != 0; }, patience);
}

}  // namespace

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (true) {
    if (condition()) return true;
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void signal_process(pid_t pid, int signal) {
  if (pid > 0) ::kill(pid, signal);
}

Child::Child(const std::function<int()>& work) : pid_(::fork()) {
  if (pid_ == 0) ::_exit(work());
}
Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}
Child::~Child() {
  if (pid_ < 0) return;
  signal_process(pid_, SIGKILL);
  ::waitpid(pid_, &status_, 0);
}
int Child::wait() {
  if (pid_ >= 0) ::waitpid(std::exchange(pid_, -1), &status_, 0);
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
}
void Child::kill(int signal) const {
  signal_process(pid_, signal);
}
bool Child::ends_within(std::chrono::milliseconds patience) {
  if (pid_ >= 0 && !reaped(pid_, status_, patience)) return false;
  pid_ = -1;
  return true;
}

int in_child(const std::function<int()>& work) {
  return Child(work).wait();
}

Mounts::Mounts(std::size_t count, std::chrono::seconds lease) : lease_(lease) {
  if (std::filesystem::is_empty(kConnections)) {
    // Not there in a bare container; without it a stuck mount cannot be aborted.
    ::mount("none", kConnections, "fusectl", 0, nullptr);
  }
  std::string pattern = std::filesystem::temp_directory_path() / "holdfast-fuse-XXXXXX";
  root_ = ::mkdtemp(pattern.data());
  ::chmod(root_.c_str(), 0755);  // tests act as other users too
  std::filesystem::create_directory(root_ + "/back");
  if (!start_lockd()) return;
  for (std::size_t i = 0; i < count; ++i) {
    nodes_.push_back({root_ + "/m" + std::to_string(i), "", -1});
    std::filesystem::create_directory(nodes_.back().path);
    if (!start_mount(i)) return;
  }
  watchdog_ = std::thread([this] { watch(); });
  ready_ = true;
}

// The first one knows that it may serve at once.
bool Mounts::start_lockd() {
  const std::string store = root_ + "/lockd.db";
  if (lockd_ <= 0) {
    int status = -1;
    ::waitpid(spawn({HOLDFAST_LOCKD, "--store", store, "--new-volume"}, -1), &status, 0);
    if (status != 0) return false;
  }
  lockd_ = spawn({HOLDFAST_LOCKD, "--listen", "unix:" + root_ + "/lockd", "--admin", "", "--store",
                  store, "--lease-ttl", std::to_string(lease_.count()), "--log-level", "warn"},
                 -1);
  return eventually([&] { return std::filesystem::exists(root_ + "/lockd"); });
}

bool Mounts::replace_lockd() {
  signal_process(lockd_, SIGKILL);
  ::waitpid(lockd_, nullptr, 0);
  ::unlink((root_ + "/lockd").c_str());
  // With its memory, so that sessions are lost; a store that is gone makes new locks wait.
  ::unlink((root_ + "/lockd.db").c_str());
  ::unlink((root_ + "/lockd.db-journal").c_str());
  return start_lockd();
}

bool Mounts::start_mount(std::size_t index) {
  Node& node = nodes_[index];
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return false;
  node.process =
      spawn({HOLDFAST_TEST_MOUNT, backing(), node.path, "unix:" + root_ + "/lockd"}, pipe[1]);
  ::close(pipe[1]);
  char text[16] = {};
  const auto got = ::read(pipe[0], text, sizeof text - 1);
  ::close(pipe[0]);
  if (got <= 0 || std::string(text) != "mounted\n") return false;
  const std::lock_guard guard(mutex_);
  node.connection = connection_of(node.path);
  return true;
}

int Mounts::stop_mount(std::size_t index) {
  if (nodes_[index].process >= 0) signal_process(nodes_[index].process, SIGTERM);
  return wait_mount(index);
}

int Mounts::wait_mount(std::size_t index) {
  Node& node = nodes_[index];
  if (node.process < 0) return -1;
  int status = 0;
  if (!reaped(node.process, status, std::chrono::seconds(20))) {
    abort_connection(node.connection);
    ::umount2(node.path.c_str(), MNT_DETACH);
    signal_process(node.process, SIGKILL);
    ::waitpid(node.process, &status, 0);
  }
  node.process = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void Mounts::kill_mount(std::size_t index) {
  Node& node = nodes_[index];
  signal_process(node.process, SIGKILL);
  ::waitpid(std::exchange(node.process, -1), nullptr, 0);
  ::umount2(node.path.c_str(), MNT_DETACH);
}

void Mounts::abort_all() {
  for (const auto& node : nodes_)
    abort_connection(node.connection);
}

void Mounts::watch() {
  std::unique_lock lock(mutex_);
  if (wake_.wait_for(lock, kPatience, [this] { return done_; })) return;
  std::cerr << "watchdog: the test takes too long, its mounts are aborted\n";
  abort_all();
}

Mounts::~Mounts() {
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    stop_mount(i);
  if (lockd_ > 0) {
    signal_process(lockd_, SIGCONT);
    signal_process(lockd_, SIGTERM);
    ::waitpid(lockd_, nullptr, 0);
  }
  {
    const std::lock_guard guard(mutex_);
    done_ = true;
  }
  wake_.notify_all();
  if (watchdog_.joinable()) watchdog_.join();
  std::error_code ignored;
  for (const auto& node : nodes_)
    ::umount2(node.path.c_str(), MNT_DETACH);
  std::filesystem::remove_all(root_, ignored);
}

std::string Mounts::at(std::size_t index, const std::string& name) const {
  return nodes_[index].path + (name.empty() ? "" : "/" + name);
}
std::string Mounts::backing(const std::string& name) const {
  return root_ + "/back" + (name.empty() ? "" : "/" + name);
}

}  // namespace holdfast::test
