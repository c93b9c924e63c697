#include "cli/mount/storage.h"

#include "fs/backend/dir/dir_backend.h"
#include "fs/backend/nfs3/nfs3_backend.h"
#include "fs/owner/mapped_backend.h"
#include "fs/volume/volume.h"
#include "holdfast/base/log.h"

#include <fmt/format.h>
#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::cli {
namespace {

Failure volume_failure(const ErrorCode& error, const MountSettings& settings,
                       const fs::Backend& backend) {
  using fs::VolumeErrc;
  Failure out{kExitMount, fmt::format("{}: {}", backend.describe(), error.message()), ""};
  if (error == make_error_code(VolumeErrc::kNotWritable)) {
    out.what = fmt::format(
        "{} has no volume marker yet, and neither root nor the directory's owner may create one",
        backend.describe());
    out.hint = fmt::format(
        "give the export's root to an ordinary user, or create {} once from a machine that may "
        "write there "
        "(any mount with write access does it)",
        fs::kMarkerName);
  } else if (error == make_error_code(VolumeErrc::kMissing)) {
    out.what = fmt::format("{} has no volume marker ({})", backend.describe(), fs::kMarkerName);
    out.hint = settings.options.volume_id
                   ? "volume_id= was given, so none is created: is the right disk exported?"
                   : "mount it once without \"ro\" to create one";
  } else if (error == make_error_code(VolumeErrc::kOtherVolume)) {
    out.what = fmt::format("{} is another volume than volume_id={}", backend.describe(),
                           fs::to_string(*settings.options.volume_id));
    out.hint = fmt::format("its {} says which one it is", fs::kMarkerName);
  } else if (error == make_error_code(VolumeErrc::kDamaged)) {
    out.hint =
        fmt::format("look at {}; if no mount uses this volume, remove the file and mount again",
                    fs::kMarkerName);
  }
  return out;
}

}  // namespace

fs::nfs3::Options nfs_options(const NfsSource& source, const MountOptions& from) {
  fs::nfs3::Options out;
  out.server = source.server;
  out.path = source.path;
  if (source.port) out.port = *source.port;
  if (from.port) out.port = *from.port;
  if (from.mountport) out.mountport = *from.mountport;
  if (from.rsize) out.rsize = *from.rsize;
  if (from.wsize) out.wsize = *from.wsize;
  if (from.nconnect) out.connections = *from.nconnect;
  out.hard = !from.soft;
  if (from.timeo) out.timeo = *from.timeo;
  return out;
}

std::string nfs_hint(const ErrorCode& error, const NfsSource& source) {
  switch (to_errno(error)) {
    case EACCES:
    case EPERM:
      return fmt::format("does {} export {} to this node? (showmount -e {})", source.server,
                         source.path, source.server);
    case ENOENT:
    case ENOTDIR:
      return fmt::format("is {} the export's path as the server knows it? (showmount -e {})",
                         source.path, source.server);
    default:
      return "is the server up, and does it offer NFS version 3 over TCP? (rpcinfo -t SERVER nfs "
             "3)";
  }
}

asio::awaitable<OpenedStorage> open_storage(asio::any_io_executor executor, MountSettings settings,
                                            StorageWatchers watchers) {
  if (const auto* directory = std::get_if<DirectorySource>(&settings.source)) {
    auto backend = fs::make_dir_backend(executor, directory->path);
    if (backend) co_return std::move(*backend);
    co_return Failure{kExitMount,
                      fmt::format("the directory {} cannot be used: {}", directory->path,
                                  backend.error().message()),
                      "for an NFS export write server:/export"};
  }
  const auto& source = std::get<NfsSource>(settings.source);
  auto options = nfs_options(source, settings.options);
  options.guard = watchers.guard;
  options.counters = watchers.counters;
  options.state = watchers.state;
  auto outcome = co_await fs::nfs3::Nfs3Backend::mount(executor, options);
  if (!outcome.backend)
    co_return Failure{kExitMount, outcome.failure.text, nfs_hint(outcome.failure.code, source)};
  co_return std::unique_ptr<fs::Backend>(std::move(outcome.backend));
}

asio::awaitable<boost::system::result<VolumeId, Failure>> identify_volume(fs::Backend& backend,
                                                                          MountSettings settings) {
  fs::VolumeOptions options;
  options.who = {::geteuid(), ::getegid(), {}};
  options.expected = settings.options.volume_id;
  options.make = std::holds_alternative<DirectorySource>(settings.source)
                     ? fs::MakeMarker::kMounted
                     : fs::MakeMarker::kTopmost;
  if (settings.options.read_only) options.make = fs::MakeMarker::kNever;
  auto volume = co_await fs::find_volume(backend, options);
  if (!volume) co_return volume_failure(volume.error(), settings, backend);
  log::info("volume.found", "id={} made={} levels_up={}", fs::to_string(volume->id), volume->made,
            volume->levels_up);
  if (volume->markers_seen > 1)
    log::warn("volume.several_markers", "id={} count={} used=topmost", fs::to_string(volume->id),
              volume->markers_seen);
  co_return volume->id;
}

asio::awaitable<boost::system::result<MappedStorage, Failure>> map_owner(fs::Backend& storage,
                                                                         fs::OwnerOptions options) {
  const auto root = co_await storage.root();
  if (!root)
    co_return Failure{kExitMount, fmt::format("{}: {}", storage.describe(), root.error().message()),
                      ""};
  MappedStorage out;
  out.identity = fs::identity_for(options, root->attributes);
  out.backend =
      std::make_unique<fs::MappedBackend>(storage, fs::OwnerMapping(options, out.identity));
  const fs::Credentials anybody;
  const auto granted = co_await out.backend->access(anybody, root->handle, W_OK | X_OK);
  out.may_write = granted && *granted == (W_OK | X_OK);
  log::info("owner.mapped", "owner={}:{} identity={}:{} may_write={}", options.owner.uid,
            options.owner.gid, out.identity.uid, out.identity.gid, out.may_write);
  co_return std::move(out);
}

}  // namespace holdfast::cli
