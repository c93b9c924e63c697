// An export, tried over our own NFS version 3.
#include "cli/doctor/gather.h"
#include "cli/mount/storage.h"
#include "fs/backend/nfs3/nfs3_backend.h"
#include "fs/volume/volume.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <fmt/format.h>

namespace asio = boost::asio;
using std::chrono::microseconds;
using std::chrono::steady_clock;

namespace holdfast::cli {
namespace {

using BackendPtr = std::unique_ptr<fs::nfs3::Nfs3Backend>;

constexpr std::chrono::milliseconds kCallMax{5'000};
constexpr int kSamples = 9;
constexpr std::uint32_t kOrdinaryUser = 1'000;
constexpr std::size_t kPage = 4'096;

microseconds since(steady_clock::time_point then) {
  return std::chrono::duration_cast<microseconds>(steady_clock::now() - then);
}

microseconds median(std::vector<microseconds> samples) {
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

// The times of files are wall time, so here alone it is asked for.
std::chrono::milliseconds wall_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::chrono::milliseconds(now.tv_sec * 1'000 + now.tv_nsec / 1'000'000);
}

class Trial {
 public:
  Trial(ExportFacts& facts, BackendPtr one, BackendPtr other)
      : facts_(facts), one_(std::move(one)), other_(std::move(other)) {
    std::random_device random;
    name_ = fmt::format("{}{:08x}{:08x}", kTrialPrefix, random(), random());
  }

  asio::awaitable<void> run() {
    const auto root = co_await one_->root();
    if (!root) {
      facts_.error = to_errno(root.error());
      facts_.error_text = fmt::format("{}: {}", one_->describe(), root.error().message());
      co_return co_await stop();
    }
    root_ = root->handle;
    facts_.root = root->attributes;
    facts_.read_max = one_->limits().read_max;
    facts_.write_max = one_->limits().write_max;
    const fs::Credentials owner{facts_.root.uid, facts_.root.gid, {}};
    const auto space = co_await one_->fsstat(owner);
    if (space) facts_.space = *space;
    co_await round_trip();
    const fs::Credentials root_user{0, 0, {}};
    const fs::Credentials ordinary_user{kOrdinaryUser, kOrdinaryUser, {}};
    facts_.as_root = co_await make_as(root_user);
    if (facts_.root.uid != 0) facts_.as_owner = co_await make_as(owner);
    facts_.as_user = co_await make_as(ordinary_user);
    if (const auto who = writer()) co_await with_a_file(*who);
    co_await volume();
    co_await stop();
  }

 private:
  // Root where it may, else the owner of the directory.
  [[nodiscard]] std::optional<fs::Credentials> writer() const {
    if (facts_.as_root && facts_.as_root->error == 0) return fs::Credentials{0, 0, {}};
    if (facts_.as_owner && facts_.as_owner->error == 0)
      return fs::Credentials{facts_.root.uid, facts_.root.gid, {}};
    return std::nullopt;
  }

  asio::awaitable<void> stop() {
    co_await one_->stop();
    if (other_) co_await other_->stop();
  }

  asio::awaitable<void> round_trip() {
    const fs::Credentials who;
    std::vector<microseconds> samples;
    for (int i = 0; i < kSamples; ++i) {
      const auto asked = steady_clock::now();
      const auto got = co_await one_->getattr(who, root_);
      if (got) samples.push_back(since(asked));
    }
    if (!samples.empty()) facts_.round_trip = median(samples);
  }

  asio::awaitable<MadeAs> make_as(fs::Credentials who) {
    MadeAs made{.uid = who.uid, .error = 0, .owner = 0};
    fs::SetAttributes attributes;
    attributes.mode = 0600;
    const auto file =
        co_await one_->create(who, root_, name_, fs::CreateMode::kUnchecked, attributes);
    if (!file) {
      made.error = to_errno(file.error());
      co_return made;
    }
    made.owner = file->attributes.uid;
    (void)co_await one_->remove(who, root_, name_);
    co_return made;
  }

  asio::awaitable<void> with_a_file(fs::Credentials who) {
    fs::SetAttributes attributes;
    attributes.mode = 0600;
    const auto file =
        co_await one_->create(who, root_, name_, fs::CreateMode::kExclusive, attributes);
    if (!file) co_return;
    const auto again =
        co_await one_->create(who, root_, name_, fs::CreateMode::kExclusive, attributes);
    facts_.exclusive = !again && to_errno(again.error()) == EEXIST;
    const bool seen = co_await other_sees(who);
    co_await stable_write(who, file->handle);
    co_await clock(who, file->handle);
    (void)co_await one_->remove(who, root_, name_);
    const bool still_seen = co_await other_sees(who);
    if (other_) facts_.seen_at_once = seen && !still_seen;
  }

  asio::awaitable<bool> other_sees(fs::Credentials who) {
    if (!other_) co_return false;
    const auto found = co_await other_->lookup(who, root_, name_);
    co_return found.has_value();
  }

  asio::awaitable<void> stable_write(fs::Credentials who, fs::FileHandle file) {
    const std::vector<std::uint8_t> page(kPage, 0x5a);
    std::vector<microseconds> samples;
    for (int i = 0; i < kSamples; ++i) {
      const auto begun = steady_clock::now();
      const auto written = co_await one_->write(who, file, 0, page, fs::Stability::kUnstable);
      if (!written) co_return;
      const auto stable = co_await one_->commit(who, file, 0, 0);
      if (!stable) co_return;
      samples.push_back(since(begun));
    }
    facts_.stable_write = median(samples);
  }

  asio::awaitable<void> clock(fs::Credentials who, fs::FileHandle file) {
    const std::array<std::uint8_t, 1> byte{};
    const auto before = wall_now();
    const auto written = co_await one_->write(who, file, 0, byte, fs::Stability::kFileSync);
    const auto after = wall_now();
    if (!written) co_return;
    const auto attributes = co_await one_->getattr(who, file);
    if (!attributes) co_return;
    const timespec& at = attributes->mtime;
    const std::chrono::milliseconds server(at.tv_sec * 1'000 + at.tv_nsec / 1'000'000);
    facts_.clock_ahead = server - (before + after) / 2;
    facts_.whole_seconds = at.tv_nsec == 0 && attributes->ctime.tv_nsec == 0 &&
                           facts_.root.mtime.tv_nsec == 0 && facts_.root.ctime.tv_nsec == 0;
  }

  asio::awaitable<void> volume() {
    fs::VolumeOptions options;
    options.make = fs::MakeMarker::kNever;
    options.who = {facts_.root.uid, facts_.root.gid, {}};
    const auto found = co_await fs::find_volume(*one_, options);
    if (found) {
      facts_.volume = found->id;
    } else if (found.error() == make_error_code(fs::VolumeErrc::kMissing)) {
      facts_.volume_error = ENOENT;
    } else if (found.error() == make_error_code(fs::VolumeErrc::kDamaged)) {
      facts_.volume_error = EUCLEAN;
    } else {
      facts_.volume_error = to_errno(found.error());
    }
  }

  ExportFacts& facts_;
  BackendPtr one_;
  BackendPtr other_;  // a second connection; may be null
  fs::FileHandle root_;
  std::string name_;
};

asio::awaitable<void> try_export(asio::io_context& loop, const NfsSource& source,
                                 fs::nfs3::Options options, ExportFacts& facts) {
  auto one = co_await fs::nfs3::Nfs3Backend::mount(loop.get_executor(), options);
  if (!one.backend) {
    facts.error = to_errno(one.failure.code);
    facts.error_text = one.failure.text;
    facts.hint = nfs_hint(one.failure.code, source);
    co_return;
  }
  auto other = co_await fs::nfs3::Nfs3Backend::mount(loop.get_executor(), options);
  Trial trial(facts, std::move(one.backend), std::move(other.backend));
  co_await trial.run();
}

}  // namespace

ExportFacts gather_export(const NfsSource& source, const MountOptions& mount_options) {
  ExportFacts facts;
  facts.server = source.server;
  facts.path = source.path;
  facts.expected = mount_options.volume_id;
  fs::nfs3::Options options = nfs_options(source, mount_options);
  options.hard = false;
  options.timeo = kCallMax;
  options.mount_timeout = kCallMax;
  options.connections = 1;
  asio::io_context loop(1);
  auto trying = asio::co_spawn(loop, try_export(loop, source, options, facts), asio::use_future);
  loop.run();
  trying.get();
  return facts;
}

}  // namespace holdfast::cli
