#include "tests/sim/mount_node.h"

#include "tests/sim/mount_files.h"
#include "tests/sim/worker.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

constexpr Duration kBackoffMin = milliseconds(100);
constexpr Duration kBackoffMax = seconds(2);
constexpr Duration kStorageRetry = seconds(2);

}  // namespace

MountNode::MountNode(World& world, const Scenario& scenario, std::size_t index, Network& network,
                     NfsModel& storage, Judge& judge, TokenJudge& tokens, Freshness& freshness,
                     NodeClock clock)
    : world_(world),
      scenario_(scenario),
      index_(index),
      network_(network),
      storage_(storage),
      judge_(judge),
      tokens_(tokens),
      freshness_(freshness),
      clock_(clock) {
  network.attach(index, *this);
}

MountNode::~MountNode() = default;

// ---- Life

void MountNode::start() {
  if (alive()) return;
  born();
  world_.disturbed({});
  world_.note("mount {}: starts", index_);
  Hello hello;
  hello.volume_name = "nas:/export";
  hello.node = "node" + std::to_string(index_);
  hello.write_life = scenario_.write_life;
  fs::ClientCore::Limits limits;
  if (scenario_.tokens) limits.tokens = fs::TokenLimits{.tokens_max = scenario_.tokens_max};
  core_ = std::make_unique<fs::ClientCore>(hello, limits);
  if (scenario_.tokens) files_ = std::make_unique<MountFiles>(world_, scenario_, *this, freshness_);
  asked_.clear();
  last_release_ = {};
  effects_.clear();
  performing_ = false;
  backoff_ = kBackoffMin;
  dialling_ = false;
  session_.reset();
  tick_at_ = Time::max();
  lockd_ = world_.rng.index(scenario_.lockds);
  for (std::size_t i = 0; i < scenario_.workers; ++i)
    workers_.push_back(std::make_unique<Worker>(world_, scenario_, *this, judge_, i));
  dial();
  for (auto& worker : workers_)
    worker->start();
}

void MountNode::crash() {
  if (!alive()) return;
  world_.note("mount {}: crashes", index_);
  network_.mount_died(index_);
  storage_.reset(index_);
  judge_.forget_mount(index_);
  freshness_.lost(index_);
  died();
  pins_.clear();
  connection_.reset();
  calls_.clear();
  rpcs_.clear();
  // Their events are gone with the process; they are kept for who still points at them.
  for (auto& worker : workers_)
    dead_workers_.push_back(std::move(worker));
  workers_.clear();
}

void MountNode::thawed() {
  // The guardian has reset the connections at the deadline, whatever the mount was doing.
  if (alive() && !core_->entitled(now())) reset_storage();
}

// ---- The connection to lockd

void MountNode::dial() {
  if (dialling_ || connection_) return;
  dialling_ = true;
  network_.connect(index_, lockd_);
}

void MountNode::dial_in(Duration delay) {
  world_.in(delay, this, [this] { dial(); });
}

void MountNode::back_off() {
  const Duration delay = world_.rng.between(backoff_ / 2, backoff_);
  backoff_ = std::min<Duration>(backoff_ * 2, kBackoffMax);
  dial_in(delay);
}

void MountNode::connected(ConnectionPtr connection) {
  dialling_ = false;
  connection_ = std::move(connection);
  perform(core_->connected(now()));
  schedule_tick();
}

void MountNode::unreachable() {
  dialling_ = false;
  lockd_ = (lockd_ + 1) % scenario_.lockds;
  back_off();
}

void MountNode::ended(const ConnectionPtr& connection) {
  if (connection != connection_) return;
  network_.close_by_mount(connection, Network::How::kAtOnce);
  connection_.reset();
  core_->disconnected();
  lockd_ = (lockd_ + 1) % scenario_.lockds;
  back_off();
}

void MountNode::received(const ConnectionPtr& connection, ServerMessage message) {
  if (connection != connection_) return;
  judge_welcome(message);
  perform(core_->received(message, now()));
  if (scenario_.tokens) judge_grant(message);
  while (connection_ && core_->has_more_to_say())
    perform(core_->writable());
  if (core_->entitled(now())) {
    backoff_ = kBackoffMin;
    // The guardian may have reset the connections of a lease that, as is read only now, went on:
    // then nothing was suspended that could be resumed.
    unpark();
  }
  schedule_tick();
}

