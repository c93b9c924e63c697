#pragma once
/// Finds out what `holdfast doctor` judges. Each part but gather_pair() is bounded in time, and
/// they leave nothing behind: files are called kTrialPrefix and removed.
///
/// Thread: the caller's; those that talk run a loop of their own.

#include "cli/doctor/facts.h"
#include "cli/mount/credentials.h"
#include "cli/mount/settings.h"
#include "cli/mount/source.h"
#include "holdfast/wire/address.h"

#include <string>
#include <string_view>

namespace holdfast::cli {

inline constexpr std::string_view kTrialPrefix = ".holdfast-doctor-";

[[nodiscard]] NodeFacts gather_node();
/// Nothing if the path is on no mount. A Holdfast mount's state too.
[[nodiscard]] std::optional<MountFacts> gather_mount(const std::string& path);
/// Mounts the export for itself, twice, over NFS version 3; nothing is mounted on this node.
[[nodiscard]] ExportFacts gather_export(const NfsSource& source, const MountOptions& options);
/// Opens a session, renews it once, and says goodbye. Of an unknown volume, so that nothing of
/// anybody's is touched; where the credential is not for that, of `known`.
[[nodiscard]] LockdFacts gather_lockd(const wire::Address& address,
                                      const wire::Credentials& credentials,
                                      std::optional<VolumeId> known);
/// Two directories that should be one, seen by two processes.
[[nodiscard]] PairFacts gather_pair(const std::string& one, const std::string& other);

/// lockd's address that a Holdfast mount has published, the first of several; empty: none.
[[nodiscard]] std::string lockd_of_mount(const std::string& path);

}  // namespace holdfast::cli
