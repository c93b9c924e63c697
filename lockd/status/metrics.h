#pragma once
/// A moment as metrics: GET /metrics. docs/metrics.md tells what each means and what to do.
///
/// Thread: any.

#include "lockd/status/moment.h"

#include <string>

namespace holdfast::lockd::status {

/// Every family is there always; without a report most have no value.
[[nodiscard]] std::string to_metrics(const Moment& moment);

}  // namespace holdfast::lockd::status
