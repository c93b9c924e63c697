#include "tests/sim/worker.h"

#include "tests/sim/mount_files.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

constexpr Duration kAlarmMax = seconds(6);

ByteRange cells(std::uint64_t from, std::uint64_t to) {
  return *ByteRange::make(from, to);
}

}  // namespace

Worker::Worker(World& world, const Scenario& scenario, MountNode& mount, Judge& judge,
               std::size_t index)
    : world_(world),
      scenario_(scenario),
      mount_(mount),
      judge_(judge),
      index_(index),
      owner_{mount.index() * 100 + index},
      poisoned_(scenario.total_files()),
      touched_(scenario.total_files()),
      written_(scenario.total_files()) {
  for (std::size_t i = 0; i < scenario.total_files(); ++i)
    handles_.push_back(mount.fresh_handle());
}

void Worker::start() {
  world_.in(world_.rng.up_to(scenario_.think_max), &mount_.process(), [this] { next_operation(); });
}

// ---- What it does

void Worker::next_operation() {
  if (finishing_) {
    finished_ = true;
    return;
  }
  script_.clear();
  at_ = 0;
  cleaning_ = killed_ = failed_ = false;
  made_.reset();
  if (scenario_.tokens && world_.rng.chance(0.5)) {
    plan_files();
  } else {
    plan();
  }
  run();
}

void Worker::hold() {
  if (world_.rng.chance(0.5)) return;
  script_.clear();
  at_ = 0;
  finished_ = cleaning_ = killed_ = failed_ = false;
  add(Do::kLock, {world_.rng.index(scenario_.files), LockSpace::kRange}, some_range(),
      LockMode::kShared, Wait::kNo);
  run();
}

ByteRange Worker::some_range() {
  if (world_.rng.chance(0.2)) return ByteRange::whole_file();
  const std::uint64_t from = world_.rng.below(kCells - 1);
  return cells(from, from + 1 + world_.rng.below(3));
}

void Worker::add(Do what, Lane lane, ByteRange range, LockMode mode, Wait wait) {
  Step step;
  step.what = what;
  step.lane = lane;
  step.range = range;
  step.mode = mode;
  step.wait = wait;
  script_.push_back(step);
}

void Worker::plan() {
  const Lane range_lane{some_file(), LockSpace::kRange};
  const Lane flock_lane{range_lane.file, LockSpace::kFlock};
  const Wait wait = world_.rng.chance(0.7) ? Wait::kYes : Wait::kNo;
  const std::uint64_t dice = world_.rng.below(100);
  if (dice < 45) return plan_increment(range_lane, some_range(), LockMode::kExclusive, wait);
  if (dice < 60) return plan_reader(range_lane, some_range());
  if (dice < 75) return plan_upgrade(range_lane, some_range());
  if (dice < 85)
    return plan_increment(flock_lane, ByteRange::whole_file(), LockMode::kExclusive, wait);
  if (dice < 90) return plan_upgrade(flock_lane, ByteRange::whole_file());
  if (dice < 95 && scenario_.nested && scenario_.files > 1) return plan_nested();
  add(Do::kQuery, range_lane, some_range(), LockMode::kExclusive);
}

void Worker::plan_increment(Lane lane, ByteRange range, LockMode mode, Wait wait) {
  add(Do::kLock, lane, range, mode, wait);
  if (world_.rng.chance(0.1)) add(Do::kThink, lane, range);
  add(Do::kRead, lane, range);
  add(Do::kWrite, lane, range);
  // Without it, whoever gets the lock next sees it all the same.
  if (!scenario_.tokens || world_.rng.chance(0.6)) add(Do::kCommit, lane, range);
  plan_end(lane, range);
}

void Worker::plan_reader(Lane lane, ByteRange range) {
  add(Do::kLock, lane, range, LockMode::kShared);
  add(Do::kRead, lane, range);
  if (world_.rng.chance(0.3)) add(Do::kThink, lane, range);
  add(Do::kReadAgain, lane, range);
  plan_end(lane, range);
}

void Worker::plan_upgrade(Lane lane, ByteRange range) {
  add(Do::kLock, lane, range, LockMode::kShared);
  if (world_.rng.chance(0.5)) add(Do::kRead, lane, range);
  add(Do::kLock, lane, range, LockMode::kExclusive,
      world_.rng.chance(0.5) ? Wait::kYes : Wait::kNo);
  add(Do::kRead, lane, range);
  add(Do::kWrite, lane, range);
  add(Do::kCommit, lane, range);
  if (world_.rng.chance(0.4)) {
    add(Do::kLock, lane, range, LockMode::kShared);
    add(Do::kRead, lane, range);
    add(Do::kReadAgain, lane, range);
  }
  plan_end(lane, range);
}

