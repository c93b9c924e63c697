#include "tests/sim/nfs_model.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace holdfast::sim {
namespace {

constexpr Duration kRetry = milliseconds(100);

}  // namespace

void NfsModel::answer(std::size_t mount, Process& process, Answer what, const Then& then) {
  if (network_.storage_blocked(mount)) return;  // the mount asks again
  world_.in(network_.delay(), &process, [then = then, what = std::move(what)] { then(what); });
}

void NfsModel::read(std::size_t mount, Process& process, std::size_t file, std::size_t counter,
                    Then then) {
  ++world_.storage_operations;
  world_.in(network_.delay(), nullptr,
            [this, mount, &process, file, counter, then = std::move(then)] {
              if (!up() || network_.storage_blocked(mount)) return;
              const Cell& cell = files_[file].now[counter];
              answer(mount, process, {cell.value, verifier_, cell.serial, {}}, then);
            });
}

void NfsModel::look(std::size_t mount, Process& process, std::size_t file, Then then) {
  ++world_.storage_operations;
  world_.in(network_.delay(), nullptr, [this, mount, &process, file, then = std::move(then)] {
    if (!up() || network_.storage_blocked(mount)) return;
    answer(mount, process, {0, verifier_, 0, std::make_shared<const Row>(files_[file].now)}, then);
  });
}

void NfsModel::commit(std::size_t mount, Process& process, std::size_t file, Then then) {
  ++world_.storage_operations;
  world_.in(network_.delay(), nullptr, [this, mount, &process, file, then = std::move(then)] {
    if (!up() || network_.storage_blocked(mount)) return;
    files_[file].stable = files_[file].now;
    answer(mount, process, {0, verifier_, 0, {}}, then);
  });
}

void NfsModel::write(const WriteStamp& stamp, Duration life, Process& process, Then then) {
  ++world_.storage_operations;
  const std::uint64_t ticket = ++last_ticket_;
  Copy copy;
  copy.stamp = stamp;
  copy.expires = world_.now() + life;
  copy.process = &process;
  copy.then = std::move(then);
  copies_.emplace(ticket, std::move(copy));
  const Duration on_its_way =
      world_.rng.chance(late_) ? world_.rng.up_to(life) : std::min(network_.delay(), life);
  world_.in(on_its_way, nullptr, [this, ticket] { travel(ticket); });
}

void NfsModel::travel(std::uint64_t ticket) {
  const auto found = copies_.find(ticket);
  if (found == copies_.end()) return;
  Copy& copy = found->second;
  const std::size_t mount = copy.stamp.mount;
  if (stopped_[mount] > 0) {
    // The whole machine stands still: its kernel goes on with this when it wakes, however late.
    copy.expires = world_.now() + kRetry;
    world_.in(kRetry, nullptr, [this, ticket] { travel(ticket); });
    return;
  }
  if (!up() || network_.storage_blocked(mount)) {
    if (world_.now() + kRetry > copy.expires) {
      copies_.erase(found);  // TCP_USER_TIMEOUT
      return;
    }
    world_.in(kRetry, nullptr, [this, ticket] { travel(ticket); });
    return;
  }
  copy.in_server = true;
  const Duration stay = world_.rng.chance(late_) ? world_.rng.up_to(storage_delay_)
                                                 : std::min(network_.delay(), storage_delay_);
  world_.in(stay, nullptr, [this, ticket] { take_effect(ticket); });
}

void NfsModel::take_effect(std::uint64_t ticket) {
  const auto found = copies_.find(ticket);
  if (found == copies_.end()) return;
  const Copy copy = std::move(found->second);
  copies_.erase(found);
  const WriteStamp& stamp = copy.stamp;
  auto& known_ids = stamp.kind == WriteStamp::Kind::kWrite ? applied_ : changed_;
  auto known = known_ids.find(stamp.id);
  if (known == known_ids.end()) {
    judge_(stamp);
    const bool done = apply(stamp);
    const std::uint64_t value =
        stamp.kind == WriteStamp::Kind::kWrite ? stamp.value : std::uint64_t{done};
    known = known_ids.emplace(stamp.id, Applied{value, verifier_}).first;
    world_.note("storage: mount {} file {} cell {} = {} (write {}, serial {}){}", stamp.mount,
                stamp.lane.file, stamp.counter, stamp.value, stamp.id, stamp.serial,
                done ? "" : ": refused");
  }
  answer(stamp.mount, *copy.process, {known->second.value, known->second.verifier, 0, {}},
         copy.then);
}

void NfsModel::set(std::size_t file, std::size_t cell, Cell to, bool stable) {
  files_[file].now[cell] = to;
  if (stable) files_[file].stable[cell] = to;
}

bool NfsModel::apply(const WriteStamp& stamp) {
  const std::size_t file = stamp.lane.file;
  const Cell now = files_[file].now[stamp.counter];
  switch (stamp.kind) {
    case WriteStamp::Kind::kWrite:
      set(file, stamp.counter, {stamp.value, stamp.serial}, false);
      return true;
    case WriteStamp::Kind::kCreate:
      if (now.value != 0) return false;
      set(file, stamp.counter, {stamp.value, stamp.serial}, true);
      return true;
    case WriteStamp::Kind::kRemove:
      if (now.value == 0) return false;
      set(file, stamp.counter, {0, stamp.serial}, true);
      return true;
    case WriteStamp::Kind::kRename:
      if (now.value == 0) return false;
      set(file, stamp.counter, {0, stamp.serial}, true);
      set(stamp.to_file, stamp.to_cell, {now.value, stamp.to_serial}, true);
      return true;
  }
  return false;
}

void NfsModel::reset(std::size_t mount) {
  for (auto it = copies_.begin(); it != copies_.end();) {
    const bool lost = it->second.stamp.mount == mount && world_.rng.chance(0.5);
    it = lost ? copies_.erase(it) : std::next(it);
  }
}

void NfsModel::fence(std::size_t mount) {
  std::erase_if(copies_, [&](const auto& entry) { return entry.second.stamp.mount == mount; });
}

void NfsModel::restart(Duration down) {
  up_at_ = std::max(up_at_, world_.now() + down);
  ++verifier_;
  applied_.clear();
  copies_.clear();  // their connections are gone
  for (File& file : files_) {
    // What was not committed may have been written out, or not.
    for (std::size_t i = 0; i < kCounters; ++i)
      if (world_.rng.chance(0.5)) file.now[i] = file.stable[i];
    file.stable = file.now;
  }
  world_.note("storage: restart, down for {} ms",
              std::chrono::duration_cast<milliseconds>(down).count());
}

}  // namespace holdfast::sim
