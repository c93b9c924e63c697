#pragma once
/// --limit NAME=NUMBER of holdfast-lockd.

#include "lockd/core/limits.h"

#include <string>
#include <vector>

namespace holdfast::lockd {

/// With an access list one volume gets a share only: who may use that one must not use up what all
/// of them need.
void share_among_volumes(Limits& limits);
/// What is wrong, for people; nothing: `texts`, each NAME=NUMBER, count in `limits` from now on.
[[nodiscard]] std::string take_limits(const std::vector<std::string>& texts, Limits& limits);

}  // namespace holdfast::lockd