void Worker::plan_nested() {
  std::size_t first = world_.rng.index(scenario_.files);
  std::size_t second = (first + 1) % scenario_.files;
  // Only POSIX owners are told of deadlocks; the others keep an order.
  if (kind() != OwnerKind::kPosix && first > second) std::swap(first, second);
  for (const std::size_t file : {first, second}) {
    add(Do::kLock, {file, LockSpace::kRange}, cells(0, 2), LockMode::kExclusive);
    add(Do::kRead, {file, LockSpace::kRange}, cells(0, 2));
    add(Do::kWrite, {file, LockSpace::kRange}, cells(0, 2));
    add(Do::kCommit, {file, LockSpace::kRange}, cells(0, 2));
  }
  for (const std::size_t file : {second, first})
    add(Do::kUnlock, {file, LockSpace::kRange}, cells(0, 2));
}

void Worker::plan_end(Lane lane, ByteRange range) {
  const std::uint64_t dice = world_.rng.below(10);
  if (dice < 6 || (lane.space == LockSpace::kFlock && dice < 8)) {
    add(Do::kUnlock, lane, range);
  } else if (lane.space == LockSpace::kRange && dice < 8) {
    add(Do::kReleaseOwner, lane, range);
  } else {
    add(Do::kReleaseHandle, lane, range);
  }
}

// ---- Step by step

void Worker::run() {
  if (killed_ && !cleaning_) return clean_up();
  if (at_ >= script_.size()) {
    if (!failed_ && !cleaning_) ++done_;
    const Duration think = world_.rng.up_to(scenario_.think_max);
    world_.in(think, &mount_.process(), [this] { next_operation(); });
    return;
  }
  if (script_[at_].lane.file == kNoFile) {
    if (!made_) return advance();
    script_[at_].lane.file = *made_;
  }
  const Step step = script_[at_];
  const std::size_t file = step.lane.file;
  touched_[file] = true;
  switch (step.what) {
    case Do::kLock:
      return run_lock(step);
    case Do::kUnlock: {
      Cells cells = judge_.belief(mount_.index(), owner_, step.lane);
      cells.clear(mask_of(step.range));
      judge_.believe(mount_.index(), owner_, step.lane, cells);
      return submit(UnlockRequest{key_of(file), step.lane.space, owner_, step.range});
    }
    case Do::kReleaseOwner:
      judge_.believe(mount_.index(), owner_, {file, LockSpace::kRange}, Cells{});
      return submit(ReleaseOwnerRequest{key_of(file), owner_});
    case Do::kReleaseHandle: {
      for (const LockSpace space : {LockSpace::kRange, LockSpace::kFlock}) {
        Cells cells = judge_.belief(mount_.index(), owner_, {file, space});
        cells.clear_handle(handles_[file]);
        judge_.believe(mount_.index(), owner_, {file, space}, cells);
      }
      const HandleId old = handles_[file];
      handles_[file] = mount_.fresh_handle();
      poisoned_[file] = written_[file] = false;
      return submit(ReleaseHandleRequest{key_of(file), old});
    }
    case Do::kQuery:
      return submit(QueryRequest{key_of(file), step.lane.space, owner_, step.mode, step.range});
    case Do::kRead:
    case Do::kReadAgain:
    case Do::kWrite:
    case Do::kRewrite:
    case Do::kCommit:
      return run_io(step);
    case Do::kThink:
      world_.in(world_.rng.up_to(scenario_.think_max), &mount_.process(), [this] { advance(); });
      return;
    default:
      return run_file(step);
  }
}

