#pragma once
/// Which program, and of which pod, a process of this node is: proc(5), and what kubelet leaves on
/// the node.

#include "holdfast/lock/who.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

/// Pod and container from the text of /proc/PID/cgroup; empty outside Kubernetes. Pure.
/// Understands cgroup v1 and v2, with systemd's names
/// (kubepods-burstable-pod01234567_89ab_....slice) and without
/// (kubepods/burstable/pod01234567-89ab-...).
[[nodiscard]] ProcessInfo pod_from_cgroup(std::string_view text);
/// kubelet names a pod's log directory NAMESPACE_NAME_UID. Fills in namespace and name if one of
/// `directories` is that of the pod. Pure.
void name_pod(ProcessInfo& process, const std::vector<std::string>& directories);

/// What is known of process `pid`; all empty if it has ended. `logs`: where kubelet has the pods'
/// directories.
[[nodiscard]] ProcessInfo process_info(std::uint32_t pid,
                                       const std::string& logs = "/var/log/pods");

}  // namespace holdfast::cli
