#include "fs/volume/volume.h"

#include "fs/volume/marker.h"

#include <utility>
#include <vector>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

// The storage ends here, or says so in its own way (ganesha and knfsd differ at an export's root).
bool is_top(const ErrorCode& error) {
  for (const int known : {ENOENT, EACCES, EPERM, EXDEV, ESTALE, EINVAL, ENOTDIR, EOPNOTSUPP}) {
    if (error == errno_code(known)) return true;
  }
  return false;
}

/// The mounted directory and those above it, upward.
asio::awaitable<Result<std::vector<Entry>>> levels(Backend& backend, Credentials who) {
  auto root = co_await backend.root();
  if (!root) co_return root.error();
  std::vector<Entry> out{*root};
  while (true) {
    const Entry& below = out.back();
    auto above = co_await lookup_as_somebody(backend, who, below, "..");
    if (!above && is_top(above.error())) co_return out;
    if (!above) co_return above.error();
    if (above->handle == below.handle) co_return out;
    if (out.size() > kVolumeLevelsMax) co_return make_error_code(VolumeErrc::kDamaged);
    out.push_back(*above);
  }
}

asio::awaitable<Result<Volume>> look(Backend& backend, Credentials who,
                                     const std::vector<Entry>& directories) {
  Volume volume;
  for (std::size_t level = 0; level < directories.size(); ++level) {
    auto id = co_await read_marker(backend, who, directories[level]);
    if (!id && id.error() == make_error_code(VolumeErrc::kMissing)) continue;
    // A directory above that we may not search has nothing to say; the mounted one must.
    if (!id && level > 0 && is_top(id.error())) continue;
    if (!id) co_return id.error();
    volume.id = *id;
    volume.levels_up = static_cast<unsigned>(level);
    ++volume.markers_seen;
  }
  if (volume.markers_seen == 0) co_return make_error_code(VolumeErrc::kMissing);
  co_return volume;
}

}  // namespace

asio::awaitable<Result<Volume>> find_volume(Backend& backend, VolumeOptions options) {
  auto directories = co_await levels(backend, options.who);
  if (!directories) co_return directories.error();
  auto found = co_await look(backend, options.who, *directories);
  const bool missing = !found && found.error() == make_error_code(VolumeErrc::kMissing);
  if (missing && !options.expected && options.make != MakeMarker::kNever) {
    // From the top down to the first directory that lets us.
    std::size_t level = options.make == MakeMarker::kTopmost ? directories->size() - 1 : 0;
    while (true) {
      auto made = co_await make_marker(backend, options.who, (*directories)[level]);
      if (made) break;
      const bool refused = made.error() == make_error_code(VolumeErrc::kNotWritable);
      if (!refused || level == 0) co_return made.error();
      --level;
    }
    // Whoever won a race made the one that counts.
    found = co_await look(backend, options.who, *directories);
    if (found) found->made = true;
  }
  if (!found) co_return found;
  if (options.expected && *options.expected != found->id)
    co_return make_error_code(VolumeErrc::kOtherVolume);
  co_return found;
}

}  // namespace holdfast::fs