void Worker::run_lock(const Step& step) {
  const std::size_t file = step.lane.file;
  if (poisoned_[file]) return fail("poisoned");
  Cells cells = judge_.belief(mount_.index(), owner_, step.lane);
  before_ = cells;
  const Mask mask = mask_of(step.range);
  // From the moment it is asked the weaker of old and new counts.
  if (step.lane.space == LockSpace::kFlock) {
    cells.clear(kAllCells);
    before_ = cells;
  } else if (step.mode == LockMode::kShared) {
    const Mask weaker = cells.exclusive & mask;
    cells.exclusive &= ~weaker;
    cells.shared |= weaker;
  }
  judge_.believe(mount_.index(), owner_, step.lane, cells);
  LockRequest request;
  request.file = key_of(file);
  request.space = step.lane.space;
  request.owner = owner_;
  request.handle = handles_[file];
  request.kind = step.lane.space == LockSpace::kFlock ? OwnerKind::kUnchecked : kind();
  request.mode = step.mode;
  request.range = step.range;
  request.wait = step.wait;
  request.pid = static_cast<std::uint32_t>(owner_.value);
  const bool lingers = step.wait == Wait::kNo && step.lane.space == LockSpace::kRange &&
                       scenario_.linger > Duration::zero();
  if (lingers) {
    const bool only_reads = before_.shared != 0 && before_.exclusive == 0;
    request.wait = Wait::kYes;
    request.kind = only_reads ? OwnerKind::kGivesWay : OwnerKind::kUnchecked;
  }
  submit(request);
  set_alarm(lingers);
}

void Worker::set_alarm(bool lingers) {
  const auto* lock = pending_ ? std::get_if<LockRequest>(&*pending_) : nullptr;
  if (lock == nullptr || lock->wait == Wait::kNo) return;
  const bool checked = lock->kind == OwnerKind::kPosix && !scenario_.alarms;
  if (checked) return;
  const Duration after = lingers ? scenario_.linger : world_.rng.up_to(kAlarmMax);
  world_.in(after, &mount_.process(), [this, made = calls_made_] {
    if (made == calls_made_) signal();
  });
}

void Worker::submit(Command command) {
  if (!scenario_.tokens || !weakens(command)) return send(std::move(command));
  // What the lock protects is on stable storage before anybody else can get it.
  const std::size_t file = script_[at_].lane.file;
  releasing_ = file;
  mount_.files().sync(file, [this, file, command = std::move(command)](bool stable) {
    releasing_.reset();
    if (!stable) mount_.give_up_unwritten(file);
    if (poisoned_[file] && std::holds_alternative<LockRequest>(command)) return fail("poisoned");
    send(command);
  });
}

void Worker::send(Command command) {
  pending_ = command;
  ++calls_made_;
  const std::uint64_t made = calls_made_;
  const CallId id = mount_.call(std::move(command), *this,
                                [this](const Outcome& outcome) { completed(outcome); });
  if (made == calls_made_) call_ = id;
}

void Worker::believe(const Outcome& outcome) {
  const auto* lock = pending_ ? std::get_if<LockRequest>(&*pending_) : nullptr;
  if (lock == nullptr) return;
  const Lane lane{file_of(lock->file), lock->space};
  Cells cells = before_;
  if (std::holds_alternative<Granted>(outcome)) {
    cells.set(mask_of(lock->range), lock->mode, lock->handle);
    const bool by_lockd = std::get<Granted>(outcome).token.value != 0;
    if (scenario_.lockds > 1 && by_lockd && mount_.entitled() && mount_.session())
      judge_.told_granted(*mount_.session(), *lock);
  }
  judge_.believe(mount_.index(), owner_, lane, cells);
}

void Worker::completed(const Outcome& outcome) {
  const bool lock = std::holds_alternative<LockRequest>(*pending_);
  pending_.reset();
  ++calls_made_;
  if (const auto* refused = std::get_if<Refused>(&outcome)) {
    world_.note("mount {} owner {}: refused, error {}", mount_.index(), owner_.value,
                static_cast<int>(refused->errc));
    if (lock) return fail("refused");
  } else if (lock) {
    world_.note("mount {} owner {}: has the lock", mount_.index(), owner_.value);
  }
  advance();
}

std::size_t Worker::counter_of(const Step& step) const {
  return step.lane.space == LockSpace::kFlock ? kFlockCounter
                                              : static_cast<std::size_t>(step.range.start());
}

void Worker::run_io(const Step& step) {
  const std::size_t counter = counter_of(step);
  if (scenario_.tokens) {
    if (step.what == Do::kCommit) return sync_kept(step);
    if (step.what != Do::kWrite) return read_kept(step, counter, true);
    judge_.write_issued(step.lane.file, counter);
    return write_kept(step, counter, value_ + 1);
  }
  const auto done = [this, step](MountNode::IoResult result) { io_done(step, result); };
  auto what = MountNode::Io::kRead;
  std::uint64_t value = 0;
  if (step.what == Do::kWrite || step.what == Do::kRewrite) {
    what = MountNode::Io::kWrite;
    value = value_ + 1;
    if (step.what == Do::kWrite) judge_.write_issued(step.lane.file, counter);
  } else if (step.what == Do::kCommit) {
    what = MountNode::Io::kCommit;
  }
  mount_.io(what, *this, step.lane, counter, value, done);
}

