#pragma once
/// Files with secrets: mode 0600 from the first moment, whole or not there, on stable storage when
/// the call returns. Made by root they belong to whom their directory belongs: lockd's user.

#include "holdfast/base/result.h"

#include <string>
#include <string_view>

namespace holdfast::lockd {

/// EEXIST: nothing is overwritten. Kernel errors.
[[nodiscard]] Result<void> write_new_file(const std::string& path, std::string_view text);
/// In one step; who reads meanwhile reads either. Kernel errors.
[[nodiscard]] Result<void> replace_file(const std::string& path, std::string_view text);
/// Parents as needed; nothing if it is there.
[[nodiscard]] Result<void> make_directory(const std::string& path, unsigned mode);

}  // namespace holdfast::lockd
