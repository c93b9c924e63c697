#pragma once
/// The edge of every call: one catch, one log line, one translation to gRPC's status.

#include "deploy/csi/core/refusal.h"

#include <exception>
#include <functional>
#include <string>
#include <string_view>

#include <grpcpp/support/status.h>

namespace holdfast::csi {

[[nodiscard]] grpc::Status to_grpc(const Done& done);

/// How a call that went well is logged: what happens to volumes as info, questions as debug.
enum class Weight { kChange, kQuestion };
struct Call {
  std::string_view method;
  std::string volume;  ///< id or name
  Weight weight = Weight::kChange;
};
/// Runs `work`; whatever it throws is kInternal.
[[nodiscard]] grpc::Status answered(const Call& call, const std::function<Done()>& work);

/// A REQUIRED text. Errors: kInvalidArgument naming `field`.
[[nodiscard]] Done require(const std::string& value, std::string_view field);

}  // namespace holdfast::csi
