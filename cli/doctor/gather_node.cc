// This node, and its mount table.
#include "cli/admin/mounts.h"
#include "cli/doctor/gather.h"
#include "cli/runtime_directory.h"
#include "fs/state/health.h"
#include "fs/state/reading.h"
#include "fs/state/state.h"
#include "holdfast/base/unique_fd.h"

#include <cerrno>
#include <fstream>

#include <fcntl.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

bool has_line(const char* path, std::string_view wanted) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.substr(0, line.find_first_of(" \t#")) == wanted) return true;
  return false;
}

std::optional<fs::state::Snapshot> state_of(const MountInfo& line) {
  const auto reading = fs::state::Reading::of(line.connection(), published_directories());
  if (!reading) return std::nullopt;
  return reading->snapshot();
}

}  // namespace

NodeFacts gather_node() {
  NodeFacts node;
  node.root = ::geteuid() == 0;
  node.fuse_exists = ::access("/dev/fuse", F_OK) == 0;
  const UniqueFd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  node.fuse_error = fuse ? 0 : errno;
  node.fusermount = ::access("/usr/bin/fusermount3", X_OK) == 0 ||
                    ::access("/bin/fusermount3", X_OK) == 0 ||
                    ::access("/usr/local/bin/fusermount3", X_OK) == 0;
  node.user_allow_other = has_line("/etc/fuse.conf", "user_allow_other");
  for (const MountInfo& line : read_mountinfo())
    node.fusectl = node.fusectl || line.type == "fusectl";
  return node;
}

std::optional<MountFacts> gather_mount(const std::string& path) {
  const auto lines = read_mountinfo();
  const MountInfo* line = mount_over(lines, plain_path(path));
  if (line == nullptr) return std::nullopt;
  MountFacts facts{.path = path,
                   .type = line->type,
                   .source = line->source,
                   .options = line->options + "," + line->super_options,
                   .trouble = std::nullopt};
  if (!line->is_holdfast()) return facts;
  if (const auto state = state_of(*line)) {
    const auto verdict = fs::state::judge(*state, fs::state::now_ms());
    if (verdict.health != fs::state::Health::kServing) facts.trouble = verdict.words;
  }
  return facts;
}

std::string lockd_of_mount(const std::string& path) {
  const auto lines = read_mountinfo();
  const MountInfo* line = mount_over(lines, plain_path(path));
  if (line == nullptr || !line->is_holdfast()) return {};
  const auto state = state_of(*line);
  if (!state || state->lockd == "embedded") return {};
  return state->lockd.substr(0, state->lockd.find(','));
}

}  // namespace holdfast::cli
