#pragma once
/// What mounts that were killed have left in the directory where mounts publish.

#include <functional>
#include <string>
#include <vector>

namespace holdfast::fs::published {

/// Removes files KIND-N and sockets mount-N.sock that nobody holds or serves any more, if
/// `still_there(N)` says that the connection is gone too: of a dead mount that still stands, they
/// tell what it was. Also what never came to be published (KIND-new-PID) and the processes' numbers
/// (mount-PATH.pid), if they are not of the last minute. Anything else stays.
///
/// May run beside mounts that start, whatever number the kernel gives them. Returns the names of
/// what was removed. Thread: any.
[[nodiscard]] std::vector<std::string> clear_leftovers(
    const std::string& directory, const std::vector<std::string>& kinds,
    const std::function<bool(const std::string& connection)>& still_there);

}  // namespace holdfast::fs::published
