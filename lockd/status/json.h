#pragma once
/// A moment as JSON: GET /status.json. The fields are a promise to programs (docs/status-page.md).
/// Ids are text, since a number of JSON has 53 bits for many readers.
///
/// Pure. Names that clients sent are escaped, and stay data.

#include "lockd/status/moment.h"

#include <string>

namespace holdfast::lockd::status {

[[nodiscard]] std::string to_json(const Moment& moment);

}  // namespace holdfast::lockd::status
