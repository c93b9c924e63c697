#include "cli/bench/scenario.h"

#include "cli/bench/process_load.h"
#include "cli/mount/credentials.h"
#include "cli/mount/settings.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast::bench {
namespace {

constexpr std::size_t kOpenAtOnce = 200;
constexpr std::uint64_t kAsker = std::uint64_t{1} << 62;  // an owner nobody else is

Target given(const Options& options) {
  auto address = wire::parse_address(*options.lockd);
  if (!address) throw SetupError("--lockd: " + address.error().what);
  cli::MountOptions mount;
  for (const std::string& text : options.mount_options) {
    const auto parsed = cli::parse_options(text, cli::UnknownOptions::kRefuse, mount);
    if (!parsed) throw SetupError(parsed.error().what);
  }
  const auto credentials = cli::credentials_for(mount, {*address});
  if (!credentials) throw SetupError(credentials.error().what);
  Target target{.address = *std::move(address)};
  target.tls = credentials->tls;
  if (credentials->token) target.token = credentials->token();
  if (mount.volume_id) target.volume = *mount.volume_id;
  return target;
}

}  // namespace

void progress(std::string_view scenario, std::string_view text) {
  fmt::print(stderr, "{}: {}\n", scenario, text);
}

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

std::chrono::milliseconds patience(const Options& options) {
  return std::chrono::seconds(options.patience_s);
}

double percentile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

Stage::Stage(const Options& options, std::vector<std::string> more) {
  if (options.lockd) {
    target_ = given(options);
    return;
  }
  if (!options.mount_options.empty()) throw SetupError("-o: only with --lockd");
  own_ = std::make_unique<OwnLockd>(options, std::move(more));
  target_.address = own_->address();
}

std::optional<double> Stage::cpu() const {
  const auto time = own_ ? cpu_time(own_->pid()) : std::nullopt;
  if (!time) return std::nullopt;
  return std::chrono::duration<double>(*time).count();
}

std::optional<double> Stage::resident() const {
  const auto size = own_ ? resident_size(own_->pid()) : std::nullopt;
  if (!size) return std::nullopt;
  return static_cast<double>(*size);
}

bool open_all(Swarm& swarm, const Options& options, ScenarioResult& result) {
  progress(result.name, fmt::format("opening {} sessions", swarm.size()));
  const auto begun = Clock::now();
  swarm.connect_all(kOpenAtOnce);
  const bool all =
      swarm.run_until([&] { return swarm.clients_up() == swarm.size(); }, patience(options));
  result.require(all, fmt::format("{} of {} sessions could be opened; last refusal: {}",
                                  swarm.clients_up(), swarm.size(), swarm.counts().last_refusal));
  result.figure("sessions opened a second, each recorded",
                static_cast<double>(swarm.size()) / seconds_since(begun), "/s");
  return all;
}

PipelineResult run_pipeline(Swarm& swarm, const Pipeline& pipeline, const Options& options) {
  PipelineResult result;
  std::uint64_t asked = 0;
  const auto ask_more = [&] {
    while (asked < pipeline.total && asked - result.done < pipeline.depth) {
      auto [client, command] = pipeline.next(asked);
      if (!swarm.up(client)) return;  // lost: the run ends with its patience
      swarm.ask(client, std::move(command), asked++);
    }
  };
  swarm.on_reply = [&](std::size_t, std::uint64_t tag, const Outcome& outcome, Clock::time_point) {
    ++result.done;
    if (!pipeline.right(tag, outcome)) {
      if (result.wrong++ == 0) {
        result.first_wrong = fmt::format("number {}: {}", tag, to_text(outcome));
      }
    }
    ask_more();
  };
  const auto begun = Clock::now();
  ask_more();
  const auto cut_before = swarm.counts().cut;
  static_cast<void>(swarm.run_until(
      [&] { return result.done == pipeline.total || swarm.counts().cut > cut_before; },
      patience(options)));
  result.seconds = seconds_since(begun);
  swarm.on_reply = nullptr;
  return result;
}

void require_all(const PipelineResult& ran, std::size_t total, std::string_view what,
                 ScenarioResult& result) {
  result.require(ran.done == total, fmt::format("{}: {} of {} answered", what, ran.done, total));
  result.require(ran.wrong == 0, fmt::format("{}: {} wrong answers; the first: {}", what, ran.wrong,
                                             ran.first_wrong));
}

std::string to_text(const Outcome& outcome) {
  if (std::holds_alternative<Granted>(outcome)) return "granted";
  if (std::holds_alternative<Done>(outcome)) return "done";
  if (const auto* refused = std::get_if<Refused>(&outcome)) {
    return "refused: " + describe(refused->errc, refused->limit);
  }
  return std::get<QueryResult>(outcome).conflict ? "a lock is in the way" : "nothing is in the way";
}

bool granted(std::uint64_t, const Outcome& outcome) {
  return std::holds_alternative<Granted>(outcome);
}

bool done(std::uint64_t, const Outcome& outcome) {
  return std::holds_alternative<Done>(outcome);
}

bool in_the_way(std::uint64_t, const Outcome& outcome) {
  const auto* found = std::get_if<QueryResult>(&outcome);
  return found != nullptr && found->conflict.has_value();
}

// The finalizer of splitmix64 stands for the hash of a file handle. A mere multiple of the fileid
// could meet the multiplier of std::hash<FileKey>, and all files would collide.
FileKey file_key(std::uint64_t file) {
  std::uint64_t hash = file + 1;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
  return {.fileid = file + 1, .handle_hash = hash ^ (hash >> 31)};
}

LockRequest exclusive(std::uint64_t file, std::uint64_t owner, ByteRange range) {
  LockRequest request;
  request.file = file_key(file);
  request.owner = {owner};
  request.handle = {owner};
  request.mode = LockMode::kExclusive;
  request.range = range;
  return request;
}

UnlockRequest unlock(std::uint64_t file, std::uint64_t owner, ByteRange range) {
  UnlockRequest request;
  request.file = file_key(file);
  request.owner = {owner};
  request.range = range;
  return request;
}

QueryRequest query(std::uint64_t file, ByteRange range) {
  QueryRequest request;
  request.file = file_key(file);
  request.owner = {kAsker};
  request.mode = LockMode::kExclusive;
  request.range = range;
  return request;
}

HeldLock as_held(const LockRequest& request) {
  HeldLock held;
  held.file = request.file;
  held.space = request.space;
  held.owner = request.owner;
  held.handle = request.handle;
  held.mode = request.mode;
  held.range = request.range;
  return held;
}

}  // namespace holdfast::bench
