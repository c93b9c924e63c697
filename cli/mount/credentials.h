#pragma once
/// What a mount proves itself with at lockd, and believes lockd by.
///
/// The usual files are taken where the options name none, so that a node on which they lie needs no
/// options; and whether TLS is spoken is then decided by this node, never by the network.

#include "cli/mount/failure.h"
#include "cli/mount/settings.h"
#include "holdfast/wire/address.h"
#include "holdfast/wire/credentials.h"

#include <vector>

#include <boost/system/result.hpp>

namespace holdfast::cli {

inline constexpr const char* kUsualCa = "/etc/holdfast/ca.pem";
inline constexpr const char* kUsualToken = "/etc/holdfast/token";

/// For a lockd at any of these addresses. What cannot be used is told.
[[nodiscard]] boost::system::result<wire::Credentials, Failure> credentials_for(
    const MountOptions& options, const std::vector<wire::Address>& addresses);

}  // namespace holdfast::cli
