#pragma once
/// The directory where mounts publish, without what killed ones have left there.
///
/// Thread: any.

#include <string>
#include <vector>

namespace holdfast::cli {

/// Removes what belongs to no process and to no mount that stands, here or, as far as that can be
/// seen, in another namespace of mounts. Never fails; returns the names of what was removed.
std::vector<std::string> clear_runtime_directory();

}  // namespace holdfast::cli
