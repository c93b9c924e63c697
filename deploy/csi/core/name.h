#pragma once
/// The name that CreateVolume gives: any text, but of a length that makes a file name. Pure.

#include "deploy/csi/core/refusal.h"

#include <string_view>

namespace holdfast::csi {

/// Errors: kInvalidArgument.
[[nodiscard]] Done check_name(std::string_view name);

}  // namespace holdfast::csi
