#include "fs/volume/marker.h"

#include "holdfast/base/log.h"

#include <chrono>
#include <span>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

constexpr std::uint32_t kMarkerBytesMax = 4096;
// Only where LINK does not exist is a marker ever seen half written; its creator needs no longer.
constexpr int kReadAttempts = 20;
constexpr auto kReadPause = std::chrono::milliseconds(100);

bool is_refusal(const ErrorCode& error) {
  return error == errno_code(EACCES) || error == errno_code(EPERM) || error == errno_code(EROFS);
}
bool lacks_links(const ErrorCode& error) {
  return error == errno_code(EOPNOTSUPP) || error == errno_code(EPERM) ||
         error == errno_code(EMLINK);
}

Credentials owner_of(const Entry& entry) {
  return {entry.attributes.uid, entry.attributes.gid, {}};
}

asio::awaitable<Result<void>> write_marker(Backend& backend, Credentials who, FileHandle file,
                                           std::string text) {
  std::span<const std::uint8_t> rest(reinterpret_cast<const std::uint8_t*>(text.data()),
                                     text.size());
  std::uint64_t offset = 0;
  while (!rest.empty()) {
    auto wrote = co_await backend.write(who, file, offset, rest, Stability::kFileSync);
    if (!wrote) co_return wrote.error();
    if (wrote->count == 0 || wrote->count > rest.size()) co_return errno_code(EIO);
    if (wrote->committed != Stability::kFileSync) co_return errno_code(EIO);
    offset += wrote->count;
    rest = rest.subspan(wrote->count);
  }
  co_return Result<void>();
}

/// For storage without hard links: the name is exclusive, the content follows.
asio::awaitable<Result<void>> make_in_place(Backend& backend, Credentials who, FileHandle directory,
                                            std::string text) {
  SetAttributes attributes;
  attributes.mode = 0444;
  const std::string name(kMarkerName);
  auto file = co_await backend.create(who, directory, name, CreateMode::kExclusive, attributes);
  if (!file && file.error() == errno_code(EEXIST)) co_return Result<void>();
  if (!file) co_return file.error();
  co_return co_await write_marker(backend, who, file->handle, std::move(text));
}

asio::awaitable<Result<void>> make_as(Backend& backend, Credentials who, FileHandle directory) {
  const std::string text = marker_text(make_volume_id());
  const std::string name(kMarkerName);
  const std::string temporary = std::string(kMarkerTemporaryPrefix) + to_string(make_volume_id());
  SetAttributes attributes;
  attributes.mode = 0444;  // every mount reads it, whoever it runs as
  auto file =
      co_await backend.create(who, directory, temporary, CreateMode::kExclusive, attributes);
  if (!file) co_return file.error();
  auto written = co_await write_marker(backend, who, file->handle, text);
  Result<void> linked;
  if (written) {
    auto link = co_await backend.link(who, file->handle, directory, name);
    if (!link && link.error() != errno_code(EEXIST)) linked = link.error();
  }
  auto removed = co_await backend.remove(who, directory, temporary);
  if (!removed)
    log::warn("volume.leftover", "name={} error=\"{}\"", temporary, removed.error().message());
  if (!written) co_return written;
  if (!linked && lacks_links(linked.error()))
    co_return co_await make_in_place(backend, who, directory, text);
  co_return linked;
}

}  // namespace

asio::awaitable<Result<Entry>> lookup_as_somebody(Backend& backend, Credentials who,
                                                  Entry directory, std::string name) {
  auto entry = co_await backend.lookup(who, directory.handle, name);
  if (entry || !is_refusal(entry.error())) co_return entry;
  const Credentials owner = owner_of(directory);
  if (owner.uid == who.uid) co_return entry;
  co_return co_await backend.lookup(owner, directory.handle, name);
}

asio::awaitable<Result<VolumeId>> read_marker(Backend& backend, Credentials who, Entry directory) {
  const std::string name(kMarkerName);
  asio::steady_timer pause(co_await asio::this_coro::executor);
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    auto marker = co_await lookup_as_somebody(backend, who, directory, name);
    if (!marker && marker.error() == errno_code(ENOENT))
      co_return make_error_code(VolumeErrc::kMissing);
    if (!marker) co_return marker.error();
    if (marker->attributes.type != FileType::kRegular)
      co_return make_error_code(VolumeErrc::kDamaged);
    auto bytes = co_await backend.read(who, marker->handle, 0, kMarkerBytesMax);
    if (!bytes && is_refusal(bytes.error())) {
      const Credentials owner = owner_of(*marker);
      bytes = co_await backend.read(owner, marker->handle, 0, kMarkerBytesMax);
    }
    if (!bytes) co_return bytes.error();
    const std::string text(bytes->data.begin(), bytes->data.end());
    if (const auto id = parse_marker(text)) co_return *id;
    pause.expires_after(kReadPause);
    co_await pause.async_wait(asio::use_awaitable);
  }
  co_return make_error_code(VolumeErrc::kDamaged);
}

asio::awaitable<Result<void>> make_marker(Backend& backend, Credentials who, Entry directory) {
  auto made = co_await make_as(backend, who, directory.handle);
  if (made || !is_refusal(made.error())) co_return made;
  const Credentials owner = owner_of(directory);
  if (owner.uid != who.uid) {
    made = co_await make_as(backend, owner, directory.handle);
    if (made || !is_refusal(made.error())) co_return made;
  }
  co_return make_error_code(VolumeErrc::kNotWritable);
}

}  // namespace holdfast::fs
