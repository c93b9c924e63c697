#include "tests/sim/cluster.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

/// Clocks that run apart by no more than the lease arithmetic allows for (1 %).
constexpr double kDriftMax = 0.0049;
constexpr Duration kOriginMax = std::chrono::hours(1'000);
constexpr std::uint64_t kProgress = 2;

}  // namespace

Cluster::Cluster(const Scenario& scenario, bool tracing)
    : scenario_(scenario),
      world_(scenario.seed),
      network_(world_, scenario.mounts, scenario.lockds, scenario.latency),
      judge_(world_, scenario.total_files(), scenario.mounts, scenario.tokens),
      freshness_(world_, scenario.total_files()),
      tokens_(world_, scenario.total_files(), judge_, freshness_),
      storage_(world_, network_, scenario.total_files(), scenario.write_life,
               scenario.options.storage_delay, scenario.late_write,
               [this](const WriteStamp& stamp) {
                 judge_.write_takes_effect(stamp);
                 freshness_.arrived(stamp.lane.file, stamp.counter, stamp.serial);
               }),
      store_(world_, scenario.lockds, scenario.leader_ttl) {
  world_.tracing = tracing;
  store_.recorded = [this](const lockd::SessionRecord& record) {
    judge_.recorded(record.session, record.quiet);
  };
  const auto clock = [this] {
    return NodeClock(world_.rng.between(std::chrono::hours(1), kOriginMax),
                     world_.rng.real(-kDriftMax, kDriftMax));
  };
  for (std::size_t i = 0; i < scenario_.lockds; ++i)
    lockds_.push_back(std::make_unique<LockdNode>(world_, scenario_, i, network_, store_, storage_,
                                                  judge_, tokens_, clock()));
  for (std::size_t i = 0; i < scenario_.mounts; ++i)
    mounts_.push_back(std::make_unique<MountNode>(world_, scenario_, i, network_, storage_, judge_,
                                                  tokens_, freshness_, clock()));
  judge_.entitled = [this](std::size_t mount) { return mounts_[mount]->entitled(); };
  if (!scenario_.tokens) return;
  storage_.fresh_files_from(scenario_.files + scenario_.directories);
  const auto mode = [this](std::size_t mount, const FileKey& file) {
    return mounts_[mount]->mode(file);
  };
  tokens_.believed = mode;
  judge_.decides = [mode](std::size_t mount, std::size_t file) {
    const TokenMode held = mode(mount, key_of(file));
    return held == TokenMode::kRead || held == TokenMode::kExclusive;
  };
  judge_.has_tokens = [this](SessionId session) { return tokens_.holds_anything(session); };
  judge_.may_have_decided = [this](SessionId session, std::size_t file, LockMode lock) {
    const TokenMode held = tokens_.held(session, key_of(file));
    return held == TokenMode::kExclusive || (held == TokenMode::kRead && lock == LockMode::kShared);
  };
}

Result Cluster::run() {
  for (auto& lockd : lockds_)
    lockd->start();
  for (auto& mount : mounts_)
    mount->start();
  for (const Fault& fault : scenario_.faults)
    world_.at(fault.at, nullptr, [this, fault = &fault] { inject(*fault); });
  look_at_waits();
  while (world_.step(scenario_.chaos_until)) {
  }
  if (!world_.violated()) come_to_rest();
  return result();
}

Result Cluster::so_far(const std::string& assertion) {
  world_.violation("assertion", assertion);
  return result();
}

Result Cluster::result() const {
  Result result;
  result.violation = world_.violated();
  result.lock_operations = world_.lock_operations;
  result.storage_operations = world_.storage_operations;
  result.events = world_.events;
  result.residual = judge_.residual;
  result.virtual_time = world_.now();
  result.faults = injected_;
  result.trace = world_.trace();
  return result;
}

std::size_t Cluster::leader() const {
  for (std::size_t i = 0; i < lockds_.size(); ++i)
    if (lockds_[i]->serving()) return i;
  return 0;
}

void Cluster::until(Duration delay, void (Cluster::*end)(std::size_t), std::size_t target) {
  world_.in(delay, nullptr, [this, end, target] { (this->*end)(target); });
}

void Cluster::thaw_mount(std::size_t mount) {
  mounts_[mount]->thawed();
  world_.thaw(*mounts_[mount]);
}

// ---- Faults

void Cluster::inject(const Fault& fault) {
  ++injected_[static_cast<std::size_t>(fault.kind)];
  world_.disturbed(fault.duration);
  world_.note("FAULT {} target {} for {} ms", name(fault.kind), fault.target,
              std::chrono::duration_cast<milliseconds>(fault.duration).count());
  if (fault.kind <= FaultKind::kInterrupt || fault.kind == FaultKind::kMachinePause)
    return inject_on_mount(fault);
  if (fault.kind <= FaultKind::kCrashEverything || fault.kind == FaultKind::kWallClock ||
      fault.kind == FaultKind::kBreakSession)
    return inject_on_lockd(fault);
  inject_on_storage(fault);
}