void Worker::io_done(const Step& step, MountNode::IoResult result) {
  if (result.failed) return fail("I/O error");
  switch (step.what) {
    case Do::kRead:
      value_ = result.value;
      read_verifier_ = result.verifier;
      break;
    case Do::kReadAgain:
      // A restarted server may have lost what a dead mount had not committed.
      if (result.value != value_ && result.verifier == read_verifier_)
        world_.violation(
            "I4 coherence",
            fmt::format("mount {} owner {} reads {}, then {} under one shared lock of "
                        "file {}",
                        mount_.index(), owner_.value, value_, result.value, step.lane.file));
      break;
    case Do::kWrite:
    case Do::kRewrite:
      write_verifier_ = result.verifier;
      break;
    case Do::kCommit:
      if (!scenario_.tokens && result.verifier != write_verifier_) {
        // The server was restarted in between: the data goes out again (RFC 1813 section 4.8).
        Step again = step;
        again.what = Do::kRewrite;
        script_.insert(script_.begin() + static_cast<std::ptrdiff_t>(at_), again);
        return run();
      }
      judge_.write_acknowledged(step.lane.file, counter_of(step));
      world_.note("mount {} owner {}: file {} counter {} = {} acknowledged", mount_.index(),
                  owner_.value, step.lane.file, counter_of(step), value_ + 1);
      break;
    case Do::kLock:
    case Do::kUnlock:
    case Do::kReleaseOwner:
    case Do::kReleaseHandle:
    case Do::kQuery:
    case Do::kThink:
    default:
      break;
  }
  advance();
}

void Worker::advance() {
  ++at_;
  run();
}

// ---- What goes wrong

void Worker::fail(const char* why) {
  world_.note("mount {} owner {}: gives up: {}", mount_.index(), owner_.value, why);
  failed_ = true;
  if (cleaning_) return advance();
  clean_up();
}

// Whoever fails, or is killed, gives everything up: by unlocking, or by closing what is poisoned.
void Worker::clean_up() {
  cleaning_ = true;
  script_.clear();
  at_ = 0;
  const bool closes = killed_ || world_.rng.chance(0.3);
  for (std::size_t file = 0; file < scenario_.total_files(); ++file) {
    const Lane lane{file, LockSpace::kRange};
    const bool open = file < scenario_.files || touched_[file];
    if (poisoned_[file] || (killed_ && open) || (closes && touched_[file])) {
      add(Do::kReleaseOwner, lane, ByteRange::whole_file());
      add(Do::kReleaseHandle, lane, ByteRange::whole_file());
    } else if (touched_[file]) {
      add(Do::kUnlock, lane, ByteRange::whole_file());
      add(Do::kUnlock, {file, LockSpace::kFlock}, ByteRange::whole_file());
    }
    touched_[file] = false;
  }
  run();
}

void Worker::signal() {
  if (pending_ && std::holds_alternative<LockRequest>(*pending_)) mount_.interrupt(call_);
}

void Worker::kill() {
  if (cleaning_ || killed_ || finished_) return;
  world_.note("mount {} owner {}: killed", mount_.index(), owner_.value);
  killed_ = true;
  signal();
}

bool Worker::holds(std::size_t file) const {
  if (releasing_ == file) return true;
  for (const LockSpace space : {LockSpace::kRange, LockSpace::kFlock})
    if (judge_.belief(mount_.index(), owner_, {file, space}).held() != 0) return true;
  return false;
}

void Worker::poison(std::size_t file) {
  poisoned_[file] = true;
  if (pending_)
    if (const auto* lock = std::get_if<LockRequest>(&*pending_))
      if (file_of(lock->file) == file) before_ = Cells{};
}

std::string Worker::state() const {
  if (finished_) return fmt::format("owner {} finished", owner_.value);
  if (at_ >= script_.size()) return fmt::format("owner {} between operations", owner_.value);
  return fmt::format("owner {} at step {} of {} (kind {}) on file {}{}{}", owner_.value, at_,
                     script_.size(), static_cast<int>(script_[at_].what), script_[at_].lane.file,
                     pending_ ? ", waits for lockd" : "", cleaning_ ? ", cleaning up" : "");
}

}  // namespace holdfast::sim
