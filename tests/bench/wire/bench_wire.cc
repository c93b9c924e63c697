// What the wire costs: lockd's server on a thread of its own, its CPU time measured apart, and a
// client on this thread, over loopback TCP.
//
//   Pipelined        lock and unlock, many requests in flight, the client as cheap as possible
//   RoundTrip        one request at a time, over raw sockets: the floor
//   LockClient       one lock+unlock pair at a time through the mount's client: what a caller waits
//   CodecRequest     encode and decode of one request, no socket
#include "fs/lock/lock_client.h"
#include "holdfast/base/log.h"
#include "tests/support/lock/driven_loop.h"
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/raw_peer.h"

#include <ctime>

#include <benchmark/benchmark.h>

namespace holdfast {
namespace {

using support::lock_request;
using support::unlock_request;

double cpu_seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// CPU time that lockd's thread used so far.
double server_cpu(support::InProcessLockd& lockd) {
  double seconds = 0;
  lockd.inspect([&](const lockd::Server&) { seconds = cpu_seconds(CLOCK_THREAD_CPUTIME_ID); });
  return seconds;
}

void report(benchmark::State& state, double requests, double server_seconds) {
  state.counters["requests/s"] = benchmark::Counter(requests, benchmark::Counter::kIsRate);
  // What one core could serve if the client's side cost nothing.
  state.counters["requests/server_core_s"] = requests / server_seconds;
}

void Pipelined(benchmark::State& state) {
  support::InProcessLockd lockd;
  support::RawPeer peer(lockd.address());
  peer.open_session();
  const auto pairs = static_cast<std::uint64_t>(state.range(0));
  wire::Codec codec;
  std::uint64_t number = 0;
  const double before = server_cpu(lockd);
  for (auto _ : state) {
    std::string bytes;
    const std::uint64_t answered = number;
    for (std::uint64_t i = 0; i < pairs; ++i) {
      static_cast<void>(codec.append_frame(
          bytes,
          ClientMessage(Request{{++number}, {answered}, lock_request(1, LockMode::kExclusive)})));
      static_cast<void>(codec.append_frame(
          bytes, ClientMessage(Request{{++number}, {answered}, unlock_request(1)})));
    }
    peer.send_bytes(bytes);
    for (std::uint64_t i = 0; i < 2 * pairs; ++i)
      benchmark::DoNotOptimize(peer.receive());
  }
  report(state, static_cast<double>(number), server_cpu(lockd) - before);
}
BENCHMARK(Pipelined)->Arg(8)->Arg(64)->Arg(512)->UseRealTime();

void RoundTrip(benchmark::State& state) {
  support::InProcessLockd lockd;
  support::RawPeer peer(lockd.address());
  peer.open_session();
  std::uint64_t number = 0;
  const double before = server_cpu(lockd);
  for (auto _ : state) {
    benchmark::DoNotOptimize(peer.ask(number + 1, lock_request(1, LockMode::kExclusive), number));
    benchmark::DoNotOptimize(peer.ask(number + 2, unlock_request(1), number + 1));
    number += 2;
  }
  report(state, static_cast<double>(number), server_cpu(lockd) - before);
}
BENCHMARK(RoundTrip)->UseRealTime();

void LockClient(benchmark::State& state) {
  support::InProcessLockd lockd;
  support::DrivenLoop loop;
  fs::LockClientOptions options;
  options.addresses = {lockd.address()};
  fs::LockClient client(loop.executor(), options);
  if (!loop.run(client.start())) return state.SkipWithError("no lockd");
  constexpr int kPairs = 1000;
  auto pairs = [](fs::LockClient& one) -> boost::asio::awaitable<void> {
    for (int i = 0; i < kPairs; ++i) {
      benchmark::DoNotOptimize(co_await one.lock(lock_request(1, LockMode::kExclusive), nullptr));
      benchmark::DoNotOptimize(co_await one.unlock(unlock_request(1)));
    }
  };
  const double before = server_cpu(lockd);
  double requests = 0;
  for (auto _ : state) {
    loop.run(pairs(client));
    requests += 2 * kPairs;
  }
  report(state, requests, server_cpu(lockd) - before);
  loop.run(client.stop());
}
BENCHMARK(LockClient)->UseRealTime()->Unit(benchmark::kMillisecond);

void CodecRequest(benchmark::State& state) {
  wire::Codec codec;
  const ClientMessage message(Request{{7}, {6}, lock_request(1, LockMode::kExclusive)});
  std::string bytes;
  for (auto _ : state) {
    bytes.clear();
    static_cast<void>(codec.append_frame(bytes, message));
    benchmark::DoNotOptimize(
        codec.decode_client(std::as_bytes(std::span(bytes)).subspan(wire::kFrameHeaderSize)));
  }
}
BENCHMARK(CodecRequest);

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  holdfast::log::configure({.level = holdfast::log::Level::kWarn, .format = {}});
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
