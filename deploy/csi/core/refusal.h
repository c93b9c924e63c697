#pragma once
/// Why a call is refused: one of the codes that CSI gives a meaning to, and a sentence for people.
/// Kubernetes shows the sentence as an Event of the pod or claim.

#include <string>

#include <boost/system/result.hpp>

namespace holdfast::csi {

enum class Code {
  kInvalidArgument,     ///< the call is wrong; repeating it is pointless
  kNotFound,            ///< no such volume, or not there
  kAlreadyExists,       ///< it exists, but differs from what is asked for
  kFailedPrecondition,  ///< not in this state
  kAborted,             ///< another call for this volume is under way: try again
  kOutOfRange,
  kPermissionDenied,
  kResourceExhausted,
  kUnavailable,       ///< the storage, or the keeper, cannot be reached: try again
  kDeadlineExceeded,  ///< begun, not done in time: try again
  kInternal,
};

struct Refusal {
  Code code = Code::kInternal;
  std::string what;
};

template <class T>
using Answer = boost::system::result<T, Refusal>;
using Done = Answer<void>;

/// Values of ours in sentences and in records: what could end a line or confuse a terminal is shown
/// as %xx.
[[nodiscard]] std::string printable(const std::string& text);

}  // namespace holdfast::csi
