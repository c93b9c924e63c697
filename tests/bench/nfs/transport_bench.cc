// Streams through the NFS client alone, as a peer of `holdfast bench fs`: no FUSE, no kernel's page
// cache, no locks.
//   transport_bench SERVER EXPORT [--port N] [--mountport N] [--megabytes N] [--rounds N]
// One file is written from end to end in calls of 1 MiB, unstable and then committed, and read
// again; --depth calls are under way at a time. Prints the results in the form of `holdfast bench
// fs --json`. Needs no privilege but the server's. Exit status: 0 measured, 1 not.
#include "fs/backend/nfs3/nfs3_backend.h"
#include "holdfast/base/memory.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <unistd.h>

namespace {

using holdfast::fs::Credentials;
using holdfast::fs::FileHandle;
using holdfast::fs::nfs3::Nfs3Backend;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kPiece = 1U << 20;

struct Settings {
  holdfast::fs::nfs3::Options nfs;
  unsigned megabytes = 128;
  unsigned rounds = 3;
  unsigned depth = 8;
};

template <class T>
T must(holdfast::Result<T> result, const char* what) {
  if (!result) throw std::runtime_error(std::string(what) + ": " + result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

class Stream {
 public:
  Stream(boost::asio::io_context& io, Nfs3Backend& backend, const Settings& settings)
      : io_(io), backend_(backend), settings_(settings), data_(kPiece, 0x5a) {}

  boost::asio::awaitable<void> run() {
    const FileHandle root = must(co_await backend_.root(), "the export's root").handle;
    const std::string name = "transport-bench-" + std::to_string(::getpid());
    const auto made =
        must(co_await backend_.create(who_, root, name, holdfast::fs::CreateMode::kExclusive, {}),
             "creating a file");
    file_ = made.handle;
    const Call write_piece = [this](std::uint64_t at) { return write(at); };
    const Call read_piece = [this](std::uint64_t at) { return read(at); };
    for (unsigned round = 0; round < settings_.rounds; ++round) {
      auto begin = Clock::now();
      co_await all_pieces(write_piece);
      must(co_await backend_.commit(who_, file_, 0, 0), "COMMIT");
      writes.push_back(settings_.megabytes / seconds_since(begin));
      begin = Clock::now();
      co_await all_pieces(read_piece);
      reads.push_back(settings_.megabytes / seconds_since(begin));
    }
    must(co_await backend_.remove(who_, root, name), "removing the file");
  }

  std::vector<double> writes;  ///< MiB a second, one for each round
  std::vector<double> reads;

 private:
  using Call = std::function<boost::asio::awaitable<void>(std::uint64_t)>;

  static double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }
  boost::asio::awaitable<void> write(std::uint64_t at) {
    const auto done =
        must(co_await backend_.write(who_, file_, at, data_, holdfast::fs::Stability::kUnstable),
             "WRITE");
    if (done.count != kPiece) throw std::runtime_error("WRITE: the server took only a part");
  }
  boost::asio::awaitable<void> read(std::uint64_t at) {
    const auto got = must(co_await backend_.read(who_, file_, at, kPiece), "READ");
    if (got.data != data_) throw std::runtime_error("READ: other bytes than were written");
  }

  /// `depth` workers share the pieces of the file, from its beginning.
  boost::asio::awaitable<void> all_pieces(Call call) {
    unsigned next = 0;
    unsigned working = settings_.depth;
    std::exception_ptr failure;
    boost::asio::steady_timer done(io_, Clock::time_point::max());
    const auto worker = [&]() -> boost::asio::awaitable<void> {
      while (next < settings_.megabytes && !failure)
        co_await call(std::uint64_t{kPiece} * next++);
    };
    for (unsigned i = 0; i < settings_.depth; ++i) {
      boost::asio::co_spawn(io_, worker(), [&](std::exception_ptr error) {
        if (error) failure = error;
        if (--working == 0) done.cancel();
      });
    }
    while (working > 0) {
      boost::system::error_code ignored;
      co_await done.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    }
    if (failure) std::rethrow_exception(failure);
  }

  boost::asio::io_context& io_;
  Nfs3Backend& backend_;
  const Settings& settings_;
  const Credentials who_{::geteuid(), ::getegid(), {}};
  const std::vector<std::uint8_t> data_;
  FileHandle file_;
};

void print_one(const char* name, std::vector<double> rates, bool last) {
  std::sort(rates.begin(), rates.end());
  std::printf(
      R"({"name":"%s","place":"transport","unit":"MiB","failure":null,"ops_per_s":%.1f,"p50_us":null,"p99_us":null,)"
      R"("max_us":null,"nfs_calls_per_op":null,"lockd_calls_per_op":null,"fuse_requests_per_op":null,"counts_per_op":{},)"
      R"("workers":[]}%s)",
      name, rates[rates.size() / 2], last ? "" : ",");
}

boost::asio::awaitable<void> measure(boost::asio::io_context& io, const Settings& settings) {
  auto outcome = co_await Nfs3Backend::mount(io.get_executor(), settings.nfs);
  if (!outcome.backend) throw std::runtime_error(outcome.failure.text);
  Stream stream(io, *outcome.backend, settings);
  std::exception_ptr failure;
  try {
    co_await stream.run();
  } catch (...) {
    failure = std::current_exception();
  }
  co_await outcome.backend->stop();
  if (failure) std::rethrow_exception(failure);
  std::printf(R"({"scenarios":[)");
  print_one("stream-write", stream.writes, false);
  print_one("stream-read-cold", stream.reads, true);
  std::printf("]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Streams through Holdfast's NFS client alone");
  app.add_option("server", settings.nfs.server)->required();
  app.add_option("export", settings.nfs.path)->required();
  app.add_option("--port", settings.nfs.port);
  app.add_option("--mountport", settings.nfs.mountport);
  app.add_option("--megabytes", settings.megabytes)->check(CLI::Range(1, 1 << 20));
  app.add_option("--rounds", settings.rounds)->check(CLI::Range(1, 1000));
  app.add_option("--depth", settings.depth, "Calls under way at a time")->check(CLI::Range(1, 256));
  CLI11_PARSE(app, argc, argv);

  holdfast::keep_freed_memory();  // as a mount
  boost::asio::io_context io;
  int status = 0;
  boost::asio::co_spawn(io, measure(io, settings), [&](std::exception_ptr error) {
    if (!error) return;
    status = 1;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "transport_bench: %s\n", e.what());
    }
  });
  io.run();
  return status;
}
