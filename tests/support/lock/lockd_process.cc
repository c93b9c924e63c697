#include "tests/support/lock/lockd_process.h"

#include "lockd/store/sqlite_store.h"

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

constexpr std::chrono::seconds kStartMax{20};
constexpr std::chrono::milliseconds kPoll{10};

std::filesystem::path make_directory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "lockd-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  return pattern;
}

std::string program() {
  const char* given = std::getenv("HOLDFAST_LOCKD");
  return given != nullptr ? given : HOLDFAST_LOCKD_PATH;
}

std::string contents(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// "... lockd.started addresses=127.0.0.1:4711,unix:/... epoch=..." -> 127.0.0.1:4711
std::string first_address(const std::string& log) {
  const std::string key = "addresses=";
  const auto at = log.find("lockd.started");
  const auto found = at == std::string::npos ? at : log.find(key, at);
  if (found == std::string::npos || log.find('\n', found) == std::string::npos) return {};
  const auto start = found + key.size();
  return log.substr(start, log.find_first_of(", ", start) - start);
}

}  // namespace

LockdProcess::LockdProcess(std::vector<std::string> arguments)
    : arguments_(std::move(arguments)),
      directory_(make_directory()),
      address_(wire::TcpAddress{"127.0.0.1", 0}) {
  const auto created = lockd::SqliteStore::create_settled(store_path());
  if (!created) throw std::runtime_error(created.error().what);
  start();
}

LockdProcess::~LockdProcess() {
  if (pid_ > 0) {
    signal(SIGKILL);
    wait();
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void LockdProcess::start() {
  std::vector<std::string> words{program(),   "--listen",   wire::to_string(address_),
                                 "--admin",   admin_path(), "--store",
                                 store_path()};
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> argv;
  for (std::string& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const UniqueFd log(::open(log_path().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nothing survives a test that crashes
    ::dup2(log.get(), STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  const auto give_up = std::chrono::steady_clock::now() + kStartMax;
  while (std::chrono::steady_clock::now() < give_up) {
    const std::string address = first_address(contents(log_path()));
    if (!address.empty()) {
      address_ = *wire::parse_address(address);
      return;
    }
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      break;
    }
    std::this_thread::sleep_for(kPoll);
  }
  throw std::runtime_error("holdfast-lockd did not start: " + contents(log_path()));
}

void LockdProcess::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int LockdProcess::wait() {
  int status = 0;
  if (pid_ > 0) ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

}  // namespace holdfast::support
