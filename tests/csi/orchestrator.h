#pragma once
/// Kubernetes, as far as a CSI driver sees it: the external-provisioner and one kubelet, over real
/// nfs-ganesha, holdfast-lockd, keeper and driver.
///
/// Thread: calls may come from several; starting and killing from one.

#include "csi/v1/csi.grpc.pb.h"
#include "tests/csi/process.h"
#include "tests/support/lock/lockd_process.h"
#include "tests/support/nfs/ganesha_server.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

namespace holdfast::csi::testing {

namespace pb = ::csi::v1;
namespace stdfs = std::filesystem;
using Mode = pb::VolumeCapability::AccessMode;
using Texts = std::map<std::string, std::string>;

/// NFS server and lockd, shared by the tests of this program.
struct Servers {
  explicit Servers(std::vector<std::string> ganesha_options = {})
      : nfs(std::move(ganesha_options)), lockd({"--lease-ttl", "2"}) {}
  fs::testing::GaneshaServer nfs;
  support::LockdProcess lockd;
};

class Orchestrator {
 public:
  explicit Orchestrator(Servers& servers);
  /// Ends everything of this node; fails the test if a mount or an error in a log is left.
  ~Orchestrator();
  Orchestrator(const Orchestrator&) = delete;
  Orchestrator& operator=(const Orchestrator&) = delete;

  void start_driver();
  void kill_driver() { driver_.end(SIGKILL); }
  void restart_driver() {
    kill_driver();
    start_driver();
  }
  Process& driver() { return driver_; }
  Process& keeper() { return keeper_; }
  void start_keeper();

  /// As kubelet and provisioner do: calls that say so are repeated (ABORTED, UNAVAILABLE, …).
  template <class Stub, class Request, class Response>
  grpc::Status call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response = nullptr) {
    Response ignored;
    for (unsigned attempt = 0;; ++attempt) {
      grpc::ClientContext context;
      context.set_wait_for_ready(true);
      set_deadline(context);
      const auto stub = this->stub<Stub>();
      const auto status =
          ((*stub).*method)(&context, request, response != nullptr ? response : &ignored);
      if (status.ok() || !means_again(status) || attempt >= 200) return status;
      pause();
    }
  }

  // What a StorageClass with this directory's server says.
  [[nodiscard]] Texts parameters(const Texts& more = {}) const;
  [[nodiscard]] pb::CreateVolumeRequest create_request(const std::string& name,
                                                       const Texts& more = {}) const;
  /// A new volume, or the test fails.
  pb::Volume create(const std::string& name, const Texts& more = {});
  void remove(const pb::Volume& volume);

  [[nodiscard]] std::string staging(const pb::Volume& volume) const;
  [[nodiscard]] std::string target(const std::string& pod) const;
  [[nodiscard]] pb::NodeStageVolumeRequest stage_request(const pb::Volume& volume) const;
  [[nodiscard]] pb::NodePublishVolumeRequest publish_request(const pb::Volume& volume,
                                                             const std::string& pod) const;
  grpc::Status stage(const pb::Volume& volume);
  grpc::Status publish(const pb::Volume& volume, const std::string& pod);
  grpc::Status unpublish(const pb::Volume& volume, const std::string& pod);
  grpc::Status unstage(const pb::Volume& volume);
  grpc::Status stats(const pb::Volume& volume, const std::string& pod,
                     pb::NodeGetVolumeStatsResponse* out);

  /// The stats of a mount that is well, or becomes so: on a busy machine an answer may come late.
  pb::NodeGetVolumeStatsResponse stats_when_well(const pb::Volume& volume, const std::string& pod);

  [[nodiscard]] std::string keeper_socket() const { return base_ / "keeper.sock"; }
  /// The exported directory, seen from the server.
  [[nodiscard]] const stdfs::path& exported() const { return servers_.nfs.directory(); }
  [[nodiscard]] Servers& servers() { return servers_; }
  [[nodiscard]] unsigned mounts_at(const std::string& path) const;
  /// Processes of mounts on this volume.
  [[nodiscard]] std::vector<pid_t> mount_processes() const;

 private:
  static bool means_again(const grpc::Status& status);
  static void pause();
  static void set_deadline(grpc::ClientContext& context);
  template <class Stub>
  std::unique_ptr<Stub> stub();

  Servers& servers_;
  stdfs::path base_;
  Process keeper_;
  Process driver_;
};

[[nodiscard]] pb::VolumeCapability capability(Mode::Mode mode);
[[nodiscard]] std::string contents(const stdfs::path& path);

template <>
std::unique_ptr<pb::Identity::Stub> Orchestrator::stub();
template <>
std::unique_ptr<pb::Controller::Stub> Orchestrator::stub();
template <>
std::unique_ptr<pb::Node::Stub> Orchestrator::stub();

}  // namespace holdfast::csi::testing
