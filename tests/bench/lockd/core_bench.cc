// What the coordinator's core costs. Run a release build: build/release/bin/bench_lockd_core

#include "lockd/core/coordinator.h"

#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>
#include <malloc.h>

namespace holdfast::lockd {
namespace {

using namespace std::chrono_literals;

constexpr FileKey kFile{1, 1};

LockRequest lock_of(OwnerId owner, FileKey file, std::uint64_t at, LockMode mode, Wait wait) {
  LockRequest request;
  request.file = file;
  request.owner = owner;
  request.handle = HandleId{owner.value};
  request.kind = OwnerKind::kPosix;
  request.mode = mode;
  request.range = *ByteRange::make(at, at + 1);
  request.wait = wait;
  return request;
}

class Client {
 public:
  explicit Client(Coordinator& core, std::uint64_t id) : core_(core), session_{id} {
    const auto effects = core.hello({}, {session_, {}, {}}, ConnectionId{id}, Instant{});
    if (effects.empty()) std::abort();
  }
  Effects send(const Command& command) {
    ++number_;
    return core_.request(session_, {{number_}, {acknowledge ? number_ - 1 : 0}, command},
                         Instant{});
  }
  bool acknowledge = true;

 private:
  Coordinator& core_;
  SessionId session_;
  std::uint64_t number_ = 0;
};

Options roomy() {
  Options options;
  options.limits.requests_in_flight_max = 1'000'000;
  return options;
}

/// lock + unlock of one byte in a file where `range(0)` other ranges are held.
void lock_unlock_among(benchmark::State& state) {
  Coordinator core(roomy(), {.epoch = {1}, .empty = false}, Instant{});
  Client others(core, 1);
  Client self(core, 2);
  const auto held = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t i = 0; i < held; ++i)
    others.send(lock_of(OwnerId{1 + i % 16}, kFile, 2 * i, LockMode::kExclusive, Wait::kNo));
  std::uint64_t at = 0;
  for (auto _ : state) {
    at = (at + 7919) % held;
    const auto mine = lock_of(OwnerId{99}, kFile, 2 * at + 1, LockMode::kExclusive, Wait::kNo);
    benchmark::DoNotOptimize(self.send(mine));
    benchmark::DoNotOptimize(
        self.send(UnlockRequest{kFile, LockSpace::kRange, OwnerId{99}, mine.range}));
  }
  state.SetItemsProcessed(state.iterations() * 2);
}
BENCHMARK(lock_unlock_among)->Arg(1)->Arg(1'000)->Arg(100'000);

/// As above, all the ranges shared and wide, by as many owners.
void lock_unlock_among_readers(benchmark::State& state) {
  Coordinator core(roomy(), {.epoch = {1}, .empty = false}, Instant{});
  Client others(core, 1);
  Client self(core, 2);
  for (std::int64_t i = 0; i < state.range(0); ++i)
    others.send(lock_of(OwnerId{static_cast<std::uint64_t>(i) + 1}, kFile, 0, LockMode::kShared,
                        Wait::kNo));
  const auto mine = lock_of(OwnerId{1'000'000}, kFile, 0, LockMode::kShared, Wait::kNo);
  for (auto _ : state) {
    benchmark::DoNotOptimize(self.send(mine));
    benchmark::DoNotOptimize(
        self.send(UnlockRequest{kFile, LockSpace::kRange, mine.owner, mine.range}));
  }
  state.SetItemsProcessed(state.iterations() * 2);
}
BENCHMARK(lock_unlock_among_readers)->Arg(1)->Arg(1'000)->Arg(100'000);

/// lock + unlock of files that nobody else uses.
void lock_unlock_of_idle_files(benchmark::State& state) {
  Coordinator core(roomy(), {.epoch = {1}, .empty = false}, Instant{});
  Client self(core, 1);
  std::uint64_t at = 0;
  for (auto _ : state) {
    const FileKey file{++at % 1'000, 0};
    const auto mine = lock_of(OwnerId{1}, file, 0, LockMode::kExclusive, Wait::kNo);
    benchmark::DoNotOptimize(self.send(mine));
    benchmark::DoNotOptimize(
        self.send(UnlockRequest{file, LockSpace::kRange, OwnerId{1}, mine.range}));
  }
  state.SetItemsProcessed(state.iterations() * 2);
}
BENCHMARK(lock_unlock_of_idle_files);

/// `range(0)` exclusive waiters on one byte, each of which unlocks when it is granted.
void hand_over_one_byte(benchmark::State& state) {
  const auto waiters = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    Coordinator core(roomy(), {.epoch = {1}, .empty = false}, Instant{});
    Client client(core, 1);
    client.acknowledge = false;
    for (std::uint64_t i = 0; i <= waiters; ++i)
      client.send(lock_of(OwnerId{1 + i}, kFile, 0, LockMode::kExclusive, Wait::kYes));
    for (std::uint64_t i = 0; i <= waiters; ++i)
      client.send(UnlockRequest{kFile, LockSpace::kRange, OwnerId{1 + i}, *ByteRange::make(0, 1)});
    if (core.probe().grants != waiters + 1) state.SkipWithError("not all were granted");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(hand_over_one_byte)->Arg(1'000)->Arg(10'000)->Unit(benchmark::kMillisecond);

/// Bytes per lock: 1,000,000 over 100,000 files, ten in each; `range(0)` owners share a file's ten.
void bytes_per_lock(benchmark::State& state) {
  constexpr std::uint64_t kFiles = 100'000;
  constexpr std::uint64_t kEach = 10;
  const auto owners = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    const std::size_t before = mallinfo2().uordblks;
    Coordinator core(roomy(), {.epoch = {1}, .empty = false}, Instant{});
    std::vector<Client> clients;
    for (std::uint64_t i = 0; i < 10; ++i)
      clients.emplace_back(core, i + 1);
    for (std::uint64_t file = 0; file < kFiles; ++file)
      for (std::uint64_t i = 0; i < kEach; ++i) {
        // A handle belongs to one file; an owner (a process) locks in many.
        auto request = lock_of(OwnerId{1 + i % owners}, FileKey{file, file}, 2 * i,
                               LockMode::kExclusive, Wait::kNo);
        request.handle = HandleId{file * owners + i % owners};
        clients[file % clients.size()].send(request);
      }
    if (core.probe().grants != kFiles * kEach) state.SkipWithError("not all were granted");
    state.counters["bytes"] =
        static_cast<double>(mallinfo2().uordblks - before) / static_cast<double>(kFiles * kEach);
  }
}
BENCHMARK(bytes_per_lock)->Arg(1)->Arg(2)->Arg(10)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace holdfast::lockd

BENCHMARK_MAIN();
