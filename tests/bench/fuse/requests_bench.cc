// What it costs to count, time and show a request of the kernel: bin/bench_requests
#include "fs/fuse/requests.h"

#include <filesystem>

#include <benchmark/benchmark.h>
#include <linux/fuse.h>
#include <unistd.h>

namespace holdfast::fs {
namespace {

/// One after the other, while `open` others wait.
void BM_Request(benchmark::State& bench) {
  std::string directory = std::filesystem::temp_directory_path() / "holdfast-bench.XXXXXX";
  ::mkdtemp(directory.data());
  {
    counters::Counters counters(directory);
    state::State state(directory);
    Requests requests(&counters, &state);
    fuse_in_header in{};
    in.len = sizeof in;
    in.opcode = FUSE_GETATTR;
    in.pid = 1;
    fuse_out_header out{};
    out.len = sizeof out;
    const iovec answer{&out, sizeof out};
    for (; in.unique < 2 * static_cast<std::uint64_t>(bench.range(0)); in.unique += 2)
      requests.arrived(&in, sizeof in);
    for ([[maybe_unused]] auto _ : bench) {
      in.unique += 2;
      out.unique = in.unique;
      requests.arrived(&in, sizeof in);
      requests.answered(&answer, 1, sizeof out);
    }
  }
  std::filesystem::remove_all(directory);
}
BENCHMARK(BM_Request)->Arg(0)->Arg(32)->Arg(200);

}  // namespace
}  // namespace holdfast::fs
BENCHMARK_MAIN();
