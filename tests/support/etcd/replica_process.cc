#include "tests/support/etcd/replica_process.h"

#include "holdfast/base/unique_fd.h"
#include "tests/support/etcd/etcd_cluster.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::support {
namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr std::chrono::milliseconds kPoll{10};

std::filesystem::path make_directory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "replica-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  return pattern;
}

std::string program() {
  const char* given = std::getenv("HOLDFAST_LOCKD");
  return given != nullptr ? given : HOLDFAST_LOCKD_PATH;
}

}  // namespace

ReplicaProcess::ReplicaProcess(std::string store, std::vector<std::string> arguments)
    : store_(std::move(store)),
      arguments_(std::move(arguments)),
      directory_(make_directory()),
      address_(wire::TcpAddress{"127.0.0.1", free_port()}) {}

ReplicaProcess::~ReplicaProcess() {
  if (pid_ > 0) {
    signal(SIGKILL);
    wait();
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void ReplicaProcess::start() {
  std::vector<std::string> words{
      program(), "--listen", wire::to_string(address_), "--admin", admin_path(), "--store", store_};
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> argv;
  for (std::string& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string path = (directory_ / "log").string();
  const UniqueFd log(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nothing survives a test that crashes
    ::dup2(log.get(), STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
}

void ReplicaProcess::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int ReplicaProcess::wait() {
  int status = 0;
  if (pid_ > 0) ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

std::string ReplicaProcess::log() const {
  std::ostringstream text;
  text << std::ifstream(directory_ / "log").rdbuf();
  return text.str();
}

std::size_t ReplicaProcess::said(const std::string& event) const {
  const std::string text = log();
  std::size_t count = 0;
  for (auto at = text.find(event); at != std::string::npos; at = text.find(event, at + 1))
    ++count;
  return count;
}

void ReplicaProcess::wait_said(const std::string& event, std::size_t times) const {
  const auto give_up = std::chrono::steady_clock::now() + kPatience;
  while (said(event) < times) {
    if (std::chrono::steady_clock::now() > give_up)
      throw std::runtime_error("not said:" + event + "in\n" + log());
    std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace holdfast::support
