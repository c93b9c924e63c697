#pragma once
/// A volume's life on this node. Every function may be stopped at any point and called again: it
/// looks at what is mounted and does what is missing.
///
///   stage    `holdfast mount`, once per volume, by the keeper
///   publish  bind into the pod's directory; a dead mount is replaced first
///
/// Thread: any; calls for one volume one at a time (the caller sees to it).

#include "deploy/csi/core/capability.h"
#include "deploy/csi/core/parameters.h"
#include "deploy/csi/node/mounts.h"
#include "deploy/csi/node/prober.h"

#include <chrono>
#include <string>
#include <utility>

namespace holdfast::csi {

struct StageOrder {
  std::string volume_id;
  std::string staging_path;
  Capability capability;
  Texts context;
};
struct PublishOrder {
  StageOrder stage;
  std::string target_path;
  bool read_only = false;
};

struct NodeOptions {
  std::string keeper_socket;
  std::string lockd;  ///< for volumes whose attributes name none; may be empty
  std::chrono::milliseconds probe_max{5'000};
  std::chrono::milliseconds mount_max{60'000};
  std::chrono::milliseconds unmount_max{90'000};
};

class VolumesOnNode {
 public:
  explicit VolumesOnNode(NodeOptions options)
      : options_(std::move(options)), prober_(options_.probe_max) {}

  [[nodiscard]] Done stage(const StageOrder& order);
  [[nodiscard]] Done publish(const PublishOrder& order);
  [[nodiscard]] Done unpublish(const std::string& target_path);
  [[nodiscard]] Done unstage(const std::string& staging_path);
  /// Errors: kNotFound. A mount that does not answer is no error, but says so.
  [[nodiscard]] Answer<Health> stats(const std::string& volume_id, const std::string& path);

 private:
  struct Wanted {
    std::string source;
    std::string options;
    Access access;
  };
  [[nodiscard]] Answer<Wanted> wanted(const StageOrder& order) const;
  [[nodiscard]] Done mount(const Wanted& wanted, const std::string& staging);
  /// True: it is there, well or waiting. False: nothing is there (any more).
  [[nodiscard]] Answer<bool> is_staged(const Wanted& wanted, const std::string& staging);
  [[nodiscard]] Answer<bool> is_published(const MountInfo& staged, const std::string& target,
                                          Access access);

  const NodeOptions options_;
  Prober prober_;
};

}  // namespace holdfast::csi
