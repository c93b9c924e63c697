#include "cli/doctor/judge.h"

#include "cli/admin/listing.h"
#include "holdfast/base/json.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <sstream>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

constexpr std::chrono::microseconds kRoundTripSlow{5'000};

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::kFine:
      return "ok";
    case Severity::kNote:
      return "note";
    case Severity::kProblem:
      return "problem";
  }
  return "?";
}

// "rw,vers=3,nolock": by name; without a value "".
std::map<std::string, std::string> options_of(const std::string& text) {
  std::map<std::string, std::string> all;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    const auto equals = word.find('=');
    all[word.substr(0, equals)] = equals == std::string::npos ? "" : word.substr(equals + 1);
  }
  return all;
}

void judge_kernel_nfs(const MountFacts& mount, std::vector<Finding>& findings) {
  const auto options = options_of(mount.options);
  const auto value = [&](const char* name) {
    const auto found = options.find(name);
    return found == options.end() ? std::string() : found->second;
  };
  const std::string local = value("local_lock");
  if (options.contains("nolock") || (!local.empty() && local != "none")) {
    findings.push_back(
        {Severity::kProblem, "locks",
         fmt::format("{} keeps file locks on this node to itself ({})", mount.path,
                     options.contains("nolock") ? "nolock" : "local_lock=" + local),
         "two nodes hold the same lock at once and write at once: SQLite databases are damaged",
         "use Holdfast for this export, or mount without that option on every node"});
  } else {
    findings.push_back(
        {Severity::kNote, "locks",
         fmt::format("{} is a mount of the kernel's NFS client: its locks are those of the server, "
                     "and do not keep programs on Holdfast mounts of this export out",
                     mount.path),
         "a program here and one on a Holdfast mount may write the same file at once",
         "use one kind of mount for an export, on all nodes"});
  }
  if (options.contains("soft") || options.contains("softerr")) {
    findings.push_back({Severity::kProblem, "soft", fmt::format("{} is a soft mount", mount.path),
                        "a slow server becomes an I/O error in the middle of a transaction, and "
                        "data that was written may be missing without a word",
                        "mount it hard"});
  }
  const std::string lookup = value("lookupcache");
  if (lookup != "none" && lookup != "pos" && lookup != "positive") {
    findings.push_back(
        {Severity::kProblem, "lookupcache",
         fmt::format("{} remembers which names do not exist (lookupcache=all, the default)",
                     mount.path),
         "SQLite looks for the journal of a writer that died by its name: a node that believes "
         "that there is none reads half a transaction",
         "use Holdfast, or mount with lookupcache=positive"});
  }
}

std::string duration_text(std::chrono::microseconds time) {
  return time.count() < 10'000 ? fmt::format("{:.2f} ms", static_cast<double>(time.count()) / 1e3)
                               : fmt::format("{} ms", time.count() / 1'000);
}

}  // namespace

void judge_node(const NodeFacts& node, std::vector<Finding>& findings) {
  if (!node.fuse_exists) {
    findings.push_back({Severity::kProblem, "fuse", "this node has no /dev/fuse",
                        "nothing can be mounted here",
                        "modprobe fuse; in a container, give it the device"});
  } else if (node.fuse_error != 0) {
    findings.push_back(
        {Severity::kProblem, "fuse",
         fmt::format("/dev/fuse cannot be opened: {}", std::strerror(node.fuse_error)),
         "nothing can be mounted by this user",
         "run as root, or give the user (or the container) the device"});
  } else {
    findings.push_back({Severity::kFine, "fuse", "/dev/fuse can be used", "", ""});
  }
  if (!node.root && !node.fusermount) {
    findings.push_back({Severity::kProblem, "fusermount", "fusermount3 is not installed",
                        "only root can mount here", "install the package fuse3"});
  }
  if (!node.root && !node.user_allow_other) {
    findings.push_back({Severity::kNote, "user_allow_other",
                        "/etc/fuse.conf does not say user_allow_other",
                        "a mount of this user is for this user alone: containers do not see it",
                        "mount as root, or set user_allow_other"});
  }
  if (!node.fusectl) {
    findings.push_back({Severity::kNote, "fusectl", "fusectl is not mounted",
                        "programs may hang for ever on a mount whose process was killed",
                        "mount -t fusectl none /sys/fs/fuse/connections"});
  }
}

