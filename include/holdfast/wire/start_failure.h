#pragma once
/// Why something did not start, for whoever typed the command: one line, and what to do about it.

#include "holdfast/base/result.h"

#include <string>

#include <boost/system/result.hpp>

namespace holdfast::wire {

struct StartFailure {
  ErrorCode code;
  std::string what;
  std::string hint;  ///< may be empty
};

using Started = boost::system::result<void, StartFailure>;

}  // namespace holdfast::wire
