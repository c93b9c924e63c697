#include "lockd/store/contents.h"

#include <algorithm>
#include <utility>

namespace holdfast::lockd {
namespace {

struct Apply {
  Contents& contents;
  std::chrono::milliseconds lease_ttl;

  void operator()(const PutSession& change) const {
    SessionRecord& kept = contents.sessions[change.record.session];
    auto losses = std::move(kept.losses);
    kept = change.record;
    kept.losses = std::move(losses);
  }
  void operator()(const EndSessionRecord& change) const {
    if (auto* kept = find(change.session)) kept->ended = true;
  }
  void operator()(const DropSession& change) const { contents.sessions.erase(change.session); }
  void operator()(const PutLoss& change) const {
    auto* kept = find(change.session);
    if (kept == nullptr) return;
    const auto at = std::lower_bound(
        kept->losses.begin(), kept->losses.end(), change.loss.number,
        [](const FileLoss& loss, LossNumber number) { return loss.number < number; });
    if (at != kept->losses.end() && at->number == change.loss.number) {
      *at = change.loss;
    } else {
      kept->losses.insert(at, change.loss);
    }
  }
  void operator()(const DropLosses& change) const {
    if (auto* kept = find(change.session)) {
      std::erase_if(kept->losses, [&](const FileLoss& loss) { return loss.number <= change.upto; });
    }
  }
  void operator()(const Settled&) const {
    contents.empty = false;
    contents.lease_ttl_max = lease_ttl;
  }

 private:
  [[nodiscard]] SessionRecord* find(SessionId session) const {
    const auto found = contents.sessions.find(session);
    return found == contents.sessions.end() ? nullptr : &found->second;
  }
};

}  // namespace

void Contents::apply(const StoreChange& change, std::chrono::milliseconds lease_ttl) {
  std::visit(Apply{*this, lease_ttl}, change);
}

void Contents::begin_life(std::uint64_t wall_seconds, std::chrono::milliseconds lease_ttl) {
  const bool is_new = empty && epoch.value == 0;
  before = is_new ? std::nullopt : std::optional(epoch);
  epoch = {std::max(epoch.value + 1, wall_seconds)};
  lease_ttl_max = std::max(lease_ttl_max, lease_ttl);
}

Recovered Contents::recovered() const {
  Recovered out;
  out.epoch = epoch;
  out.before = before;
  out.empty = empty;
  out.lease_ttl_max = lease_ttl_max;
  for (const auto& [id, record] : sessions)
    out.sessions.push_back(record);
  return out;
}

}  // namespace holdfast::lockd