void judge_mount(const MountFacts& mount, std::vector<Finding>& findings) {
  if (mount.type == "nfs" || mount.type == "nfs4") return judge_kernel_nfs(mount, findings);
  if (mount.type != "fuse.holdfast") {
    findings.push_back({Severity::kNote, "mount",
                        fmt::format("{} is on {}, not on Holdfast", mount.path, mount.type),
                        "locks are those of that file system: nodes are not kept apart by Holdfast",
                        "name a Holdfast mount, an NFS mount, or SERVER:/EXPORT"});
    return;
  }
  if (mount.trouble) {
    findings.push_back({Severity::kProblem, "mount",
                        fmt::format("{}: {}", mount.path, *mount.trouble),
                        "programs on it wait, or get errors; what fsync acknowledged is safe",
                        "holdfast status says more; the findings below may say why"});
  } else {
    findings.push_back(
        {Severity::kFine, "mount",
         fmt::format("{} is a Holdfast mount of {}, and serves", mount.path, mount.source), "",
         ""});
  }
  if (!options_of(mount.options).contains("allow_other")) {
    findings.push_back({Severity::kNote, "allow_other",
                        fmt::format("{} is for the user who mounted it alone", mount.path),
                        "programs of other users, in containers too, get \"permission denied\"",
                        "mount as root, or with -o allow_other"});
  }
}

void judge_lockd(const LockdFacts& lockd, std::vector<Finding>& findings) {
  const auto problem = [&](std::string what, std::string means, std::string advice) {
    findings.push_back(
        {Severity::kProblem, "lockd", std::move(what), std::move(means), std::move(advice)});
  };
  const std::string where = "lockd at " + cell(lockd.address);
  const std::string waits = "mounts that need it wait; nothing is lost, and nothing goes on";
  if (lockd.refused == LockErrc::kStarting) {
    problem(where + " has just started and waits until earlier leases are over",
            "locks wait for some seconds more", "look again in a minute");
  } else if (lockd.refused == LockErrc::kStandby) {
    problem(where + " is a standby: " + cell(lockd.reason),
            "mounts that name only this address wait until it takes over",
            "name all replicas (-o lockd=A/B), and look why none is active");
  } else if (lockd.refused == LockErrc::kStaleLockd) {
    problem(where + " serves nobody: mounts have seen a later life of it than its store knows",
            waits, "was an old store put back, or does a former lockd still run? see its log");
  } else if (lockd.refused == LockErrc::kVersionMismatch) {
    problem(where + " speaks another version of the protocol: " + cell(lockd.reason), waits,
            "upgrade the older of the two");
  } else if (lockd.refused == LockErrc::kAccessDenied) {
    problem(where + " does not let this node in: " + cell(lockd.reason),
            "mounts that come with this credential are refused; nothing is lost",
            "the CA certificate belongs into /etc/holdfast/ca.pem (or -o tls_ca=FILE), the token "
            "into /etc/holdfast/token (or -o token_file=FILE). Is the credential for one volume "
            "only, ask about its export: holdfast doctor SERVER:/EXPORT");
  } else if (lockd.refused) {
    problem(fmt::format("{} refuses: {}", where,
                        lockd.reason.empty() ? make_error_code(*lockd.refused).message()
                                             : cell(lockd.reason)),
            waits, "see the log of holdfast-lockd");
  } else if (lockd.error != 0) {
    problem(fmt::format("{} cannot be reached: {}", where, lockd.error_text), waits,
            lockd.hint.empty()
                ? "is holdfast-lockd running there, is that its port, and is it open to this node?"
                : lockd.hint);
  } else {
    findings.push_back(
        {Severity::kFine, "lockd",
         fmt::format("{} answers{}, in {}; leases are {} s long", where,
                     lockd.tls ? " over TLS" : "",
                     duration_text(lockd.round_trip.value_or(std::chrono::microseconds(0))),
                     lockd.lease.count() / 1000),
         "", ""});
  }
  if (lockd.round_trip && *lockd.round_trip > kRoundTripSlow) {
    findings.push_back(
        {Severity::kNote, "lockd-rtt",
         fmt::format("a question to lockd takes {}", duration_text(*lockd.round_trip)),
         "a write transaction of SQLite asks it some ten times: expect as many times "
         "that",
         "run lockd nearer to the nodes, or mount with -o cache=tokens"});
  }
}

