#include "deploy/csi/node/volumes_on_node.h"

#include "deploy/csi/core/volume_id.h"
#include "deploy/csi/keeper/client.h"
#include "holdfast/base/log.h"

#include <fmt/format.h>

namespace holdfast::csi {
namespace {

Refusal other_there(Code code, const MountInfo& mount, const std::string& path) {
  return {code,
          fmt::format("{} ({}{}) is mounted at {} already", printable(mount.source), mount.type,
                      mount.read_only() || mount.file_system_read_only() ? ", read-only" : "",
                      printable(path))};
}

Access access_of(bool read_only) {
  return read_only ? Access::kReadOnly : Access::kReadWrite;
}

}  // namespace

Answer<VolumesOnNode::Wanted> VolumesOnNode::wanted(const StageOrder& order) const {
  if (auto checked = check_capability(order.capability); !checked) return checked.error();
  auto plan = plan_mount(order.volume_id, order.context);
  if (!plan) return plan.error();
  const bool read_only = is_read_only(order.capability);
  auto options = mount_options(*plan, order.capability.mount_flags, options_.lockd, read_only);
  if (!options) return options.error();
  return Wanted{mount_source(plan->place), *options, access_of(read_only)};
}

Answer<bool> VolumesOnNode::is_staged(const Wanted& wanted, const std::string& staging) {
  const auto there = current_mounts().at(staging);
  if (!there) return false;
  if (!there->is_holdfast()) return other_there(Code::kFailedPrecondition, *there, staging);
  if (there->source != wanted.source) return other_there(Code::kAlreadyExists, *there, staging);
  const auto health = prober_.ask(*there);
  if (health.state == Health::State::kDead) {
    log::warn("node.dead_mount", "path={} source={} note=\"replaced\"", printable(staging),
              printable(there->source));
    if (auto detached = detach(staging); !detached) return detached.error();
    return false;
  }
  // Where a writable mount was asked for with -o ro, it is what was asked for.
  if (there->file_system_read_only() && wanted.access == Access::kReadWrite &&
      ("," + wanted.options + ",").find(",ro,") == std::string::npos)
    return other_there(Code::kAlreadyExists, *there, staging);
  if (!there->file_system_read_only() && wanted.access == Access::kReadOnly)
    return other_there(Code::kAlreadyExists, *there, staging);
  return true;
}

Done VolumesOnNode::mount(const Wanted& wanted, const std::string& staging) {
  const auto answer =
      ask_keeper(options_.keeper_socket, {"mount", wanted.source, staging, wanted.options},
                 options_.mount_max);
  if (!answer) return answer.error();
  const auto there = current_mounts().at(staging);
  if (there && there->is_holdfast() && there->source == wanted.source) {
    log::info("node.mounted", "source={} path={}", printable(wanted.source), printable(staging));
    return {};
  }
  if (answer->exit_code == 0)
    return Refusal{
        Code::kInternal,
        "the keeper has mounted the volume, but the mount is not seen here: the kubelet's "
        "directory must be shared with both (mountPropagation: Bidirectional)"};
  constexpr int kUsage = 1;
  return Refusal{answer->exit_code == kUsage ? Code::kInvalidArgument : Code::kInternal,
                 fmt::format("cannot mount {}: {}", printable(wanted.source), answer->said)};
}

Done VolumesOnNode::stage(const StageOrder& order) {
  auto plan = wanted(order);
  if (!plan) return plan.error();
  auto staging = table_path(order.staging_path);
  if (!staging) return staging.error();
  auto there = is_staged(*plan, *staging);
  if (!there) return there.error();
  if (*there) return {};
  if (auto made = make_directory(*staging); !made) return made;
  return mount(*plan, *staging);
}

Answer<bool> VolumesOnNode::is_published(const MountInfo& staged, const std::string& target,
                                         Access access) {
  const auto there = current_mounts().at(target);
  if (!there) return false;
  if (!there->is_holdfast()) return other_there(Code::kFailedPrecondition, *there, target);
  if (there->device == staged.device) {
    const bool read_only = there->read_only() || there->file_system_read_only();
    const bool wanted = access == Access::kReadOnly || staged.file_system_read_only();
    if (read_only == wanted) return true;
    return other_there(Code::kAlreadyExists, *there, target);
  }
  if (there->source != staged.source) return other_there(Code::kAlreadyExists, *there, target);
  // Of a mount that is not there any more. Containers that run keep the dead one; one that is
  // started again finds the new one.
  log::warn("node.stale_bind", "path={} note=\"replaced\"", printable(target));
  if (auto gone = unmount_all(target); !gone) return gone.error();
  return false;
}

Done VolumesOnNode::publish(const PublishOrder& order) {
  if (auto staged = stage(order.stage); !staged) return staged;
  auto staging = table_path(order.stage.staging_path);
  auto target = table_path(order.target_path);
  if (!staging) return staging.error();
  if (!target) return target.error();
  const auto table = current_mounts();
  const auto staged = table.at(*staging);
  if (!staged) return Refusal{Code::kUnavailable, "the volume's mount has just ended; try again"};
  if (is_for_one_pod(order.stage.capability)) {
    const auto others = table.elsewhere(*staged, *staging, *target);
    if (!others.empty())
      return Refusal{
          Code::kFailedPrecondition,
          fmt::format("ReadWriteOncePod: the volume is in use at {}", printable(others[0]))};
  }
  const Access access = access_of(order.read_only || is_read_only(order.stage.capability));
  auto there = is_published(*staged, *target, access);
  if (!there) return there.error();
  if (*there) return {};
  if (auto made = make_directory(*target); !made) return made;
  return bind_mount(*staging, *target, access);
}

Done VolumesOnNode::unpublish(const std::string& target_path) {
  auto target = table_path(target_path);
  if (!target && target.error().code == Code::kNotFound) return {};
  if (!target) return target.error();
  if (auto gone = unmount_all(*target); !gone) return gone;
  return remove_directory(*target);
}

Done VolumesOnNode::unstage(const std::string& staging_path) {
  auto staging = table_path(staging_path);
  if (!staging && staging.error().code == Code::kNotFound) return {};
  if (!staging) return staging.error();
  const auto table = current_mounts();
  const auto there = table.at(*staging);
  if (!there) return {};
  if (there->is_holdfast() && !table.is_mounted_elsewhere(*there)) {
    // Waits until everything is stored and the mount's process has ended.
    const auto answer =
        ask_keeper(options_.keeper_socket, {"unmount", *staging}, options_.unmount_max);
    if (!answer && answer.error().code == Code::kDeadlineExceeded) return answer.error();
    constexpr int kStillWriting = 2;
    if (answer && answer->exit_code == kStillWriting)
      return Refusal{Code::kDeadlineExceeded, answer->said};
    if (answer && answer->exit_code == 0) return {};
    // No keeper, no mount process of its; or in use, or dead.
    log::warn("node.unmount", "path={} said=\"{}\" note=\"unmounted without it\"",
              printable(*staging), answer ? printable(answer->said) : answer.error().what);
  }
  return unmount_all(*staging);
}

Answer<Health> VolumesOnNode::stats(const std::string& volume_id, const std::string& path) {
  const auto missing = [&](std::string_view why) {
    return Refusal{Code::kNotFound, fmt::format("volume {} is not at {}: {}", printable(volume_id),
                                                printable(path), why)};
  };
  auto where = table_path(path);
  if (!where) return missing(where.error().what);
  const auto there = current_mounts().at(*where);
  if (!there || !there->is_holdfast()) return missing("no Holdfast volume is mounted there");
  const auto id = parse_volume_id(volume_id);
  if (id && mount_source(id->place) != there->source) return missing(there->source);
  return prober_.ask(*there);
}

}  // namespace holdfast::csi
