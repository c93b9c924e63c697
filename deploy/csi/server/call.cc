#include "deploy/csi/server/call.h"

#include "holdfast/base/log.h"

#include <chrono>

namespace holdfast::csi {
namespace {

grpc::StatusCode to_grpc_code(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case Code::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case Code::kAlreadyExists:
      return grpc::StatusCode::ALREADY_EXISTS;
    case Code::kFailedPrecondition:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case Code::kAborted:
      return grpc::StatusCode::ABORTED;
    case Code::kOutOfRange:
      return grpc::StatusCode::OUT_OF_RANGE;
    case Code::kPermissionDenied:
      return grpc::StatusCode::PERMISSION_DENIED;
    case Code::kResourceExhausted:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Code::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case Code::kDeadlineExceeded:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case Code::kInternal:
      return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::INTERNAL;
}

Done caught(const std::function<Done()>& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    return Refusal{Code::kInternal, error.what()};
  }
}

}  // namespace

grpc::Status to_grpc(const Done& done) {
  if (done) return grpc::Status::OK;
  // gRPC carries UTF-8 in its messages; what is shown of others' bytes is escaped.
  return {to_grpc_code(done.error().code), done.error().what};
}

grpc::Status answered(const Call& call, const std::function<Done()>& work) {
  const auto began = std::chrono::steady_clock::now();
  const Done done = caught(work);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                      std::chrono::steady_clock::now() - began)
                      .count();
  const grpc::Status status = to_grpc(done);
  const std::string volume = printable(call.volume);
  if (!done) {
    log::warn("csi.refused", "call={} volume=\"{}\" code={} ms={} why=\"{}\"", call.method, volume,
              static_cast<int>(status.error_code()), ms, printable(done.error().what));
  } else if (call.weight == Weight::kChange) {
    log::info("csi.done", "call={} volume=\"{}\" ms={}", call.method, volume, ms);
  } else {
    log::debug("csi.answered", "call={} volume=\"{}\" ms={}", call.method, volume, ms);
  }
  return status;
}

Done require(const std::string& value, std::string_view field) {
  if (!value.empty()) return {};
  return Refusal{Code::kInvalidArgument, std::string(field) + " is missing"};
}

}  // namespace holdfast::csi
