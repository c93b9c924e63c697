#include "tests/fuzz/csi/node.h"

#include "deploy/csi/core/place.h"
#include "deploy/csi/keeper/client.h"
#include "deploy/csi/node/mounts.h"
#include "tests/fuzz/csi/must.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

namespace holdfast::csi {
namespace fuzz {

Node* the_node = nullptr;

namespace {

// fs/proc_namespace.c, show_mountinfo(): blanks, tabs, line ends, backslashes and '#' are octal.
std::string mangled(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == ' ' || c == '\t' || c == '\n' || c == '\\' || c == '#')
      out += fmt::format("\\{:03o}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out;
}

bool climbs(const std::string& path) {
  return ("/" + path + "/").find("/../") != std::string::npos;
}

void check_mount(const std::string& source, const std::string& options) {
  must(!climbs(source), "a volume lies below its export");
  must(source.front() != '-' && source.front() != '/', "a source is a server's");
  must(source.find('\0') == std::string::npos, "a source is one text");
  std::string rest = options;
  while (!rest.empty()) {
    const auto comma = std::min(rest.find(','), rest.size());
    const std::string one = rest.substr(0, comma);
    must(!one.starts_with("log="), "no option names a file to write on the node");
    must(std::none_of(one.begin(), one.end(), [](char c) { return c >= 0 && c < 0x20; }),
         "options are one line");
    rest.erase(0, comma + 1);
  }
}

}  // namespace

void Node::mount(const std::string& source, const std::string& path, bool read_only) {
  MountInfo out;
  out.device = fmt::format("0:{}", 50 + ++mounted);
  out.root = "/";
  out.path = path;
  out.type = "fuse.holdfast";
  out.source = source;
  out.options = "rw";
  out.super_options = read_only ? "ro" : "rw";
  mounts.push_back(out);
}

unsigned Node::count_at(const std::string& path) const {
  return static_cast<unsigned>(std::count_if(
      mounts.begin(), mounts.end(), [&](const MountInfo& mount) { return mount.path == path; }));
}

}  // namespace fuzz

MountTable current_mounts() {
  std::string text;
  for (const MountInfo& mount : fuzz::the_node->mounts)
    text += fmt::format("36 35 {} {} {} {},relatime shared:1 - {} {} {}\n", mount.device,
                        fuzz::mangled(mount.root), fuzz::mangled(mount.path), mount.options,
                        mount.type, fuzz::mangled(mount.source), mount.super_options);
  return MountTable(parse_mountinfo(text));
}

// Without symbolic links there is nothing to ask the file system.
Answer<std::string> table_path(const std::string& path) {
  std::filesystem::path wanted = std::filesystem::path(path).lexically_normal();
  if (!wanted.has_filename()) wanted = wanted.parent_path();
  if (!wanted.is_absolute() || !wanted.has_filename() || path.find('\0') != std::string::npos)
    return Refusal{Code::kInvalidArgument, "not an absolute path"};
  return wanted.string();
}

Done bind_mount(const std::string& source, const std::string& target, Access access) {
  const auto from = current_mounts().at(source);
  fuzz::must(from.has_value(), "what is bound is mounted");
  MountInfo bound = *from;
  bound.path = target;
  bound.options = access == Access::kReadOnly ? "ro" : "rw";
  fuzz::the_node->mounts.push_back(bound);
  return {};
}

Done unmount_all(const std::string& path) {
  std::erase_if(fuzz::the_node->mounts, [&](const MountInfo& mount) { return mount.path == path; });
  return {};
}

Done detach(const std::string& path) {
  return unmount_all(path);
}

Done make_directory(const std::string& path) {
  fuzz::must(path.starts_with('/') && !fuzz::climbs(path),
             "directories are made where it was said");
  return {};
}

Done remove_directory(const std::string& path) {
  fuzz::must(fuzz::the_node->count_at(path) == 0, "nothing is removed that is mounted");
  return {};
}

Health Prober::ask(const MountInfo&) {
  Health out;
  out.state = fuzz::the_node->health;
  // Once: what is replaced is well.
  if (out.state == Health::State::kDead) fuzz::the_node->health = Health::State::kWell;
  return out;
}

Answer<KeeperAnswer> ask_keeper(const std::string&, const std::vector<std::string>& request,
                                std::chrono::milliseconds) {
  const std::string bytes = encode_request(request);
  if (bytes.size() > kRequestBytesMax)
    return Refusal{Code::kInvalidArgument, "mount options or paths are too long"};
  const auto command = command_for(bytes);
  fuzz::must(command.has_value(), "the keeper understands what the driver asks");
  fuzz::Node& node = *fuzz::the_node;
  const std::string target = target_of(*command);
  if (command->front() == "unmount") {
    fuzz::must(node.count_at(target) > 0, "what the keeper unmounts is mounted");
    static_cast<void>(unmount_all(target));
    return KeeperAnswer{};
  }
  const std::string& source = command->at(1);
  const std::string& options = command->back();
  fuzz::check_mount(source, options);
  fuzz::must(node.count_at(target) == 0, "nothing is mounted over something");
  node.mount(source, target, ("," + options + ",").find(",ro,") != std::string::npos);
  return KeeperAnswer{};
}

}  // namespace holdfast::csi
