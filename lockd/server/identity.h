#pragma once
/// The randomness and the wall clock that the coordinator may not read.

#include "lockd/core/coordinator.h"

namespace holdfast::lockd {

/// Session ids are random, so that one of a former life is never taken for one of this life.
[[nodiscard]] Identity fresh_identity();

/// Grows from start to start as long as the wall clock does; an epoch is compared for equality only
/// until lockd keeps a record of its own.
[[nodiscard]] Epoch fresh_epoch();

}  // namespace holdfast::lockd
