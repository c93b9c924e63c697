#include "cli/events/teller.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

constexpr std::size_t kPodInNameMax = 200;  // Kubernetes: 253 for the whole name

// FNV-1a.
std::uint64_t hash(std::string_view text, std::uint64_t seed) {
  std::uint64_t value = 0xcbf29ce484222325 ^ seed;
  for (const char c : text)
    value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return value;
}

std::string name_for(const Wait& wait, std::uint64_t salt) {
  const std::uint64_t number =
      hash(fmt::format("{}/{}/{}", wait.key.connection, wait.key.pod_uid, wait.key.fileid), salt);
  return fmt::format("{}.{:016x}", wait.pod.name.substr(0, kPodInNameMax), number);
}

}  // namespace

std::vector<Wait> Teller::due(const std::vector<Wait>& waits, const std::set<std::string>& silent,
                              Instant now) {
  std::set<WaitKey> present;
  for (const Wait& wait : waits)
    present.insert(wait.key);
  std::erase_if(entries_, [&](const auto& entry) {
    return !present.contains(entry.first) && !silent.contains(entry.first.connection);
  });
  std::vector<Wait> out;
  if (now < paused_until_) return out;
  while (!sent_.empty() && now - sent_.front() >= std::chrono::minutes(1))
    sent_.pop_front();
  const std::size_t room = kPerMinuteMax - std::min(kPerMinuteMax, sent_.size());
  for (const Wait& wait : waits) {
    if (out.size() == room) break;
    const auto known = entries_.find(wait.key);
    if (known == entries_.end() ? entries_.size() >= kWaitsMax : now < known->second.next) continue;
    if (known == entries_.end()) entries_.emplace(wait.key, Entry{});
    out.push_back(wait);
  }
  return out;
}

Order Teller::order(const Wait& wait, Told told, std::uint64_t salt) {
  Entry& entry = entries_[wait.key];
  const bool others = entry.count > 0 && entry.behind != told.behind;
  if (entry.name.empty() || others) {
    entry.name = name_for(wait, salt);
    entry.count = 0;
  }
  return {.key = wait.key,
          .name = entry.name,
          .pod = wait.pod,
          .told = std::move(told),
          .count = entry.count + 1};
}

void Teller::done(const Order& order, Outcome outcome, Instant now) {
  sent_.push_back(now);
  const auto known = entries_.find(order.key);
  if (outcome == Outcome::kFailed) {
    pause_ = std::clamp<Duration>(2 * pause_, kPauseMin, kPauseMax);
    paused_until_ = now + pause_;
    return;
  }
  pause_ = {};
  if (known == entries_.end()) return;
  Entry& entry = known->second;
  switch (outcome) {
    case Outcome::kDone:
      entry.count = order.count;
      entry.behind = order.told.behind;
      entry.interval = std::clamp<Duration>(2 * entry.interval, kAgainMin, kAgainMax);
      entry.next = now + entry.interval;
      break;
    case Outcome::kGone:
      entry = Entry{};
      break;
    case Outcome::kRefused:
      entry = Entry{};
      entry.next = now + kAgainMax;
      break;
    case Outcome::kFailed:
      break;
  }
}

}  // namespace holdfast::cli
