#include "cli/torture/report.h"

#include "holdfast/base/json.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast::torture {

bool RunReport::passed() const {
  return std::all_of(modes.begin(), modes.end(),
                     [](const ModeResult& mode) { return mode.violations.empty(); });
}

std::string meaning_of(const std::string& mode) {
  if (mode == "semantics")
    return "a lock call answered differently from a local filesystem. Programs that rely on the "
           "usual rules (close drops locks, EAGAIN, EDEADLK, F_GETLK) may hang, fail, or believe "
           "they are alone when they are not";
  if (mode == "exclusion")
    return "two programs held one exclusive lock at once, or a write made under a lock was lost. "
           "Anything kept safe by file locks (SQLite, mail spools, build caches) will be damaged "
           "here sooner or later. Do not keep shared databases on these directories";
  if (mode == "bank")
    return "SQLite acknowledged commits that are gone or doubled, showed half a transaction, or "
           "the database file is damaged. Databases used through these directories lose data";
  if (mode == "hotjournal")
    return "after a program died in mid-commit the next one did not restore the last committed "
           "state. A crash of one program can damage the database for all";
  if (mode == "coherence")
    return "a program saw an older state than another one had left, though that was done before. "
           "NFS alone does not promise more; programs that take locks, or open a file anew, may "
           "still be right";
  return "a WAL database was damaged, or acknowledged rows are gone, when it was used through "
         "more than one of these directories. Use a rollback journal mode or one mount only";
}

namespace {
std::string indent(const std::string& text, const std::string& by) {
  std::string out;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const auto end = std::min(text.find('\n', begin), text.size());
    out += by + text.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return out;
}

std::uint64_t total(const ModeResult& mode) {
  return mode.violations.size() + mode.violations_dropped;
}

std::string violations_text(const ModeResult& mode) {
  std::string out = fmt::format("\n{}: {} violation{}\n  This means: {}.\n", mode.mode, total(mode),
                                total(mode) == 1 ? "" : "s", meaning_of(mode.mode));
  // Thousands of one kind must not hide the one of another: each kind once, in order of appearance.
  std::vector<std::pair<const Violation*, std::size_t>> kinds;
  for (const auto& violation : mode.violations) {
    const auto it = std::find_if(kinds.begin(), kinds.end(), [&](const auto& kind) {
      return kind.first->what == violation.what;
    });
    if (it == kinds.end())
      kinds.emplace_back(&violation, 1);
    else
      ++it->second;
  }
  // A wrong state says more than the error that some call met on the way.
  std::stable_partition(kinds.begin(), kinds.end(), [](const auto& kind) {
    return kind.first->what.find("failed") == std::string::npos;
  });
  for (std::size_t i = 0; i < std::min(kinds.size(), kKindsShown); ++i) {
    const auto& [violation, count] = kinds[i];
    out += fmt::format("  {}. {}{}\n", i + 1, violation->what,
                       count > 1 ? fmt::format(" ({} times)", count) : "");
    if (!violation->where.empty()) out += fmt::format("     where: {}\n", violation->where);
    out += indent(violation->evidence, "     ");
  }
  if (kinds.size() > kKindsShown)
    out += fmt::format("  … and {} more kinds\n", kinds.size() - kKindsShown);
  if (mode.violations_dropped > 0)
    out += fmt::format("  … and {} more, not kept\n", mode.violations_dropped);
  return out;
}
}  // namespace

std::string to_text(const RunReport& report) {
  std::string out =
      fmt::format("{:<12}{:>12}{:>10}{:>12}\n", "mode", "operations", "faults", "violations");
  for (const auto& mode : report.modes)
    out += fmt::format("{:<12}{:>12}{:>10}{:>12}\n", mode.mode, mode.ops, mode.faults, total(mode));
  for (const auto& mode : report.modes)
    for (const auto& note : mode.notes)
      out += fmt::format("note ({}): {}\n", mode.mode, note);
  for (const auto& mode : report.modes)
    if (!mode.violations.empty()) out += violations_text(mode);
  if (!report.evidence_dir.empty()) out += fmt::format("\nevidence: {}\n", report.evidence_dir);
  std::string dirs;
  for (const auto& dir : report.options.dirs)
    dirs += " " + dir;
  out += fmt::format("replay: {}\n{}: {} (seed {})\n", report.replay,
                     report.passed() ? "PASS" : "FAIL", dirs.empty() ? "" : dirs.substr(1),
                     report.options.seed);
  return out;
}

std::string to_json(const RunReport& report) {
  std::string out = fmt::format("{{\"verdict\":\"{}\",\"seed\":{},\"dirs\":[",
                                report.passed() ? "PASS" : "FAIL", report.options.seed);
  for (std::size_t i = 0; i < report.options.dirs.size(); ++i)
    out += (i ? "," : "") + json_string(report.options.dirs[i]);
  out += "],\"modes\":[";
  for (std::size_t i = 0; i < report.modes.size(); ++i) {
    const auto& mode = report.modes[i];
    out += fmt::format(
        "{}{{\"mode\":{},\"operations\":{},\"faults\":{},\"violations_total\":{},"
        "\"violations\":[",
        i ? "," : "", json_string(mode.mode), mode.ops, mode.faults, total(mode));
    for (std::size_t k = 0; k < mode.violations.size(); ++k)
      out +=
          fmt::format("{}{{\"what\":{},\"where\":{},\"evidence\":{}}}", k ? "," : "",
                      json_string(mode.violations[k].what), json_string(mode.violations[k].where),
                      json_string(mode.violations[k].evidence));
    out += "],\"notes\":[";
    for (std::size_t k = 0; k < mode.notes.size(); ++k)
      out += (k ? "," : "") + json_string(mode.notes[k]);
    out += "]}";
  }
  return out + fmt::format("],\"evidence\":{},\"replay\":{}}}\n", json_string(report.evidence_dir),
                           json_string(report.replay));
}

}  // namespace holdfast::torture
