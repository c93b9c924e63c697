#include "tests/sim/store_model.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace holdfast::sim {

Duration StoreModel::delay() {
  if (slow_ > 0) return world_.rng.between(milliseconds(200), seconds(3));
  return world_.rng.between(microseconds(100), milliseconds(3));
}

void StoreModel::open(std::size_t lockd, Process& process, milliseconds lease_ttl,
                      std::uint64_t wall_seconds, std::function<void(std::optional<Opened>)> then) {
  struct Ask {
    std::size_t lockd;
    milliseconds lease_ttl;
    std::uint64_t wall_seconds;
    std::function<void(std::optional<Opened>)> then;
  };
  auto ask = std::make_unique<Ask>(Ask{lockd, lease_ttl, wall_seconds, std::move(then)});
  world_.in(delay(), &process, [this, &process, ask = std::move(ask)]() mutable {
    if (cut_[ask->lockd] > 0) return ask->then(std::nullopt);
    if (replicated_) {
      if (leader_ && leader_->until > world_.now() && leader_->lockd != ask->lockd)
        return ask->then(std::nullopt);
      leader_ = Leader{ask->lockd, ++last_lease_, world_.now() + leader_ttl_};
    }
    Opened opened;
    opened.lease = last_lease_;
    opened.recovered.empty = empty_;
    opened.recovered.lease_ttl_max = std::max(lease_ttl_max_, ask->lease_ttl);
    for (const auto& [id, record] : sessions_)
      opened.recovered.sessions.push_back(record);
    epoch_ = Epoch{std::max(epoch_.value + 1, ask->wall_seconds)};
    opened.recovered.epoch = epoch_;
    lease_ttl_max_ = opened.recovered.lease_ttl_max;
    served_ttl_ = ask->lease_ttl;
    world_.in(delay(), &process,
              [then = std::move(ask->then), opened = std::make_unique<Opened>(std::move(opened))] {
                then(std::move(*opened));
              });
  });
}

void StoreModel::write(std::size_t lockd, std::uint64_t lease, Process& process,
                       const lockd::StoreChanges& changes, std::function<void(Outcome)> then) {
  const std::uint64_t ticket = ++last_ticket_;
  on_its_way_.emplace(ticket, Writing{lockd, changes});
  world_.in(delay(), nullptr, [this, ticket, lockd, lease, &process, then = std::move(then)] {
    arrive(ticket, lockd, lease, process, then);
  });
}

void StoreModel::arrive(std::uint64_t ticket, std::size_t lockd, std::uint64_t lease,
                        Process& process, std::function<void(Outcome)> then) {
  const auto found = on_its_way_.find(ticket);
  if (found == on_its_way_.end()) return;  // settled by a crash
  const Writing writing = std::move(found->second);
  on_its_way_.erase(found);
  const bool springs = trap_ && --trap_->left == 0;
  Trap trap;
  if (springs) trap = *std::exchange(trap_, std::nullopt);
  if (springs && !trap.after) return trap.crash(lockd);
  Outcome outcome = Outcome::kDurable;
  const bool fails = failing_ > 0 || cut_[lockd] > 0;
  if (failing_ > 0) --failing_;
  if (replicated_ && !(leads(lockd) && leader_->lease == lease)) {
    outcome = Outcome::kNotLeader;
  } else if (fails) {
    outcome = Outcome::kFailed;
    if (cut_[lockd] == 0 && world_.rng.chance(0.5)) apply(writing.changes);
  } else {
    apply(writing.changes);
  }
  if (springs) return trap.crash(lockd);
  world_.in(microseconds(20), &process, [then = std::move(then), outcome] { then(outcome); });
}

void StoreModel::keep_alive(std::size_t lockd, std::uint64_t lease, Process& process,
                            std::function<void(bool)> then) {
  world_.in(delay(), nullptr, [this, lockd, lease, &process, then = std::move(then)]() mutable {
    if (cut_[lockd] > 0) return;  // no answer
    const bool ours = leads(lockd) && leader_->lease == lease;
    if (ours) leader_->until = world_.now() + leader_ttl_;
    world_.in(delay(), &process, [then = std::move(then), ours] { then(ours); });
  });
}

void StoreModel::crashed(std::size_t lockd) {
  for (auto it = on_its_way_.begin(); it != on_its_way_.end();) {
    if (it->second.lockd != lockd) {
      ++it;
      continue;
    }
    if ((!replicated_ || leads(lockd)) && world_.rng.chance(0.5)) apply(it->second.changes);
    it = on_its_way_.erase(it);
  }
}

void StoreModel::erase() {
  sessions_.clear();
  epoch_ = {};
  lease_ttl_max_ = milliseconds(0);
  empty_ = true;
  ++erased_;
}

void StoreModel::at_write(std::uint64_t n, bool after, std::function<void(std::size_t)> crash) {
  trap_ = Trap{std::max<std::uint64_t>(n, 1), after, std::move(crash)};
}

void StoreModel::apply(const lockd::StoreChanges& changes) {
  struct Visitor {
    std::map<SessionId, lockd::SessionRecord>& sessions;
    void operator()(const lockd::PutSession& change) const {
      auto& record = sessions[change.record.session];
      auto losses = std::move(record.losses);
      record = change.record;
      record.losses = std::move(losses);
    }
    void operator()(const lockd::EndSessionRecord& change) const {
      const auto at = sessions.find(change.session);
      if (at != sessions.end()) at->second.ended = true;
    }
    void operator()(const lockd::DropSession& change) const { sessions.erase(change.session); }
    void operator()(const lockd::PutLoss& change) const {
      const auto at = sessions.find(change.session);
      if (at == sessions.end()) return;
      auto& losses = at->second.losses;
      const bool known = std::any_of(losses.begin(), losses.end(), [&](const FileLoss& loss) {
        return loss.number == change.loss.number;
      });
      if (!known) losses.push_back(change.loss);
    }
    void operator()(const lockd::Settled&) const {}
    void operator()(const lockd::DropLosses& change) const {
      const auto at = sessions.find(change.session);
      if (at == sessions.end()) return;
      std::erase_if(at->second.losses,
                    [&](const FileLoss& loss) { return loss.number <= change.upto; });
    }
  };
  for (const auto& change : changes) {
    if (std::holds_alternative<lockd::Settled>(change)) {
      empty_ = false;
      lease_ttl_max_ = served_ttl_;
    }
    std::visit(Visitor{sessions_}, change);
    if (const auto* put = std::get_if<lockd::PutSession>(&change)) recorded(put->record);
  }
}

}  // namespace holdfast::sim
