#pragma once
/// The one error type inside Holdfast: a value or a boost::system::error_code.
///
/// The code is an errno (generic_category), an Asio error, or one of our own enums (LockErrc, ...)
/// whose category maps to errno by default_error_condition. Translated once at each edge.

#include <cerrno>

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace holdfast {

using ErrorCode = boost::system::error_code;

template <class T>
using Result = boost::system::result<T>;

/// An errno as ErrorCode. `value` is positive, as in <errno.h>.
[[nodiscard]] inline ErrorCode errno_code(int value) {
  return {value, boost::system::generic_category()};
}

/// The errno an application should see for `code`; EIO where nothing better is known. Never 0 for a
/// failure.
[[nodiscard]] inline int to_errno(const ErrorCode& code) {
  if (!code) return 0;
  const auto condition = code.default_error_condition();
  if (condition.category() != boost::system::generic_category() || condition.value() <= 0)
    return EIO;
  return condition.value();
}

}  // namespace holdfast
