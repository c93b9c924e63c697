#include "deploy/csi/core/parameters.h"

#include "deploy/csi/core/escape.h"
#include "deploy/csi/core/volume_id.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace holdfast::csi {
namespace {

constexpr std::string_view kKubernetes = "csi.storage.k8s.io/";
constexpr std::array<std::string_view, 10> kKnown{
    "server",           "share", "subdir", "ondelete", "mountoptions", "lockd",
    "mountpermissions", "uid",   "gid",    "owner"};

Refusal bad(std::string what) {
  return {Code::kInvalidArgument, std::move(what)};
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

/// Keys in lower case; Kubernetes' own apart.
struct Sorted {
  Texts ours;
  Texts kubernetes;
};
Answer<Sorted> sort(const Texts& texts) {
  Sorted out;
  for (const auto& [key, value] : texts) {
    const std::string name = lower(key);
    if (name.starts_with(kKubernetes)) {
      out.kubernetes[name.substr(kKubernetes.size())] = value;
    } else if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
      return bad(
          fmt::format("unknown parameter \"{}\"; known: server, share, subDir, onDelete, "
                      "mountOptions, lockd, mountPermissions, uid, gid, owner",
                      printable(key)));
    } else if (!out.ours.emplace(name, value).second) {
      return bad(fmt::format("the parameter \"{}\" is there twice", printable(key)));
    }
  }
  return out;
}

std::string get(const Texts& texts, const std::string& key) {
  const auto found = texts.find(key);
  return found == texts.end() ? std::string() : found->second;
}

/// With --extra-create-metadata the external-provisioner says whose claim it is.
Answer<std::string> substituted(std::string text, const Sorted& sorted) {
  constexpr std::array<std::pair<std::string_view, const char*>, 3> kPlaceholders{{
      {"${pvc.metadata.name}", "pvc/name"},
      {"${pvc.metadata.namespace}", "pvc/namespace"},
      {"${pv.metadata.name}", "pv/name"},
  }};
  for (const auto& [placeholder, key] : kPlaceholders) {
    const std::string value = get(sorted.kubernetes, key);
    for (auto at = text.find(placeholder); at != std::string::npos;
         at = text.find(placeholder, at + value.size())) {
      if (value.empty())
        return bad(
            fmt::format("subDir: nobody says what {} is; the external-provisioner needs "
                        "--extra-create-metadata=true",
                        placeholder));
      if (value.find('/') != std::string::npos)
        return bad(fmt::format("subDir: {} has a slash in it", placeholder));
      text.replace(at, placeholder.size(), value);
    }
  }
  if (text.find("${") != std::string::npos)
    return bad(fmt::format("subDir: unknown placeholder in \"{}\"", printable(text)));
  return text;
}

Answer<std::optional<std::uint32_t>> number(const Texts& ours, const std::string& key, int base,
                                            std::uint32_t highest) {
  const std::string text = get(ours, key);
  if (text.empty()) return std::optional<std::uint32_t>();
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || value > highest)
    return bad(fmt::format("{}: \"{}\" is not {}", key, printable(text),
                           base == 8 ? "an octal mode of at most 07777" : "a number"));
  return std::optional(value);
}

Answer<std::string> directory_for(const Sorted& sorted, const std::string& name) {
  const std::string sub_dir = get(sorted.ours, "subdir");
  if (sub_dir.empty()) return as_file_name(name);
  auto text = substituted(sub_dir, sorted);
  if (!text) return text;
  auto directory = parse_directory(*text);
  if (directory && directory->empty())
    return bad("subDir: names the export itself, which deleting the volume would empty");
  return directory;
}

Done check_options(std::string_view text) {
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto one = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (one.starts_with("log="))
      return bad("mount options: log= is the driver's to choose (docs/csi.md, \"Logs\")");
    if (std::any_of(one.begin(), one.end(), [](char c) { return c >= 0 && c < 0x20; }))
      return bad("mount options: control characters");
  }
  return {};
}

constexpr std::uint32_t kIdMax = 0x7fffffff;

struct Owner {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};
/// UID:GID; nothing if there is none.
Answer<std::optional<Owner>> mapped_owner(const Texts& ours) {
  const std::string text = get(ours, "owner");
  if (text.empty()) return std::optional<Owner>();
  const auto colon = text.find(':');
  const Texts halves{{"owner", text.substr(0, colon)},
                     {"group", colon == std::string::npos ? "" : text.substr(colon + 1)}};
  const auto uid = number(halves, "owner", 10, kIdMax);
  const auto gid = number(halves, "group", 10, kIdMax);
  if (!uid || !gid || !*uid || !*gid)
    return bad(fmt::format("owner: \"{}\" is not UID:GID, two numbers", printable(text)));
  return std::optional(Owner{**uid, **gid});
}

