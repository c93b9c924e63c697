#pragma once
/// What is adjustable about tokens (docs/tokens.md).

#include <chrono>
#include <cstddef>

namespace holdfast::lockd {

struct ContentionOptions {
  std::size_t contended_after = 3;  ///< takings within the window; at most kTakingsMax
  std::chrono::milliseconds window{1'000};
  std::chrono::milliseconds ask_again_first{250};
  std::chrono::milliseconds ask_again_max{4'000};  ///< doubled up to this
  static constexpr std::size_t kTakingsMax = 8;
};

struct TokenOptions {
  ContentionOptions contention;
  /// How often a recall is said again until it is answered.
  std::chrono::milliseconds recall_repeat{1'000};
  /// Who lives and has not answered a recall by then loses that file (T9).
  std::chrono::milliseconds recall_max{60'000};
};

}  // namespace holdfast::lockd
