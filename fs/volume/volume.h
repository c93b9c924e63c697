#pragma once
/// Which volume a mounted directory belongs to: the marker file at the export's root, made by the
/// first mount.
///
/// Two mounts of one export must agree, whichever sub-directory each one mounts: we look upward
/// through ".." as far as the storage lets us, and the topmost marker counts. Where there is none,
/// one is made as high as we may write (NFS) or in the mounted directory (`dir`, where upward leads
/// out of what the user named).
///
/// Racing mounts: the marker is written under another name and linked to its own, which is atomic
/// and fails if it exists, on every NFS server (RFC 1813 section 3.3.15). A creator that dies
/// leaves only that other name, never half a marker.

#include "fs/backend/backend.h"
#include "fs/volume/volume_id.h"
#include "holdfast/base/result.h"

#include <optional>
#include <string_view>

#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

inline constexpr std::string_view kMarkerName = ".holdfast-volume";
/// Of the names a marker is written under first; what a dead creator left. Hidden with the marker.
inline constexpr std::string_view kMarkerTemporaryPrefix = ".holdfast-volume.";

enum class VolumeErrc {
  kNotWritable =
      1,         ///< EACCES: no marker yet, and neither we nor the directory's owner may make one.
  kMissing,      ///< ENOENT: no marker, and making one was not wanted.
  kDamaged,      ///< EUCLEAN: a marker we cannot read or understand.
  kOtherVolume,  ///< EXDEV: not the volume that was asked for.
};
[[nodiscard]] const boost::system::error_category& volume_category();
[[nodiscard]] inline boost::system::error_code make_error_code(VolumeErrc errc) {
  return {static_cast<int>(errc), volume_category()};
}

enum class MakeMarker { kNever, kTopmost, kMounted };

struct VolumeOptions {
  MakeMarker make = MakeMarker::kTopmost;
  /// Tried first; then the owner of the directory in question (with AUTH_SYS a client may: an
  /// export with root_squash whose root belongs to a user works too).
  Credentials who;
  /// -o volume_id: refuse any other, and make none.
  std::optional<VolumeId> expected;
};

struct Volume {
  VolumeId id{};
  bool made = false;          ///< by this call
  unsigned levels_up = 0;     ///< 0 = the marker is in the mounted directory
  unsigned markers_seen = 0;  ///< more than 1: older markers below are ignored; worth a warning
};

/// Directories looked at above the mounted one; deeper ones are refused with kDamaged.
inline constexpr unsigned kVolumeLevelsMax = 64;

/// Errors: VolumeErrc, and those of the storage.
[[nodiscard]] boost::asio::awaitable<Result<Volume>> find_volume(Backend& backend,
                                                                 VolumeOptions options);

}  // namespace holdfast::fs

template <>
struct boost::system::is_error_code_enum<holdfast::fs::VolumeErrc> : std::true_type {};
