#pragma once
/// The randomness and the wall clock that the coordinator may not read.

#include "lockd/core/coordinator.h"

#include <cstdint>

namespace holdfast::lockd {

/// Session ids are random, so that one of a former life is never taken for one of this life.
[[nodiscard]] Identity fresh_identity();

/// Of this process. Coordinator Options::salt.
[[nodiscard]] HashSalt fresh_salt();

/// Unix time. For epochs only (lockd/store): it decides nothing else.
[[nodiscard]] std::uint64_t wall_seconds();

}  // namespace holdfast::lockd
