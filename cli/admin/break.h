#pragma once
/// `holdfast break`: takes what a mount holds away from it, for the person who knows that it must
/// not wait for it any more. lockd fences the mount first, so this is no way to corruption, but the
/// programs that believed in their locks see I/O errors.

#include "cli/admin/admin.h"

#include <chrono>
#include <iosfwd>
#include <string>

namespace CLI {
class App;
}

namespace holdfast::cli {

struct BreakOptions {
  AdminOptions admin;
  /// 16 hex digits: a session as `holdfast sessions` prints it. Else a lock, the number that
  /// `holdfast locks` prints in the column LOCK.
  std::string what;
  bool yes = false;
  /// Give up watching after lockd's own bound and this. The order stands.
  std::chrono::milliseconds patience{30'000};
  std::chrono::milliseconds look{500};  ///< between two looks
};

// Exit codes besides kAdminOk and kAdminUnreachable; 2 is wrong usage.
inline constexpr int kBreakUsage = 2;
inline constexpr int kBreakNotConfirmed = 3;  ///< without --yes: nothing was done
inline constexpr int kBreakRefused = 4;       ///< no such session or lock, or lockd refuses
inline constexpr int kBreakNotYet = 5;        ///< ordered, not done when patience ended

[[nodiscard]] int run_break(const BreakOptions& options, std::ostream& out, std::ostream& errors);

void register_break(CLI::App& app, int& exit_code);

}  // namespace holdfast::cli