// ---- Effects

// In the order in which the core said them, also if performing one makes it say more: requests must
// leave in the order of their numbers.
void MountNode::perform(fs::ClientEffects effects) {
  const bool before = core_->entitled(now()) && !effects.empty();
  for (auto& effect : effects)
    effects_.push_back(std::move(effect));
  if (std::exchange(performing_, true)) return;
  while (!effects_.empty()) {
    const auto effect = std::move(effects_.front());
    effects_.pop_front();
    std::visit([this](const auto& one) { perform_one(one); }, effect);
  }
  performing_ = false;
  // Entitlement is also there at once after a Welcome.
  if (before) judge_.became_entitled(index_);
}

void MountNode::perform_one(const fs::SendMessage& effect) {
  judge_sent(effect.message);
  if (connection_) network_.send(connection_, effect.message);
}

void MountNode::perform_one(const fs::CompleteCall& effect) {
  const auto pinning = pins_.find(effect.call);
  if (pinning != pins_.end()) {
    const Pinned done = std::move(pinning->second.done);
    pins_.erase(pinning);
    return done(std::nullopt);
  }
  const auto found = calls_.find(effect.call);
  if (found == calls_.end()) return;
  auto waiting = std::make_unique<Waiting>(std::move(found->second));
  calls_.erase(found);
  ++world_.lock_operations;
  // What the mount knows is known at once; the application hears it a little later.
  waiting->worker->believe(effect.outcome);
  if (scenario_.tokens) waiting->worker->renew_pages(effect.outcome);
  world_.in(
      world_.rng.up_to(microseconds(50)), this,
      [waiting = std::move(waiting), outcome = effect.outcome] { waiting->completed(outcome); });
}

void MountNode::perform_one(const fs::DropConnection& effect) {
  if (connection_) {
    network_.close_by_mount(connection_, Network::How::kAtOnce);
    connection_.reset();
  }
  lockd_ = (lockd_ + 1) % scenario_.lockds;
  if (effect.why == fs::DropConnection::Why::kLost) return dial_in({});
  if (effect.delay > Duration::zero()) return dial_in(effect.delay);
  back_off();
}

void MountNode::perform_one(const fs::SessionOpened& effect) {
  session_ = effect.session;
  judge_.session_opened(effect.session, index_);
  entitled_again();
  unpark();
}

void MountNode::perform_one(const fs::SessionResumed&) {
  world_.note("mount {}: session resumed", index_);
}

void MountNode::perform_one(const fs::LeaseSuspended&) {
  world_.note("mount {}: suspended", index_);
  reset_storage();
}

void MountNode::perform_one(const fs::LeaseResumed&) {
  world_.note("mount {}: lease resumed", index_);
  entitled_again();
  unpark();
}

void MountNode::perform_one(const fs::SessionLost&) {
  world_.note("mount {}: session lost", index_);
  lose_all();
  if (session_) judge_.told_session_lost(index_, *session_);
  if (session_) tokens_.told_session_lost(*session_);
  session_.reset();
}

void MountNode::perform_one(const fs::FilesLost& effect) {
  std::set<std::size_t> files;
  for (const FileKey& key : effect.files) {
    const std::size_t file = file_of(key);
    world_.note("mount {}: file {} lost", index_, file);
    if (session_) tokens_.told_file_lost(*session_, key);
    if (file != kNoFile) files.insert(file);
  }
  lose_files(files);
  if (!session_) return;
  for (const std::size_t file : files)
    judge_.told_file_lost(index_, *session_, file);
}

// fs/fuse/loss.cc: with a lock on a file goes whatever anybody here has written of it.
void MountNode::lose_files(const std::set<std::size_t>& files) {
  std::set<std::size_t> dead;
  for (const std::size_t file : files) {
    const bool locked = std::any_of(workers_.begin(), workers_.end(),
                                    [&](const auto& worker) { return worker->holds(file); });
    if (locked || (files_ && files_->unstable_under_token(file))) dead.insert(file);
  }
  if (files_) add_unstable_of_losers(dead);
  for (const std::size_t file : dead)
    poison(file);
  if (!files_) return;
  for (const std::size_t file : files)
    lose_token(file);
}

