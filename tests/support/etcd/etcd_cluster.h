#pragma once
/// Real etcd, of one member or several, for tests that kill, freeze and cut it.
///
///   support::EtcdCluster etcd(3);
///   holdfast-lockd --store etcd.url("/prefix") ...
///   etcd.member(0).signal(SIGKILL); ... etcd.member(0).start();   // same ports, same data
///
/// Loopback, ports of its own, data in a directory of its own. Ends its children in the destructor.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast::support {

/// A free TCP port of the loopback. Another process may take it before it is used: whoever listens
/// there must say so.
[[nodiscard]] std::uint16_t free_port();

class EtcdMember {
 public:
  EtcdMember(std::string name, std::filesystem::path directory, std::vector<std::string> arguments);
  ~EtcdMember();
  EtcdMember(const EtcdMember&) = delete;
  EtcdMember& operator=(const EtcdMember&) = delete;

  /// Does not wait: a member of several is ready only when there is a quorum.
  void start();
  void signal(int number) const;
  /// Kills it and waits for its end.
  void kill();

  [[nodiscard]] std::uint16_t client_port() const { return client_port_; }
  [[nodiscard]] std::uint16_t peer_port() const { return peer_port_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// It has a leader.
  [[nodiscard]] bool healthy() const;
  [[nodiscard]] std::string log() const;

 private:
  friend class EtcdCluster;
  std::string name_;
  std::filesystem::path directory_;
  std::vector<std::string> arguments_;
  std::string cluster_;  // --initial-cluster
  std::uint16_t client_port_ = free_port();
  std::uint16_t peer_port_ = free_port();
  std::uint16_t metrics_port_ = free_port();
  pid_t pid_ = -1;
};

struct EtcdSetup {
  std::size_t members = 1;
  /// For each member; with --cert-file clients use https.
  std::vector<std::string> arguments{};
};

class EtcdCluster {
 public:
  /// Starts it and waits until it is healthy. Throws if it does not become so.
  explicit EtcdCluster(EtcdSetup setup = {});
  ~EtcdCluster();

  [[nodiscard]] EtcdMember& member(std::size_t at) { return *members_[at]; }
  [[nodiscard]] std::size_t size() const { return members_.size(); }
  /// etcd://HOST:PORT,...PREFIX
  [[nodiscard]] std::string url(const std::string& prefix) const;
  void wait_healthy() const;
  /// Runs etcdctl with these arguments (API 3) and returns what it prints; throws if it fails.
  std::string ctl(const std::vector<std::string>& arguments) const;
  /// Any bytes.
  void put(const std::string& key, const std::string& value) const;

 private:
  std::filesystem::path directory_;
  std::vector<std::unique_ptr<EtcdMember>> members_;
};

}  // namespace holdfast::support