void Cluster::inject_on_mount(const Fault& fault) {
  const std::size_t i = fault.target % mounts_.size();
  MountNode& mount = *mounts_[i];
  const auto partition = [this, i, &fault](bool up, bool down) {
    network_.block(i, up, down, true);
    world_.in(fault.duration, nullptr, [this, i, up, down] { network_.block(i, up, down, false); });
  };
  switch (fault.kind) {
    case FaultKind::kCutConnection:
      return network_.cut(i);
    case FaultKind::kCutAtMessage:
      return network_.cut_after(i, 1 + fault.number % 20);
    case FaultKind::kPartition:
      return partition(true, true);
    case FaultKind::kPartitionOneWay:
      return partition(fault.number % 2 == 0, fault.number % 2 != 0);
    case FaultKind::kPartitionStorage:
      network_.block_storage(i, true);
      world_.in(fault.duration, nullptr, [this, i] { network_.block_storage(i, false); });
      return;
    case FaultKind::kSlowNetwork:
      network_.slow(true);
      world_.in(fault.duration / 4, nullptr, [this] { network_.slow(false); });
      return;
    case FaultKind::kMachinePause:
      judge_.paused_machines.insert(i);
      storage_.stop_kernel(i, true);
      world_.in(fault.duration, nullptr, [this, i] { storage_.stop_kernel(i, false); });
      [[fallthrough]];
    case FaultKind::kFreezeMount:
      world_.freeze(mount);
      return until(fault.duration, &Cluster::thaw_mount, i);
    case FaultKind::kCrashMount:
      mount.crash();
      return until(fault.duration, &Cluster::start_mount, i);
    case FaultKind::kKillApplication:
      return mount.kill_application(fault.number);
    default:
      return mount.interrupt_some();
  }
}

