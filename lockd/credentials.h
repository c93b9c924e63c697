#pragma once
/// What lockd proves itself with and believes others by: certificates and the access list, from
/// their files into ServerOptions.

#include "holdfast/wire/start_failure.h"
#include "lockd/settings.h"

namespace holdfast::lockd {

/// Sets `settings.server.tls` and `.access`, as far as the settings name files.
[[nodiscard]] wire::Started open_credentials(Settings& settings);
/// Reads all of them again. On failure nothing changes.
[[nodiscard]] wire::Started reload_credentials(Settings& settings);

using AccessRead = boost::system::result<AccessList, wire::StartFailure>;
[[nodiscard]] AccessRead read_access(const std::string& path);

}  // namespace holdfast::lockd
