#pragma once
/// Events of Kubernetes (events.k8s.io/v1) as its API wants them, and what its answers mean. Pure.
///
/// Its rules (kubernetes, pkg/apis/core/validation/events.go): everything but `series` is as it was
/// made, for ever; a series counts from 2; notes have at most 1,024 bytes.

#include "cli/events/teller.h"

#include <chrono>
#include <string>
#include <string_view>

namespace holdfast::cli {

struct ApiRequest {
  std::string method;
  std::string target;
  std::string content_type;
  std::string body;
};

/// `wall`: since 1970. `node`: who reports.
[[nodiscard]] ApiRequest request_for(const Order& order, std::string_view node,
                                     std::chrono::microseconds wall);

/// `body`: what the API server said.
[[nodiscard]] Outcome outcome_of(const Order& order, unsigned status, std::string_view body);
/// What to do about a status that makes telling fail; empty: nothing is known.
[[nodiscard]] std::string_view hint_for(unsigned status);

}  // namespace holdfast::cli
