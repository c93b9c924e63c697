#include "deploy/csi/node/prober.h"

#include "fs/state/health.h"
#include "fs/state/reading.h"
#include "fs/state/state.h"
#include "holdfast/base/unique_fd.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <limits>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::csi {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kDyingMax{100};

struct Child {
  pid_t pid = -1;
  UniqueFd output;
};

Child start(const std::string& path) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  Child child{-1, UniqueFd(ends[0])};
  const UniqueFd to_us(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, to_us.get(), STDOUT_FILENO);
  const std::array<const char*, 4> arguments{"holdfast-csi-probe", "--probe", path.c_str(),
                                             nullptr};
  if (::posix_spawn(&child.pid, "/proc/self/exe", &actions, nullptr,
                    const_cast<char* const*>(arguments.data()), environ) != 0)
    child.pid = -1;
  ::posix_spawn_file_actions_destroy(&actions);
  return child;
}

/// What the child says until it closes its end; empty if the deadline comes first.
std::string listen_to(const Child& child, Clock::time_point deadline) {
  std::string out;
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd ready{child.output.get(), POLLIN, 0};
    const int polled = left <= 0 ? 0 : ::poll(&ready, 1, static_cast<int>(left));
    if (polled < 0 && errno == EINTR) continue;
    if (polled <= 0) return {};
    std::array<char, 256> buffer{};
    const auto got = ::read(child.output.get(), buffer.data(), buffer.size());
    if (got <= 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

bool reaped(pid_t pid, std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  while (true) {
    const pid_t ended = ::waitpid(pid, nullptr, WNOHANG);
    if (ended == pid || (ended < 0 && errno == ECHILD)) return true;
    if (Clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

std::int64_t clamped(unsigned long long value) {
  return static_cast<std::int64_t>(
      std::min(value, static_cast<unsigned long long>(std::numeric_limits<std::int64_t>::max())));
}

// The mount's own account of what it waits for, if it has published one (fs/state).
std::optional<std::string> own_words(const MountInfo& mount) {
  if (!mount.device.starts_with("0:")) return std::nullopt;
  const auto reading = fs::state::Reading::of(mount.device.substr(2), {"/run/holdfast"});
  if (!reading) return std::nullopt;
  const auto verdict = fs::state::judge(reading->snapshot(), fs::state::now_ms());
  // It may have gone on just now.
  if (verdict.health == fs::state::Health::kServing) return std::nullopt;
  return verdict.words;
}

Health hanging(const MountInfo& mount) {
  if (const auto words = own_words(mount))
    return {Health::State::kHanging, "the mount does not answer: " + *words, {}, {}};
  return {Health::State::kHanging,
          "the mount does not answer: its NFS server or holdfast-lockd is out of reach, or its "
          "process is frozen; it goes on when they are back",
          {},
          {}};
}

Health understand(const std::string& said) {
  int error = 0;
  std::array<unsigned long long, 6> n{};
  const int fields = std::sscanf(said.c_str(), "%d %llu %llu %llu %llu %llu %llu", &error, &n[0],
                                 &n[1], &n[2], &n[3], &n[4], &n[5]);
  Health out;
  if (fields < 1) {
    out.why = "the probe of the mount failed";
  } else if (error == ENOTCONN || error == ECONNABORTED) {
    out.state = Health::State::kDead;
    out.why =
        "the mount's process has died; the volume is mounted anew when a pod starts, and pods that "
        "were using it need a restart";
  } else if (error != 0 || fields != 7) {
    out.why = fmt::format("the mount answers: {}", std::strerror(error));
  } else {
    out.state = Health::State::kWell;
    out.bytes = {clamped(n[0]), clamped(n[1]), clamped(n[2])};
    out.inodes = {clamped(n[3]), clamped(n[4]), clamped(n[5])};
  }
  return out;
}

}  // namespace

bool Prober::still_stuck(const std::string& device) {
  const std::lock_guard lock(mutex_);
  const auto found = stuck_.find(device);
  if (found == stuck_.end()) return false;
  if (!reaped(found->second, std::chrono::milliseconds(0))) return true;
  stuck_.erase(found);
  return false;
}

Health Prober::ask(const MountInfo& mount) {
  if (still_stuck(mount.device)) return hanging(mount);
  const Child child = start(mount.path);
  if (child.pid < 0)
    return {Health::State::kFailing, "the probe of the mount does not start", {}, {}};
  const std::string said = listen_to(child, Clock::now() + patience_);
  if (!said.empty()) {
    static_cast<void>(reaped(child.pid, kDyingMax));
    return understand(said);
  }
  ::kill(child.pid, SIGKILL);
  if (!reaped(child.pid, kDyingMax)) {
    const std::lock_guard lock(mutex_);
    stuck_[mount.device] = child.pid;
  }
  return hanging(mount);
}

int probe_main(const char* path) {
  struct statvfs all {};
  if (::statvfs(path, &all) != 0) {
    std::printf("%d\n", errno);
    return 0;
  }
  const auto bytes = [&all](unsigned long long blocks) { return blocks * all.f_frsize; };
  std::printf("0 %llu %llu %llu %llu %llu %llu\n", bytes(all.f_blocks),
              bytes(all.f_blocks - all.f_bfree), bytes(all.f_bavail),
              static_cast<unsigned long long>(all.f_files),
              static_cast<unsigned long long>(all.f_files - all.f_ffree),
              static_cast<unsigned long long>(all.f_favail));
  return 0;
}

}  // namespace holdfast::csi
