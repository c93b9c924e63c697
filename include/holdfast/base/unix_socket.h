#pragma once
/// Stream sockets with a name in the file system. Source: unix(7). Thread: any.

#include "holdfast/base/result.h"
#include "holdfast/base/unique_fd.h"

#include <string>

#include <sys/un.h>

namespace holdfast {

/// What bind(2) and connect(2) want. Errors: ENAMETOOLONG (over 107 bytes). Pure.
[[nodiscard]] Result<sockaddr_un> unix_name(const std::string& path);

/// A connection to whoever listens there; never inherited. `flags`: more of socket(2)'s, such as
/// SOCK_NONBLOCK. Errors: those of unix_name, socket(2), connect(2).
[[nodiscard]] Result<UniqueFd> connect_unix(const std::string& path, int flags = 0);

}  // namespace holdfast