Done take_owner(const Texts& ours, Parameters& out) {
  auto mode = number(ours, "mountpermissions", 8, 07777);
  if (!mode) return mode.error();
  if (mode->value_or(0) != 0) out.mode = **mode;
  auto uid = number(ours, "uid", 10, kIdMax);
  if (!uid) return uid.error();
  auto gid = number(ours, "gid", 10, kIdMax);
  if (!gid) return gid.error();
  out.uid = *uid;
  out.gid = *gid;
  const auto owner = mapped_owner(ours);
  if (!owner) return owner.error();
  if (*owner && !out.uid && !out.gid) {
    // Who asks the server for a mapped volume is whoever has its directory (docs/identity.md).
    out.uid = (*owner)->uid;
    out.gid = (*owner)->gid;
    out.giving = Parameters::Giving::kWished;
  }
  return {};
}

}  // namespace

std::string to_string(OnDelete choice) {
  switch (choice) {
    case OnDelete::kDelete:
      return "delete";
    case OnDelete::kRetain:
      return "retain";
    case OnDelete::kArchive:
      return "archive";
  }
  return {};
}

std::optional<OnDelete> parse_on_delete(const std::string& text) {
  for (const auto choice : {OnDelete::kDelete, OnDelete::kRetain, OnDelete::kArchive}) {
    if (lower(text) == to_string(choice)) return choice;
  }
  return std::nullopt;
}

Answer<Parameters> read_parameters(const Texts& texts, const std::string& name) {
  auto sorted = sort(texts);
  if (!sorted) return sorted.error();
  const Texts& ours = sorted->ours;
  auto share = parse_share(get(ours, "server"), get(ours, "share"));
  if (!share) return share.error();
  auto directory = directory_for(*sorted, name);
  if (!directory) return directory.error();
  Parameters out;
  out.place = Place{*share, *directory};
  if (const std::string text = get(ours, "ondelete"); !text.empty()) {
    const auto choice = parse_on_delete(text);
    if (!choice)
      return bad(fmt::format("onDelete: \"{}\" is not delete, retain or archive", printable(text)));
    out.on_delete = *choice;
  }
  if (auto taken = take_owner(ours, out); !taken) return taken.error();
  if (auto checked = check_options(get(ours, "mountoptions")); !checked) return checked.error();
  out.context = {{"server", server_text(*share)}, {"share", share->path}, {"subDir", *directory}};
  for (const auto& [key, name_in_context] :
       {std::pair("lockd", "lockd"), std::pair("mountoptions", "mountOptions"),
        std::pair("owner", "owner")}) {
    if (const std::string text = get(ours, key); !text.empty()) out.context[name_in_context] = text;
  }
  return out;
}

Answer<std::optional<Share>> read_share(const Texts& texts) {
  auto sorted = sort(texts);
  if (!sorted) return sorted.error();
  if (sorted->ours.empty()) return std::optional<Share>();
  auto share = parse_share(get(sorted->ours, "server"), get(sorted->ours, "share"));
  if (!share) return share.error();
  return std::optional<Share>(*share);
}

Answer<MountPlan> plan_mount(const std::string& volume_id, const Texts& context) {
  MountPlan out;
  Texts ours;
  for (const auto& [key, value] : context)  // others', pod names among them, are not refused here
    ours[lower(key)] = value;
  out.lockd = get(ours, "lockd");
  out.mount_options = get(ours, "mountoptions");
  out.owner = get(ours, "owner");
  if (const auto owner = mapped_owner(ours); !owner) return owner.error();
  if (get(ours, "server").empty() && get(ours, "share").empty()) {
    const auto id = parse_volume_id(volume_id);
    if (!id || id->place.directory.empty())
      return Refusal{Code::kNotFound,
                     fmt::format("volume {}: neither its id nor its attributes (server, share, "
                                 "subDir) say where it is",
                                 printable(volume_id))};
    out.place = id->place;
    return out;
  }
  auto share = parse_share(get(ours, "server"), get(ours, "share"));
  if (!share) return share.error();
  auto directory = parse_directory(get(ours, "subdir"));
  if (!directory) return directory.error();
  out.place = Place{*share, *directory};
  return out;
}

Answer<std::string> mount_options(const MountPlan& plan, const std::vector<std::string>& flags,
                                  const std::string& default_lockd, bool read_only) {
  // Later ones win: the driver's default, the volume's attributes, StorageClass.mountOptions.
  std::string out;
  const auto add = [&out](const std::string& text) {
    if (!text.empty()) out += (out.empty() ? "" : ",") + text;
  };
  const std::string& lockd = plan.lockd.empty() ? default_lockd : plan.lockd;
  if (!lockd.empty()) add("lockd=" + lockd);
  if (lockd.find(',') != std::string::npos)
    return bad("lockd: replicas have a slash between them, no comma");
  if (!plan.owner.empty()) add("owner=" + plan.owner);
  add(plan.mount_options);
  for (const auto& flag : flags)
    add(flag);
  if (read_only) add("ro");
  if (auto checked = check_options(out); !checked) return checked.error();
  return out;
}

}  // namespace holdfast::csi