void Cluster::inject_on_lockd(const Fault& fault) {
  const std::size_t i = fault.number % 4 == 0 ? fault.target % lockds_.size() : leader();
  LockdNode& lockd = *lockds_[i];
  const Duration down = fault.duration / 3;
  switch (fault.kind) {
    case FaultKind::kCrashLockd:
      lockd.crash();
      return until(down, &Cluster::start_lockd, i);
    case FaultKind::kCrashLockdAtEffect:
      lockd.crash_at_effect(1 + fault.number % 200);
      // It crashes when it comes to that; the start is late enough to find it dead, or too early.
      return until(down + seconds(1), &Cluster::start_lockd, i);
    case FaultKind::kCrashLockdAtWrite:
      store_.at_write(1 + fault.number % 4, fault.number % 8 < 4, [this, down](std::size_t writer) {
        lockds_[writer]->crash();
        until(down, &Cluster::start_lockd, writer);
      });
      return;
    case FaultKind::kStopLockd:
      lockd.stop();
      return until(down, &Cluster::start_lockd, i);
    case FaultKind::kFreezeLockd:
      if (fault.number % 2 == 0)
        return lockd.freeze_at_effect(1 + fault.number % 50, fault.duration);
      world_.freeze(lockd);
      world_.in(fault.duration, nullptr, [this, i] { world_.thaw(*lockds_[i]); });
      return;
    case FaultKind::kCrashEverything:
      for (std::size_t m = 0; m < mounts_.size(); ++m) {
        mounts_[m]->crash();
        until(down + world_.rng.up_to(seconds(1)), &Cluster::start_mount, m);
      }
      for (std::size_t l = 0; l < lockds_.size(); ++l) {
        lockds_[l]->crash();
        until(down + world_.rng.up_to(seconds(1)), &Cluster::start_lockd, l);
      }
      return restart_storage(down);
    case FaultKind::kBreakSession:
      return lockd.break_session(fault.number, fault.number % 2 == 0);
    default:
      return lockd.wall_jump(static_cast<std::int64_t>(fault.number % 3'600));
  }
}

void Cluster::inject_on_storage(const Fault& fault) {
  const std::size_t i = leader();
  switch (fault.kind) {
    case FaultKind::kStoreFails:
      return store_.fail_next(1 + fault.number % 5);
    case FaultKind::kStoreSlow:
      store_.slow(true);
      world_.in(fault.duration / 2, nullptr, [this] { store_.slow(false); });
      return;
    case FaultKind::kStoreDeleted:
      if (store_.replicated()) return;
      lockds_[0]->crash();
      store_.erase();
      judge_.store_erased();
      return until(fault.duration / 3, &Cluster::start_lockd, 0);
    case FaultKind::kCutLeader:
      store_.cut(i, true);
      world_.in(fault.duration, nullptr, [this, i] { store_.cut(i, false); });
      return;
    default:
      return restart_storage(fault.duration / 4);
  }
}

void Cluster::restart_storage(Duration down) {
  storage_.restart(down);
  freshness_.storage_restarted();
}

// ---- Answers

// What is lost with a connection must be said again, by whoever is there next: whoever waits while
// nothing is out of order gets an answer, at the latest when the dead are fenced.
Duration Cluster::answered_within() const {
  const auto& options = scenario_.options;
  const bool by_command_only =
      options.fence.size() == 1 && options.fence.front() == lockd::FenceStep::kCommand;
  const Duration fence = by_command_only  // it fails now and then, and is tried again
                             ? options.fence_retry * 20
                             : Duration(scenario_.write_life + options.storage_delay);
  return 2 * Duration(options.lease_ttl) + fence + seconds(20);
}

void Cluster::look_at_waits() {
  if (resting_) return;
  const auto serves = [](const auto& lockd) { return lockd->serving() && !lockd->frozen(); };
  if (std::none_of(lockds_.begin(), lockds_.end(), serves)) world_.disturbed({});
  for (const auto& mount : mounts_) {
    if (!mount->alive()) continue;
    const Time since = std::max(mount->waits_since(), world_.calm_from());
    if (world_.now() - since > answered_within())
      world_.violation("liveness", "waits for too long: " + mount->stuck());
  }
  world_.in(milliseconds(500), nullptr, [this] { look_at_waits(); });
}

// ---- The end

bool Cluster::wait_for(Duration at_most, const std::function<bool()>& done) {
  const Time until = world_.now() + at_most;
  while (world_.now() < until && !world_.violated()) {
    if (done()) return true;
    const Time look = world_.now() + milliseconds(100);
    world_.at(look, nullptr, [] {});  // time passes also when nothing happens
    while (world_.step(look)) {
    }
  }
  return !world_.violated() && done();
}

void Cluster::heal() {
  // Faults end by themselves.
  Time healed = world_.now();
  for (const Fault& fault : scenario_.faults)
    healed = std::max(healed, fault.at + fault.duration + seconds(2));
  while (world_.step(healed)) {
  }
  // But for those that wait for an effect or a write which has not come yet.
  store_.fail_next(0);
  store_.disarm();
  for (auto& lockd : lockds_) {
    lockd->disarm();
    lockd->start();
  }
  for (auto& mount : mounts_)
    mount->start();
  world_.note("HEALED");
}

bool Cluster::all_finish(void (MountNode::*what)(), Duration bound) {
  for (auto& mount : mounts_)
    (mount.get()->*what)();
  const auto finished = [this] {
    return std::all_of(mounts_.begin(), mounts_.end(),
                       [](const auto& mount) { return mount->finished(); });
  };
  if (wait_for(bound, finished)) return true;
  for (const auto& mount : mounts_)
    if (!mount->finished())
      world_.violation("liveness", "does not come to its end: " + mount->stuck());
  return false;
}

void Cluster::come_to_rest() {
  heal();
  for (auto& mount : mounts_)
    mount->count_from_here();
  const Duration ttl = scenario_.options.lease_ttl;
  // Restart, grace, fence (and its retries), back-off.
  const Duration bound = ttl * 4 + Duration(scenario_.write_life) * 2 + seconds(60);
  const auto progressed = [this] {
    return std::all_of(mounts_.begin(), mounts_.end(),
                       [](const auto& mount) { return mount->fewest_done() >= kProgress; });
  };
  if (!wait_for(bound, progressed)) {
    for (const auto& mount : mounts_)
      if (mount->fewest_done() < kProgress)
        world_.violation("liveness", "after all faults ended: " + mount->stuck());
    return;
  }
  if (!all_finish(&MountNode::finish, bound)) return;
  resting_ = true;  // locks that are kept from here on let others wait
  if (!all_finish(&MountNode::hold, bound)) return;
  // Sessions of the dead run out.
  const Time rest = world_.now() + ttl * 3 + seconds(10);
  while (world_.step(rest)) {
  }
  if (!world_.violated()) check_rest();
}

void Cluster::check_rest() {
  std::map<SessionId, std::size_t> sessions;
  for (const auto& mount : mounts_)
    if (mount->session()) sessions[*mount->session()] = mount->index();
  LockdNode* serving = nullptr;
  for (const auto& lockd : lockds_)
    if (lockd->serving()) serving = lockd.get();
  if (serving == nullptr) return world_.violation("liveness", "no lockd serves");
  serving->core()->check_invariants();
  auto list = serving->core()->list_locks(serving->now(), 100'000);
  // Of a mount that died nobody may ever want anything: that is courtesy, not a leak.
  std::erase_if(list.locks, [&](const LockInfo& lock) {
    return lock.state == LockState::kHeld && !sessions.contains(lock.session);
  });
  judge_.check_leaks(list, sessions);
  judge_.check_counters(storage_, scenario_.files, scenario_.files + scenario_.directories);
  // What was acknowledged, and not lost with its mount or its token, is there.
  for (std::size_t file = 0; file < scenario_.total_files(); ++file)
    for (std::size_t cell = 0; cell < kCounters; ++cell)
      freshness_.seen(scenario_.mounts, file, cell, storage_.row(file)[cell].serial,
                      freshness_.floor(file, cell), "the end of the run");
}

}  // namespace holdfast::sim
