#pragma once
/// StorageClass.parameters, and the attributes of a volume that reach the nodes. Names are those of
/// csi-driver-nfs where they mean the same; upper and lower case are one. Pure.
///
///   server            REQUIRED  NFS server: name or address, [:port]
///   share             REQUIRED  its export
///   subDir            OPTIONAL  directory below it, made if it is missing; default: the volume's
///   name.
///                               ${pvc.metadata.name}, ${pvc.metadata.namespace},
///                               ${pv.metadata.name}
///   onDelete          OPTIONAL  delete (default), retain or archive
///   mountOptions      OPTIONAL  as after -o of `holdfast mount`, besides StorageClass.mountOptions
///   lockd             OPTIONAL  where holdfast-lockd is; default: the driver's --lockd
///   mountPermissions  OPTIONAL  mode of a new directory, octal; default 0777, 0 = default
///   uid, gid          OPTIONAL  owner of a new directory
///   owner             OPTIONAL  UID:GID whom everything on the volume appears to belong to
///                               (-o owner=); owner of a new directory, too, if the export allows
///                               it

#include "deploy/csi/core/place.h"
#include "deploy/csi/core/refusal.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::csi {

using Texts = std::map<std::string, std::string>;

enum class OnDelete { kDelete, kRetain, kArchive };
[[nodiscard]] std::string to_string(OnDelete choice);
[[nodiscard]] std::optional<OnDelete> parse_on_delete(const std::string& text);

inline constexpr std::uint32_t kModeDefault = 0777;

struct Parameters {
  Place place;
  OnDelete on_delete = OnDelete::kDelete;
  std::uint32_t mode = kModeDefault;
  std::optional<std::uint32_t> uid;
  std::optional<std::uint32_t> gid;
  /// Whether a volume is refused if its directory cannot be given to uid and gid.
  enum class Giving { kDemanded, kWished } giving = Giving::kDemanded;
  Texts context;  ///< what the node needs: the attributes of the volume
};
/// For CreateVolume of `name`. Errors: kInvalidArgument, naming the parameter.
[[nodiscard]] Answer<Parameters> read_parameters(const Texts& texts, const std::string& name);
/// For GetCapacity: the share alone; nothing if the texts name none.
[[nodiscard]] Answer<std::optional<Share>> read_share(const Texts& texts);

/// How a node mounts a volume.
struct MountPlan {
  Place place;
  std::string lockd;          ///< empty: the driver's default
  std::string mount_options;  ///< one text, as after -o; may be empty
  std::string owner;          ///< UID:GID, or empty
};
/// From a volume's attributes; without `server` in them, from an id of ours.
/// Errors: kNotFound (neither says where it is), kInvalidArgument.
[[nodiscard]] Answer<MountPlan> plan_mount(const std::string& volume_id, const Texts& context);

/// What -o of `holdfast mount` gets. Options that would lead the mount's process to files of the
/// node (log=) are refused. Errors: kInvalidArgument.
[[nodiscard]] Answer<std::string> mount_options(const MountPlan& plan,
                                                const std::vector<std::string>& flags,
                                                const std::string& default_lockd, bool read_only);

}  // namespace holdfast::csi
