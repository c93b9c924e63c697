#include "cli/mount/process_info.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

constexpr std::size_t kUidSize = 36;        // RFC 4122
constexpr std::size_t kContainerSize = 64;  // of containerd, CRI-O and docker
constexpr std::size_t kCgroupSizeMax = 16'384;
constexpr std::size_t kNamespaceSizeMax = 63;  // RFC 1123 labels and names: what Kubernetes takes
constexpr std::size_t kPodSizeMax = 253;

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

// systemd takes - for a step of its hierarchy, so its names have _ instead. A static pod's uid is
// 32 digits without either.
std::optional<std::string> uid_at(std::string_view text) {
  std::string uid(text.substr(0, kUidSize));
  std::replace(uid.begin(), uid.end(), '_', '-');
  const auto dashes = [&](std::size_t at) { return at == 8 || at == 13 || at == 18 || at == 23; };
  std::size_t good = 0;
  while (good < uid.size() && (dashes(good) ? uid[good] == '-' : is_hex(uid[good])))
    ++good;
  if (good == kUidSize) return uid;
  const std::string_view plain = text.substr(0, 32);
  if (plain.size() == 32 && std::all_of(plain.begin(), plain.end(), is_hex))
    return std::string(plain);
  return std::nullopt;
}

std::string container_in(std::string_view path) {
  for (std::size_t at = 0; at + kContainerSize <= path.size(); ++at) {
    const std::string_view id = path.substr(at, kContainerSize);
    if (std::all_of(id.begin(), id.end(), is_hex)) return std::string(id);
  }
  return {};
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::string text(kCgroupSizeMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

}  // namespace

ProcessInfo pod_from_cgroup(std::string_view text) {
  ProcessInfo out;
  const auto kubepods = text.find("kubepods");
  if (kubepods == std::string_view::npos) return out;
  const std::string_view path = text.substr(kubepods, text.find('\n', kubepods) - kubepods);
  for (auto at = path.find("pod", 8); at != std::string_view::npos; at = path.find("pod", at + 1)) {
    const auto uid = uid_at(path.substr(at + 3));
    if (!uid) continue;
    out.pod_uid = *uid;
    out.container = container_in(path.substr(at + 3 + uid->size()));
    break;
  }
  return out;
}

void name_pod(ProcessInfo& process, const std::vector<std::string>& directories) {
  if (process.pod_uid.empty()) return;
  const std::string tail = "_" + process.pod_uid;
  for (const std::string& name : directories) {
    const auto first = name.find('_');
    if (!name.ends_with(tail) || first + tail.size() >= name.size()) continue;
    process.ns = name.substr(0, std::min(first, kNamespaceSizeMax));
    const std::size_t size = name.size() - tail.size() - first - 1;
    process.pod = name.substr(first + 1, std::min(size, kPodSizeMax));
    return;
  }
}

ProcessInfo process_info(std::uint32_t pid, const std::string& logs) {
  ProcessInfo out = pod_from_cgroup(read_file(fmt::format("/proc/{}/cgroup", pid)));
  out.name = read_file(fmt::format("/proc/{}/comm", pid));
  while (!out.name.empty() && out.name.back() == '\n')
    out.name.pop_back();
  if (out.pod_uid.empty()) return out;
  std::vector<std::string> directories;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(logs, ignored))
    directories.push_back(entry.path().filename().string());
  name_pod(out, directories);
  return out;
}

}  // namespace holdfast::cli
