#pragma once
/// What lockd looks like at one moment, as the status page and metrics tell it. Plain data.

#include "lockd/server/report.h"

#include <chrono>
#include <optional>
#include <string>

namespace holdfast::lockd::status {

struct Moment {
  std::string version;
  std::string listening;  ///< addresses for mounts, for people
  std::chrono::seconds uptime{0};
  /// Why there is no report, for people: it starts, or is a standby.
  std::string waits_for;
  std::optional<Report> report;
};

}  // namespace holdfast::lockd::status
