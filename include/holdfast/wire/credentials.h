#pragma once
/// What a mount proves itself with at lockd, and believes lockd by.
///
/// Thread: the executor's thread only.

#include "holdfast/base/result.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast::wire {

class Stream;
class Tls;

struct Credentials {
  /// For addresses that are no unix sockets; null: plain text.
  std::shared_ptr<Tls> tls{};
  /// The mount's token, asked for at each connection anew; empty: none.
  std::function<std::string()> token{};
};

/// The token to send over this connection; empty: none. Errors: kTokenInPlain, it would be sent in
/// plain text over a network.
[[nodiscard]] Result<std::string> token_over(const Stream& stream, const Credentials& credentials);

/// What a person may look at when no connection came about, or no token could be sent; empty if
/// that has nothing to do with credentials. Pure.
[[nodiscard]] std::string_view credentials_hint(const ErrorCode& error);

}  // namespace holdfast::wire
