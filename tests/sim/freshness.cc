#include "tests/sim/freshness.h"

#include <algorithm>

namespace holdfast::sim {

Freshness::Write* Freshness::find(std::size_t file, std::size_t cell, std::uint64_t serial) {
  for (Write& write : writes(file, cell))
    if (write.serial == serial) return &write;
  return nullptr;
}

std::uint64_t Freshness::begins(std::size_t mount, std::size_t file, std::size_t cell) {
  Write write;
  write.serial = ended_.size();
  ended_.push_back(kNever);
  excused_.push_back(false);
  write.mount = mount;
  write.began = ++now_;
  writes(file, cell).push_back(write);
  return write.serial;
}

void Freshness::completed(std::size_t file, std::size_t cell, std::uint64_t serial) {
  Write* write = find(file, cell, serial);
  if (write != nullptr && write->ended == kNever) write->ended = ended_[serial] = ++now_;
}

void Freshness::failed(std::size_t file, std::size_t cell, std::uint64_t serial) {
  if (find(file, cell, serial) != nullptr) excused_[serial] = true;
}

void Freshness::arrived(std::size_t file, std::size_t cell, std::uint64_t serial) {
  if (Write* write = find(file, cell, serial)) write->arrived = true;
}

void Freshness::stable(std::size_t file, std::size_t cell, std::uint64_t serial) {
  Write* write = find(file, cell, serial);
  if (write == nullptr) return;
  write->stable = true;
  excused_[serial] = false;
  // Whatever it overwrote can never be seen again.
  if (write->ended == kNever) return;
  const Tick began = write->began;
  std::erase_if(writes(file, cell), [&](const Write& other) { return other.ended < began; });
}

void Freshness::lost(std::size_t mount, std::size_t file) {
  for (std::size_t cell = 0; cell < kCounters; ++cell)
    for (Write& write : writes(file, cell)) {
      if (write.mount != mount || write.stable) continue;
      write.forgotten = true;
      if (!write.arrived) excused_[write.serial] = true;
    }
}

void Freshness::lost(std::size_t mount) {
  for (std::size_t file = 0; file < cells_.size() / kCounters; ++file)
    lost(mount, file);
}

void Freshness::storage_restarted() {
  for (auto& cell : cells_)
    for (Write& write : cell)
      if (write.arrived && !write.stable) goes_again(write);
}

void Freshness::goes_again(std::size_t file, std::size_t cell, std::uint64_t serial) {
  ended_[serial] = kNever;
  excused_[serial] = true;
  if (Write* write = find(file, cell, serial)) goes_again(*write);
}

void Freshness::goes_again(Write& write) {
  excused_[write.serial] = true;
  write.ended = ended_[write.serial] = kNever;
}

void Freshness::check_clean(std::size_t mount, std::size_t file) {
  for (std::size_t cell = 0; cell < kCounters; ++cell) {
    // What a later write of the same mount has overwritten need not be stable itself.
    Tick stable = 0;
    for (const Write& write : writes(file, cell))
      if (write.stable) stable = std::max(stable, write.began);
    for (const Write& write : writes(file, cell)) {
      if (write.mount != mount || !counts(write) || write.stable || write.forgotten ||
          write.ended < stable)
        continue;
      world_.violation("T5 first clean",
                       fmt::format("mount {} gives up file {} before write {} to cell {} is on "
                                   "stable storage",
                                   mount, file, write.serial, cell));
      return;
    }
  }
}

Freshness::Floor Freshness::floor(std::size_t file, std::size_t cell) const {
  Floor floor;
  for (const Write& write : cells_[file * kCounters + cell])
    if (counts(write)) floor.push_back({write.began, write.serial});
  return floor;
}

Freshness::Floors Freshness::floors(std::size_t file) const {
  Floors floors;
  for (std::size_t cell = 0; cell < kCounters; ++cell)
    floors[cell] = floor(file, cell);
  return floors;
}

void Freshness::seen(std::size_t mount, std::size_t file, std::size_t cell, std::uint64_t serial,
                     const Floor& floor, const char* how) {
  for (const Acknowledged& earlier : floor) {
    if (excused_[earlier.serial] || ended_[serial] >= earlier.began) continue;
    world_.violation(
        "I4 freshness",
        fmt::format("mount {} sees write {} in cell {} of file {} by {}, and a later one ({}) "
                    "had been acknowledged before it asked",
                    mount, serial, cell, file, how, earlier.serial));
    return;
  }
}

}  // namespace holdfast::sim
