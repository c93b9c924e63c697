#pragma once
/// The name that CreateVolume gives: any text, but of a length that makes a file name. Pure.

#include "deploy/csi/core/refusal.h"

#include <string>
#include <string_view>

namespace holdfast::csi {

/// Errors: kInvalidArgument.
[[nodiscard]] Done check_name(std::string_view name);

/// What the volume is called in its id and its record: the name, or of a long one its begin and a
/// hash of the whole, since an id has as many bytes as a name may have, and says more. Two names of
/// one hash: the second is told that the volume exists. Of a stored name: itself.
[[nodiscard]] std::string stored_name(std::string_view name);

}  // namespace holdfast::csi