void MountNode::lose_all() {
  std::set<std::size_t> files;
  for (std::size_t file = 0; file < scenario_.total_files(); ++file)
    files.insert(file);
  lose_files(files);
}

bool MountNode::has_open(const Worker& worker, std::size_t file) const {
  return worker.holds(file) || worker.has_written(file) ||
         (files_ && files_->has_unwritten(file, worker.owner()));
}

void MountNode::poison(std::size_t file) {
  for (auto& worker : workers_) {
    if (!has_open(*worker, file)) continue;
    worker->poison(file);
    for (auto it = rpcs_.begin(); it != rpcs_.end();) {
      const std::uint64_t id = it->first;
      const bool its = it->second.worker == worker.get() && it->second.stamp.lane.file == file;
      ++it;
      if (its) end_io(id, {.failed = true});
    }
  }
  if (!files_) return;
  files_->discard(file);
  freshness_.lost(index_, file);
}

void MountNode::schedule_tick() {
  const Instant next = core_->next_deadline();
  if (next == Instant::max()) return;
  const Time when = std::max(clock_.when(next), world_.now()) + world_.rng.up_to(milliseconds(5));
  if (tick_at_ <= when) return;
  tick_at_ = when;
  world_.at(when, this, [this, when] {
    if (tick_at_ != when) return;
    tick_at_ = Time::max();
    perform(core_->tick(now()));
    schedule_tick();
  });
}

// ---- Calls of applications

CallId MountNode::call(Command command, Worker& worker, Completed completed) {
  fs::ClientEffects effects;
  const CallId id = scenario_.tokens ? core_->submit(std::move(command), now(), effects)
                                     : core_->submit(std::move(command), effects);
  calls_.emplace(id, Waiting{&worker, world_.now(), std::move(completed)});
  perform(std::move(effects));
  if (scenario_.tokens) schedule_tick();
  return id;
}

void MountNode::interrupt(CallId call) {
  perform(core_->interrupt(call));
}

// ---- Storage

void MountNode::reset_storage() {
  ++socket_;
  storage_.reset(index_);
  for (auto& [id, rpc] : rpcs_)
    rpc.parked = true;
  if (core_->entitled(now())) unpark();
}

void MountNode::io(Io what, Worker& worker, Lane lane, std::size_t counter, std::uint64_t value,
                   IoDone done) {
  WriteStamp stamp{.owner = worker.owner(), .lane = lane, .counter = counter, .value = value};
  io(what, &worker, stamp, std::move(done));
}

void MountNode::io(Io what, Worker* worker, WriteStamp stamp, IoDone done) {
  const std::uint64_t id = ++last_rpc_;
  Rpc rpc;
  rpc.what = what;
  rpc.worker = worker;
  rpc.done = std::move(done);
  rpc.stamp = stamp;
  rpc.stamp.id = (std::uint64_t{index_} << 48U) | id;
  rpc.stamp.mount = index_;
  rpc.stamp.session = session_.value_or(SessionId{});
  rpc.stamp.issued = rpc.begun = world_.now();
  rpcs_.emplace(id, std::move(rpc));
  begin(id);
}

// The lease is looked at, then the request goes out: between the two the process may be stopped.
void MountNode::begin(std::uint64_t id) {
  const auto at = rpcs_.find(id);
  if (at == rpcs_.end()) return;
  Rpc& rpc = at->second;
  if (rpc.worker != nullptr && rpc.worker->poisoned(rpc.stamp.lane.file))
    return end_io(id, {.failed = true});
  if (!core_->entitled(now())) {
    rpc.parked = true;
    return;
  }
  rpc.parked = false;
  rpc.socket = socket_;
  rpc.stamp.issued = world_.now();
  const std::uint64_t socket = socket_;
  world_.in(world_.rng.up_to(microseconds(20)), this,
            [this, id, socket] { hand_over(id, socket); });
}

