#include "cli/mount/process_info.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

constexpr const char* kUid = "01234567-89ab-cdef-0123-456789abcdef";
const std::string kContainer(64, 'c');

TEST(ProcessInfo, FindsThePodInEveryFormOfCgroupPath) {
  const std::string systemd =
      "0::/kubepods.slice/kubepods-burstable.slice/"
      "kubepods-burstable-pod01234567_89ab_cdef_0123_456789abcdef.slice/cri-containerd-" +
      kContainer + ".scope\n";
  const std::string plain =
      "12:cpu:/\n11:memory:/kubepods/besteffort/pod" + std::string(kUid) + "/" + kContainer + "\n";
  const std::string guaranteed = "0::/kubepods/pod" + std::string(kUid) + "/" + kContainer + "\n";
  for (const std::string& text : {systemd, plain, guaranteed}) {
    const ProcessInfo info = pod_from_cgroup(text);
    EXPECT_EQ(info.pod_uid, kUid) << text;
    EXPECT_EQ(info.container, kContainer) << text;
  }
  // A static pod's uid is a hash.
  EXPECT_EQ(pod_from_cgroup("0::/kubepods/pod" + std::string(32, 'a') + "/x").pod_uid,
            std::string(32, 'a'));
}

TEST(ProcessInfo, OutsideKubernetesThereIsNoPod) {
  for (const char* text : {"", "0::/user.slice/user-0.slice\n", "0::/system.slice/pod.service",
                           "0::/kubepods", "0::/kubepods/podshort"})
    EXPECT_EQ(pod_from_cgroup(text).pod_uid, "") << text;
}

TEST(ProcessInfo, KubeletsLogDirectoryNamesThePod) {
  ProcessInfo info;
  info.pod_uid = kUid;
  name_pod(info, {"kube-system_dns_11111111-1111-1111-1111-111111111111",
                  "vault_vaultwarden-0_" + std::string(kUid)});
  EXPECT_EQ(info.ns, "vault");
  EXPECT_EQ(info.pod, "vaultwarden-0");
  ProcessInfo other;
  other.pod_uid = kUid;
  name_pod(other, {"_" + std::string(kUid), "x"});
  EXPECT_EQ(other.pod, "");
}

TEST(ProcessInfo, KnowsThisProcess) {
  EXPECT_FALSE(process_info(static_cast<std::uint32_t>(::getpid())).name.empty());
  EXPECT_EQ(process_info(0x7fffffff).name, "") << "there is no such process";
}

}  // namespace
}  // namespace holdfast::cli
