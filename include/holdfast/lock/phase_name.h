#pragma once
/// What a session's phase is called, by lockd and by those who ask it. Thread: any.

#include "holdfast/lock/listing.h"

#include <string_view>

namespace holdfast {

[[nodiscard]] constexpr std::string_view name_of(SessionPhase phase) {
  switch (phase) {
    case SessionPhase::kLive:
      return "live";
    case SessionPhase::kReturning:
      return "returning";
    case SessionPhase::kCourtesy:
      return "courtesy";
    case SessionPhase::kFencing:
      return "fencing";
    case SessionPhase::kFenced:
      return "fenced";
  }
  return "?";
}

}  // namespace holdfast
