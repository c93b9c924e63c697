#pragma once
/// The mount a path lies in, and a look at a path that comes back even if the file system under it
/// does not answer.

#include "holdfast/base/mountinfo.h"
#include "holdfast/base/result.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

/// What stat(2) says of a path.
struct Looked {
  std::string device;  ///< "0:53"
  std::uint64_t fileid = 0;
  std::uint32_t mode = 0;
};
/// Asked by a child process: a call into a file system that hangs cannot be taken back. Errors:
/// stat's; ETIMEDOUT.
[[nodiscard]] Result<Looked> look_at(const std::string& path, std::chrono::milliseconds patience);

/// Absolute, without links resolved (which a mount that hangs would not answer), and without a
/// slash at its end.
[[nodiscard]] std::string plain_path(const std::string& path);
/// The line whose file system `path` lies in, by names alone: asks nobody. Pure.
[[nodiscard]] const MountInfo* mount_over(const std::vector<MountInfo>& lines,
                                          std::string_view path);

}  // namespace holdfast::cli
