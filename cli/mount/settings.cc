#include "cli/mount/settings.h"

#include "fs/volume/volume_id.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

using Done = boost::system::result<void, Failure>;

// For mount(8), systemd and fstab, not for us (mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS").
constexpr std::array kIgnored = {
    "rw",         "defaults", "_netdev",    "noauto",      "auto",          "nofail",
    "user",       "nouser",   "users",      "owner",       "group",         "async",
    "atime",      "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime",
    "nolazytime", "diratime", "hard",       "silent",      "loud",          "noiversion"};
constexpr std::array kForTheKernel = {"nosuid", "suid",    "nodev",      "dev",  "noexec",
                                      "exec",   "noatime", "nodiratime", "sync", "dirsync"};

template <std::size_t N>
bool among(const std::array<const char*, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Failure bad_value(std::string_view name, std::string_view value, std::string_view expected) {
  return {kExitUsage, fmt::format("-o {}={}: expected {}", name, value, expected), ""};
}

template <class T>
Done number(std::string_view name, std::string_view value, T lowest, T highest,
            std::optional<T>& out) {
  T parsed{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
  if (error != std::errc() || end != value.data() + value.size() || parsed < lowest ||
      parsed > highest)
    return bad_value(name, value, fmt::format("a number from {} to {}", lowest, highest));
  out = parsed;
  return {};
}

Done parse_lockd(std::string_view value, MountOptions& options) {
  if (value == "embedded") {
    options.lockd = EmbeddedLockd{};
    return {};
  }
  // A slash between addresses: a comma ends the option, and no host or port has a slash in it. The
  // path of a unix socket has: it stands alone.
  const auto bad = [&](std::string_view why) {
    return Failure{kExitUsage, fmt::format("-o lockd={}: {}", value, why),
                   "give HOST, HOST:PORT, several of them with a slash between them, unix:/path or "
                   "embedded"};
  };
  SharedLockd all;
  for (std::string_view rest = value;;) {
    const bool path = rest.starts_with("unix:");
    const auto end = path ? rest.size() : std::min(rest.find('/'), rest.size());
    const std::string_view one = rest.substr(0, end);
    auto address = wire::parse_address(one);
    if (!address) return bad(address.error().what);
    if (one == "embedded" || (path && !all.empty())) return bad("only HOST:PORT has replicas");
    if (std::find(all.begin(), all.end(), *address) != all.end()) return bad("one is there twice");
    all.push_back(*address);
    if (end == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  options.lockd = LockdChoice(std::move(all));
  return {};
}

Done parse_log(std::string_view value, MountOptions& options) {
  using Kind = LogTarget::Kind;
  if (value == "journal") {
    options.log = {Kind::kJournal, {}};
  } else if (value == "stderr") {
    options.log = {Kind::kStderr, {}};
  } else if (value.starts_with('/')) {
    options.log = {Kind::kFile, std::string(value)};
  } else {
    return bad_value("log", value, "an absolute path, \"journal\" or \"stderr\"");
  }
  return {};
}

Done parse_cache(std::string_view value, MountOptions& options) {
  if (value != "none" && value != "tokens") return bad_value("cache", value, "none or tokens");
  options.cache = value == "none" ? CacheChoice::kNone : CacheChoice::kTokens;
  return {};
}

/// Seconds, as in nfs(5).
Done parse_age(std::string_view name, std::string_view value,
               std::initializer_list<Duration*> out) {
  constexpr unsigned kAgeMax = 86'400;
  std::optional<unsigned> count;
  if (auto done = number<unsigned>(name, value, 0, kAgeMax, count); !done) return done;
  for (Duration* age : out)
    *age = std::chrono::seconds(*count);
  return {};
}

Done parse_actimeo(std::string_view name, std::string_view value, MountOptions& options) {
  fs::KeptAges& ages = options.kept_ages;
  return parse_age(name, value, {&ages.at_open, &ages.attributes, &ages.names});
}

Done parse_linger(std::string_view value, MountOptions& options) {
  std::optional<unsigned> count;
  if (auto done = number<unsigned>("linger", value, 0, 1'000, count); !done) return done;
  options.linger = std::chrono::milliseconds(*count);
  return {};
}

Done milliseconds(std::string_view name, std::string_view value, unsigned unit,
                  std::chrono::milliseconds& out) {
  std::optional<unsigned> count;
  if (auto done = number<unsigned>(name, value, 1, 36'000, count); !done) return done;
  out = std::chrono::milliseconds(*count * unit);
  return {};
}

Done parse_file(std::string_view name, std::string_view value, std::string& out) {
  if (!value.starts_with('/')) return bad_value(name, value, "an absolute path");
  out = value;
  return {};
}

/// UID:GID. Numbers: the names of a container's users mean nothing on the node.
Done parse_owner(std::string_view name, std::string_view value, std::optional<fs::Owner>& out) {
  constexpr std::uint32_t kIdMax = 0xfffffffe;  // chown(2): -1 is nobody
  const auto colon = value.find(':');
  std::optional<std::uint32_t> uid, gid;
  if (colon == std::string_view::npos ||
      !number<std::uint32_t>(name, value.substr(0, colon), 0, kIdMax, uid) ||
      !number<std::uint32_t>(name, value.substr(colon + 1), 0, kIdMax, gid))
    return bad_value(name, value, "UID:GID, two numbers");
  out = fs::Owner{*uid, *gid};
  return {};
}

/// Octal, as umask(1).
Done parse_mask(std::string_view name, std::string_view value,
                std::initializer_list<std::optional<std::uint32_t>*> out) {
  std::uint32_t mask = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), mask, 8);
  if (error != std::errc() || end != value.data() + value.size() || mask > 0777)
    return bad_value(name, value, "the bits to take away, octal, as in 0027");
  for (std::optional<std::uint32_t>* one : out)
    *one = mask;
  return {};
}

Done parse_valued(std::string_view name, std::string_view value, MountOptions& options,
                  bool& known) {
  constexpr std::uint32_t kTransferMin = 4096;
  constexpr std::uint32_t kTransferMax = 1U << 20;
  constexpr std::uint64_t kDirtyMin = 1ULL << 20;
  constexpr std::uint64_t kDirtyMax = 16ULL << 30;
  constexpr std::size_t kInodesMin = 10'000;
  constexpr std::size_t kInodesMax = 100'000'000;
  if (name == "lockd") return parse_lockd(value, options);
  if (name == "port") return number<std::uint16_t>(name, value, 0, 65535, options.port);
  if (name == "mountport") return number<std::uint16_t>(name, value, 0, 65535, options.mountport);
  if (name == "rsize") return number(name, value, kTransferMin, kTransferMax, options.rsize);
  if (name == "wsize") return number(name, value, kTransferMin, kTransferMax, options.wsize);
  if (name == "nconnect") return number(name, value, 1U, 4U, options.nconnect);
  if (name == "timeo") {  // tenths of a second, as in nfs(5)
    std::chrono::milliseconds timeo{};
    auto done = milliseconds(name, value, 100, timeo);
    if (done) options.timeo = timeo;
    return done;
  }
  if (name == "lockd_wait") return milliseconds(name, value, 1000, options.lockd_wait);
  if (name == "volume_id") {
    options.volume_id = fs::parse_volume_id(value);
    if (!options.volume_id) return bad_value(name, value, "a UUID");
    return {};
  }
  if (name == "tls_ca") return parse_file(name, value, options.tls_ca);
  if (name == "tls_cert") return parse_file(name, value, options.tls_certificate);
  if (name == "tls_key") return parse_file(name, value, options.tls_key);
  if (name == "token_file") return parse_file(name, value, options.token_file);
  if (name == "owner") return parse_owner(name, value, options.owner);
  if (name == "identity") return parse_owner(name, value, options.identity);
  if (name == "umask")
    return parse_mask(name, value, {&options.file_mask, &options.directory_mask});
  if (name == "fmask") return parse_mask(name, value, {&options.file_mask});
  if (name == "dmask") return parse_mask(name, value, {&options.directory_mask});
  if (name == "log") return parse_log(value, options);
  if (name == "cache") return parse_cache(value, options);
  fs::KeptAges& ages = options.kept_ages;
  if (name == "acregmin") return parse_age(name, value, {&ages.at_open});
  if (name == "acregmax") return parse_age(name, value, {&ages.attributes});
  if (name == "acdirmin") return parse_age(name, value, {&ages.names});
  if (name == "actimeo") return parse_actimeo(name, value, options);
  if (name == "linger") return parse_linger(value, options);
  if (name == "dirty_max") return number(name, value, kDirtyMin, kDirtyMax, options.dirty_max);
  if (name == "inodes_max") return number(name, value, kInodesMin, kInodesMax, options.inodes_max);
  if (name == "vers" || name == "nfsvers") {
    if (value != "3") return bad_value(name, value, "3: it is the only version so far");
    return {};
  }
  if (name == "proto" && value == "tcp") return {};
  known = name == "comment" || name.starts_with("x-");
  return {};
}

Done parse_one(std::string_view option, UnknownOptions unknown, MountOptions& options) {
  bool known = true;
  const auto equals = option.find('=');
  if (equals != std::string_view::npos) {
    auto done = parse_valued(option.substr(0, equals), option.substr(equals + 1), options, known);
    if (!done) return done;
  } else if (option == "ro") {
    options.read_only = true;
  } else if (option == "plain") {
    options.plain = true;
  } else if (option == "soft") {
    options.soft = true;
  } else if (option == "noac") {
    return parse_actimeo("actimeo", "0", options);
  } else if (option == "keep_owners") {
    options.keep_owners = true;
  } else if (option == "debug") {
    options.debug = true;
  } else if (option == "allow_other") {
    options.allow_other = true;
  } else if (option == "noallow_other") {
    options.allow_other = false;
  } else if (option == "remount") {
    return Failure{kExitUsage, "a Holdfast mount cannot be remounted with other options",
                   "unmount it and mount it again"};
  } else if (among(kForTheKernel, option)) {
    options.kernel_options.emplace_back(option);
  } else {
    known = among(kIgnored, option) || option.starts_with("x-") || option.empty();
    if (option == "hard") options.soft = false;
    if (option == "rw") options.read_only = false;
  }
  if (known || unknown == UnknownOptions::kIgnore) return {};
  return Failure{kExitUsage, fmt::format("unknown option -o {}", option),
                 "see holdfast(8) for the list"};
}

}  // namespace

boost::system::result<std::optional<fs::OwnerOptions>, Failure> ownership(
    const MountOptions& options) {
  if (!options.owner) {
    if (options.identity || options.file_mask || options.directory_mask || options.keep_owners)
      return Failure{kExitUsage,
                     "-o identity=, umask=, fmask=, dmask= and keep_owners need -o owner=",
                     "-o owner=UID:GID says whom everything on the mount belongs to"};
    return std::optional<fs::OwnerOptions>();
  }
  fs::OwnerOptions out;
  out.owner = *options.owner;
  out.identity = options.identity;
  out.file_mask = options.file_mask.value_or(0);
  out.directory_mask = options.directory_mask.value_or(0);
  if (options.keep_owners) out.others = fs::OtherOwners::kKept;
  return std::optional(out);
}

boost::system::result<void, Failure> parse_options(std::string_view text, UnknownOptions unknown,
                                                   MountOptions& options) {
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    if (auto done = parse_one(text.substr(0, comma), unknown, options); !done) return done;
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return {};
}

}  // namespace holdfast::cli
