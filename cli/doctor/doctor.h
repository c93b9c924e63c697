#pragma once
/// `holdfast doctor PATH|SERVER:/EXPORT`: what is wrong with a mount or an export, what that means
/// for the data, and what to do.

#include <iosfwd>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace holdfast::cli {

struct DoctorOptions {
  std::string target;
  std::vector<std::string> mount_options;  ///< each as after -o: port=, tls_ca=, token_file=, …
  std::string lockd;                       ///< HOST[:PORT]; empty: the mount's own
  std::string peer;                        ///< the same directory, mounted elsewhere
  bool json = false;
};

// Exit codes.
inline constexpr int kDoctorFine = 0;  ///< notes at most
inline constexpr int kDoctorProblem = 1;
inline constexpr int kDoctorUsage = 2;

[[nodiscard]] int run_doctor(const DoctorOptions& options, std::ostream& out, std::ostream& errors);

void register_doctor(CLI::App& app, int& exit_code);

}  // namespace holdfast::cli
