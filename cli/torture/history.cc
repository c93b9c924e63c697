#include "cli/torture/history.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

namespace holdfast::torture {
namespace {

struct Hold {
  Record granted;
  std::uint64_t end_ns;
};

const char* name_of(Event event) {
  switch (event) {
    case Event::kWant:
      return "want";
    case Event::kGranted:
      return "granted";
    case Event::kIntent:
      return "intent";
    case Event::kUnlocking:
      return "unlocking";
    case Event::kAcked:
      return "acked";
    case Event::kGaveUp:
      return "gave up";
  }
  return "?";
}

std::string name_at(std::span<const std::string> names, std::uint16_t resource) {
  return resource < names.size() ? names[resource] : fmt::format("resource {}", resource);
}

/// Holds by resource, each list sorted by the time of the grant.
std::map<std::uint16_t, std::vector<Hold>> holds_of(std::span<const Record> history) {
  std::unordered_map<std::uint32_t, std::uint64_t> last_seen;
  for (const auto& record : history)
    last_seen[record.worker] = std::max(last_seen[record.worker], record.ns);
  std::map<std::uint16_t, std::vector<Hold>> holds;
  std::map<std::pair<std::uint32_t, std::uint16_t>, Record> open;
  for (const auto& record : history) {
    const auto key = std::pair(record.worker, record.resource);
    if (record.event == Event::kGranted) open[key] = record;
    if (record.event == Event::kGaveUp) open.erase(key);
    if (record.event != Event::kUnlocking) continue;
    const auto it = open.find(key);
    if (it == open.end()) continue;
    holds[record.resource].push_back({it->second, record.ns});
    open.erase(it);
  }
  for (const auto& [key, granted] : open)
    holds[key.second].push_back({granted, last_seen[key.first]});
  for (auto& [resource, list] : holds)
    std::sort(list.begin(), list.end(),
              [](const Hold& a, const Hold& b) { return a.granted.ns < b.granted.ns; });
  return holds;
}

Violation overlap(const Hold& first, const Hold& second, const std::string& name) {
  const auto shown = [](const Hold& hold) {
    return fmt::format("worker {} held it {} from {} to {} ns", hold.granted.worker,
                       hold.granted.access == Access::kExclusive ? "exclusively" : "shared",
                       hold.granted.ns, hold.end_ns);
  };
  return {"two holders of one lock at the same time", name,
          fmt::format("{}\n{}\noverlap: {} us", shown(first), shown(second),
                      (std::min(first.end_ns, second.end_ns) - second.granted.ns) / 1000)};
}

}  // namespace

std::string describe(const Record& record) {
  return fmt::format("{} worker={} resource={} {} value={}", record.ns, record.worker,
                     record.resource, name_of(record.event), record.value);
}

std::vector<Violation> find_overlaps(std::span<const Record> history,
                                     std::span<const std::string> resource_names) {
  std::vector<Violation> found;
  for (const auto& [resource, list] : holds_of(history)) {
    // The latest-ending hold so far, of any kind and of the exclusive kind, is all a newcomer has
    // to be compared with.
    std::optional<Hold> any;
    std::optional<Hold> exclusive;
    for (const auto& hold : list) {
      const bool excludes = hold.granted.access == Access::kExclusive;
      const auto& rival = excludes ? any : exclusive;
      if (rival && rival->end_ns > hold.granted.ns && found.size() < kViolationsKept)
        found.push_back(overlap(*rival, hold, name_at(resource_names, resource)));
      if (!any || hold.end_ns > any->end_ns) any = hold;
      if (excludes && (!exclusive || hold.end_ns > exclusive->end_ns)) exclusive = hold;
    }
  }
  return found;
}

std::vector<Violation> judge_counter(std::span<const Record> history, std::uint16_t resource,
                                     const std::string& name, std::uint64_t initial,
                                     std::uint64_t final) {
  std::vector<Violation> found;
  std::unordered_map<std::uint64_t, Record> acked;
  std::uint64_t intents = 0;
  std::uint64_t acks = 0;
  for (const auto& record : history) {
    if (record.resource != resource) continue;
    if (record.event == Event::kIntent) ++intents;
    if (record.event != Event::kAcked) continue;
    ++acks;
    const auto [it, fresh] = acked.try_emplace(record.value, record);
    if (!fresh && found.size() < kViolationsKept)
      found.push_back({"lost update: two increments made the same value", name,
                       describe(it->second) + "\n" + describe(record)});
    if (record.value > final && found.size() < kViolationsKept)
      found.push_back({"lost acknowledged increment: the final value is older", name,
                       fmt::format("{}\nfinal value {}", describe(record), final)});
  }
  const auto unknown = intents - std::min(intents, acks);
  const auto done = final - std::min(final, initial);
  if (done < acks || done > acks + unknown)
    found.push_back(
        {done < acks ? "acknowledged increments are missing" : "more increments than anybody made",
         name, fmt::format("acknowledged {}, outcome unknown {}, found {}", acks, unknown, done)});
  return found;
}

std::vector<Violation> judge_ledger(std::span<const Record> history,
                                    std::span<const std::uint64_t> present,
                                    const std::string& where) {
  std::vector<Violation> found;
  std::unordered_set<std::uint64_t> intended;
  std::unordered_map<std::uint64_t, Record> acked;
  for (const auto& record : history) {
    if (record.event == Event::kIntent) intended.insert(record.value);
    if (record.event == Event::kAcked) acked.emplace(record.value, record);
  }
  std::unordered_set<std::uint64_t> seen;
  const auto add = [&](std::string what, std::string evidence) {
    if (found.size() < kViolationsKept)
      found.push_back({std::move(what), where, std::move(evidence)});
  };
  for (const auto id : present) {
    if (!seen.insert(id).second)
      add("a transaction is in the ledger twice", fmt::format("id {:#x}", id));
    else if (!intended.contains(id))
      add("a transaction nobody made is in the ledger", fmt::format("id {:#x}", id));
  }
  for (const auto& [id, record] : acked)
    if (!seen.contains(id))
      add("an acknowledged transaction is lost", fmt::format("id {:#x}\n{}", id, describe(record)));
  return found;
}

}  // namespace holdfast::torture
