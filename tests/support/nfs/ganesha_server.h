#pragma once
/// nfs-ganesha for one test process: runs tests/support/nfs/ganesha in the private network of this
/// process (private_network.h) at 127.0.0.1:2049, export "/export", portmapper on 111.
///
/// It and all its children die with the thread that started it (PR_SET_PDEATHSIG and a pid
/// namespace).

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast::fs::testing {

class GaneshaServer {
 public:
  /// Options of the script, for example {"--protocols", "4"}. Returns when the server answers;
  /// throws std::runtime_error with the end of its log otherwise.
  explicit GaneshaServer(std::vector<std::string> options = {});
  ~GaneshaServer();
  GaneshaServer(const GaneshaServer&) = delete;
  GaneshaServer& operator=(const GaneshaServer&) = delete;

  /// The exported directory on the local disk.
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  void start();
  void stop();  ///< SIGTERM
  void kill9();
  void restart() {
    kill9();
    start();
  }

 private:
  [[nodiscard]] std::string log_end() const;
  void end(int signal);

  std::vector<std::string> options_;
  std::filesystem::path base_;
  std::filesystem::path directory_;
  std::filesystem::path state_;
  pid_t pid_ = -1;
};

}  // namespace holdfast::fs::testing
