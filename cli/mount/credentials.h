#pragma once
/// What a mount proves itself with at lockd, and believes lockd by.
///
/// The usual files are taken where the options name none, so that a node on which they lie needs no
/// options; and whether TLS is spoken is then decided by this node, never by the network.

#include "cli/mount/failure.h"
#include "cli/mount/settings.h"
#include "fs/lock/lock_client.h"

#include <boost/system/result.hpp>

namespace holdfast::cli {

inline constexpr const char* kUsualCa = "/etc/holdfast/ca.pem";
inline constexpr const char* kUsualToken = "/etc/holdfast/token";

/// Sets `client.tls` and `client.token` for `client.addresses`. What cannot be used is told.
[[nodiscard]] boost::system::result<void, Failure> take_credentials(const MountOptions& options,
                                                                    fs::LockClientOptions& client);

}  // namespace holdfast::cli