void judge_pair(const PairFacts& pair, std::vector<Finding>& findings) {
  const std::string where = fmt::format("between {} and {}", pair.one, pair.other);
  if (pair.error != 0) {
    findings.push_back({Severity::kProblem, "pair",
                        fmt::format("nothing can be tried {}: {}", where, pair.error_text),
                        "whether locks hold is not known",
                        "name two directories that may be written"});
    return;
  }
  const std::size_t before = findings.size();
  const auto problem = [&](std::string check, std::string what, std::string means) {
    findings.push_back({Severity::kProblem, std::move(check), std::move(what), std::move(means),
                        "mount both with Holdfast, with the same lockd"});
  };
  if (!pair.fcntl_excludes)
    problem("pair-fcntl", "both had the same fcntl lock at once, " + where,
            "SQLite databases that both use are damaged");
  if (!pair.flock_excludes)
    problem("pair-flock", "both had the same flock at once, " + where,
            "programs that rely on flock write at once");
  if (!pair.sees_new_name || !pair.sees_removed_name)
    problem("pair-names", "a file that one made or removed was not so for the other, " + where,
            "a hot journal is overlooked: SQLite reads half a transaction");
  if (!pair.sees_new_bytes)
    problem("pair-bytes",
            "bytes that one wrote were not there for the other under a lock, " + where,
            "SQLite reads old pages and writes over new ones");
  if (findings.size() == before)
    findings.push_back({Severity::kFine, "pair", "locks, names and bytes hold " + where, "", ""});
}

std::vector<Finding> judge(const Facts& facts) {
  std::vector<Finding> findings;
  judge_node(facts.node, findings);
  if (facts.mount) judge_mount(*facts.mount, findings);
  if (facts.server) judge_export(*facts.server, findings);
  if (facts.lockd) judge_lockd(*facts.lockd, findings);
  if (facts.pair) judge_pair(*facts.pair, findings);
  return findings;
}

bool any_problem(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& one) { return one.severity == Severity::kProblem; });
}

std::string findings_text(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& one : findings) {
    out += fmt::format("{:<8} {:<17} {}\n", name_of(one.severity), one.check, cell(one.what));
    if (!one.means.empty()) out += fmt::format("{:26} means: {}\n", "", cell(one.means));
    if (!one.advice.empty()) out += fmt::format("{:26} do: {}\n", "", cell(one.advice));
  }
  const auto count = [&](Severity severity) {
    return std::count_if(findings.begin(), findings.end(),
                         [&](const Finding& one) { return one.severity == severity; });
  };
  return out +
         fmt::format("{} problems, {} notes\n", count(Severity::kProblem), count(Severity::kNote));
}

std::string findings_json(const std::vector<Finding>& findings) {
  std::string all;
  for (const Finding& one : findings) {
    all += fmt::format(R"({}{{"severity":"{}","check":"{}","what":{},"means":{},"do":{}}})",
                       all.empty() ? "" : ",", name_of(one.severity), one.check,
                       json_string(one.what), json_string(one.means), json_string(one.advice));
  }
  return fmt::format("{{\"problem\":{},\"findings\":[{}]}}\n", any_problem(findings), all);
}

}  // namespace holdfast::cli