void MountNode::hand_over(std::uint64_t id, std::uint64_t socket) {
  const auto at = rpcs_.find(id);
  if (at == rpcs_.end()) return;
  Rpc& rpc = at->second;
  if (socket != socket_) {  // it was reset meanwhile: what is written to it goes nowhere
    if (!rpc.parked && rpc.socket == socket) begin(id);
    return;
  }
  if (!core_->entitled(now())) return reset_storage();  // the guardian's clock is as good as ours
  const auto then = [this, id, socket](NfsModel::Answer answer) { answered(id, socket, answer); };
  switch (rpc.what) {
    case Io::kRead:
      storage_.read(index_, *this, rpc.stamp.lane.file, rpc.stamp.counter, then);
      break;
    case Io::kLook:
      storage_.look(index_, *this, rpc.stamp.lane.file, then);
      break;
    case Io::kWrite:
      storage_.write(rpc.stamp, clock_.real(scenario_.write_life), *this, then);
      break;
    case Io::kCommit:
      storage_.commit(index_, *this, rpc.stamp.lane.file, then);
      break;
  }
  world_.in(kStorageRetry, this, [this, id, socket] {
    const auto still = rpcs_.find(id);
    if (still != rpcs_.end() && !still->second.parked && still->second.socket == socket) begin(id);
  });
}

void MountNode::answered(std::uint64_t id, std::uint64_t socket, NfsModel::Answer answer) {
  if (socket != socket_) return;  // came through a connection that was reset
  if (rpcs_.contains(id))
    end_io(id, {false, answer.value, answer.verifier, answer.serial, answer.row, true});
}

void MountNode::end_io(std::uint64_t id, IoResult result) {
  const auto at = rpcs_.find(id);
  const Rpc rpc = std::move(at->second);
  rpcs_.erase(at);
  // Nobody is told of what the mount does by itself: a COMMIT goes out again after a loss, too.
  if (!result.failed && rpc.worker != nullptr) judge_.io_succeeded(rpc.stamp, rpc.begun);
  world_.in(world_.rng.up_to(microseconds(20)), this, [done = rpc.done, result] { done(result); });
}

void MountNode::unpark() {
  std::vector<std::uint64_t> parked;
  for (const auto& [id, rpc] : rpcs_)
    if (rpc.parked) parked.push_back(id);
  for (const std::uint64_t id : parked)
    begin(id);
}

// ---- Faults and the end

void MountNode::interrupt_some() {
  if (!alive() || frozen()) return;
  for (auto& worker : workers_)
    if (world_.rng.chance(0.5)) worker->signal();
  std::vector<CallId> waits;
  for (const auto& [call, pinning] : pins_)
    if (pinning.interruptible) waits.push_back(call);
  for (const CallId call : waits)
    if (world_.rng.chance(0.5)) perform(core_->interrupt(call));
}

void MountNode::kill_application(std::uint64_t which) {
  if (alive() && !workers_.empty()) workers_[which % workers_.size()]->kill();
}

void MountNode::finish() {
  for (auto& worker : workers_)
    worker->finish();
}

void MountNode::hold() {
  for (auto& worker : workers_)
    worker->hold();
}

bool MountNode::finished() const {
  return std::all_of(workers_.begin(), workers_.end(),
                     [](const auto& worker) { return worker->finished(); }) &&
         (!files_ || files_->all_clean());
}

std::uint64_t MountNode::fewest_done() const {
  std::uint64_t fewest = UINT64_MAX;
  for (const auto& worker : workers_)
    fewest = std::min(fewest, worker->done());
  return fewest;
}

void MountNode::count_from_here() {
  for (auto& worker : workers_)
    worker->count_from_here();
}

Time MountNode::waits_since() const {
  Time since = world_.now();
  for (const auto& [call, pinning] : pins_)
    since = std::min(since, pinning.since);
  for (const auto& [call, waiting] : calls_)
    since = std::min(since, waiting.since);
  return since;
}

std::string MountNode::stuck() const {
  for (const auto& worker : workers_)
    if (worker->done() < 1 || !worker->finished())
      return fmt::format("mount {} {}: {}", index_, entitled() ? "entitled" : "not entitled",
                         worker->state());
  return fmt::format("mount {}", index_);
}

}  // namespace holdfast::sim
