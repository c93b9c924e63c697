#include "tests/support/etcd/etcd_cluster.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::support {
namespace {

constexpr std::chrono::seconds kStartMax{60};
constexpr std::chrono::milliseconds kPoll{20};

// In memory where there is such a place: each write is a sync, and none is meant for the disk.
std::filesystem::path make_directory() {
  const bool memory = ::access("/dev/shm", W_OK) == 0;
  const std::filesystem::path base = memory ? "/dev/shm" : std::filesystem::temp_directory_path();
  std::string pattern = (base / "etcd-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  return pattern;
}

int loopback_socket(sockaddr_in& address, std::uint16_t port) {
  address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

std::string http_get(std::uint16_t port, const std::string& path) {
  sockaddr_in address{};
  const int fd = loopback_socket(address, port);
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = fmt::format("GET {} HTTP/1.0\r\n\r\n", path);
    std::array<char, 4096> room;
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      for (ssize_t got = 0; (got = ::recv(fd, room.data(), room.size(), 0)) > 0;)
        answer.append(room.data(), static_cast<std::size_t>(got));
    }
  }
  ::close(fd);
  return answer;
}

}  // namespace

std::uint16_t free_port() {
  sockaddr_in address{};
  const int fd = loopback_socket(address, 0);
  socklen_t size = sizeof address;
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

EtcdMember::EtcdMember(std::string name, std::filesystem::path directory,
                       std::vector<std::string> arguments)
    : name_(std::move(name)), directory_(std::move(directory)), arguments_(std::move(arguments)) {}

EtcdMember::~EtcdMember() {
  kill();
}

void EtcdMember::start() {
  const bool tls = std::any_of(arguments_.begin(), arguments_.end(), [](const std::string& word) {
    return word.starts_with("--cert-file");
  });
  const std::string client = fmt::format("{}://127.0.0.1:{}", tls ? "https" : "http", client_port_);
  const std::string peer = fmt::format("http://127.0.0.1:{}", peer_port_);
  std::vector<std::string> words{"etcd",
                                 "--name",
                                 name_,
                                 "--data-dir",
                                 (directory_ / name_).string(),
                                 "--listen-client-urls",
                                 client,
                                 "--advertise-client-urls",
                                 client,
                                 "--listen-peer-urls",
                                 peer,
                                 "--initial-advertise-peer-urls",
                                 peer,
                                 "--listen-metrics-urls",
                                 fmt::format("http://127.0.0.1:{}", metrics_port_),
                                 "--initial-cluster",
                                 cluster_};
  words.insert(words.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> argv;
  for (std::string& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string log_path = (directory_ / (name_ + ".log")).string();
  const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nothing survives a test that crashes
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(log);
}

void EtcdMember::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

void EtcdMember::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

bool EtcdMember::healthy() const {
  return http_get(metrics_port_, "/health").find("\"true\"") != std::string::npos;
}

std::string EtcdMember::log() const {
  std::ostringstream text;
  text << std::ifstream(directory_ / (name_ + ".log")).rdbuf();
  return text.str();
}

EtcdCluster::EtcdCluster(EtcdSetup setup) : directory_(make_directory()) {
  std::string cluster;
  for (std::size_t i = 0; i < setup.members; ++i) {
    auto one = std::make_unique<EtcdMember>(fmt::format("m{}", i), directory_, setup.arguments);
    cluster += fmt::format("{}{}=http://127.0.0.1:{}", cluster.empty() ? "" : ",", one->name(),
                           one->peer_port());
    members_.push_back(std::move(one));
  }
  for (auto& one : members_) {
    one->cluster_ = cluster;
    one->start();
  }
  try {
    wait_healthy();
  } catch (...) {
    members_.clear();
    std::filesystem::remove_all(directory_);
    throw;
  }
}

EtcdCluster::~EtcdCluster() {
  members_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string EtcdCluster::url(const std::string& prefix) const {
  std::string hosts;
  for (const auto& one : members_)
    hosts += fmt::format("{}127.0.0.1:{}", hosts.empty() ? "" : ",", one->client_port());
  return "etcd://" + hosts + prefix;
}

void EtcdCluster::wait_healthy() const {
  const auto give_up = std::chrono::steady_clock::now() + kStartMax;
  for (const auto& one : members_) {
    while (!one->healthy()) {
      if (std::chrono::steady_clock::now() > give_up)
        throw std::runtime_error("etcd is not healthy: " + one->log());
      std::this_thread::sleep_for(kPoll);
    }
  }
}

void EtcdCluster::put(const std::string& key, const std::string& value) const {
  const std::string command =
      fmt::format("ETCDCTL_API=3 etcdctl --endpoints=127.0.0.1:{} put '{}' >/dev/null",
                  members_.front()->client_port(), key);
  std::FILE* pipe = ::popen(command.c_str(), "w");
  if (pipe == nullptr) throw std::runtime_error("popen failed");
  std::fwrite(value.data(), 1, value.size(), pipe);
  if (::pclose(pipe) != 0) throw std::runtime_error(command);
}

std::string EtcdCluster::ctl(const std::vector<std::string>& arguments) const {
  std::string command = fmt::format("ETCDCTL_API=3 etcdctl --endpoints=127.0.0.1:{}",
                                    members_.front()->client_port());
  for (const std::string& word : arguments)
    command += " '" + word + "'";
  command += " 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen failed");
  std::string out;
  std::array<char, 4096> room;
  for (std::size_t got = 0; (got = std::fread(room.data(), 1, room.size(), pipe)) > 0;)
    out.append(room.data(), got);
  if (::pclose(pipe) != 0) throw std::runtime_error(command + ": " + out);
  return out;
}

}  // namespace holdfast::support
