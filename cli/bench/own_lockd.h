#pragma once
/// A holdfast-lockd of our own: on a loopback port, with a fresh store in a directory of its own.
/// It never outlives this process (PR_SET_PDEATHSIG); stopped and removed on destruction.

#include "cli/bench/options.h"
#include "holdfast/lock/message.h"
#include "holdfast/wire/address.h"

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/types.h>

namespace holdfast::bench {

/// The machine or the options are not fit; for people.
class SetupError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class OwnLockd {
 public:
  /// Starts it and waits until it listens. `more`: further arguments. Throws SetupError.
  OwnLockd(const Options& options, std::vector<std::string> more);
  ~OwnLockd();
  OwnLockd(const OwnLockd&) = delete;
  OwnLockd& operator=(const OwnLockd&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] wire::TcpAddress address() const { return {"127.0.0.1", port_}; }
  /// SIGKILL, and gone when this returns.
  void kill_hard();
  /// The same store, the same port. Does not wait until it listens.
  void start_again() { spawn(); }
  /// Nothing has ended it.
  [[nodiscard]] bool alive();
  /// The store's files together.
  [[nodiscard]] std::uint64_t store_size() const;
  /// As its admin socket tells. Nothing if it does not answer.
  [[nodiscard]] std::optional<SessionList> sessions() const;
  /// The end of its log, for people.
  [[nodiscard]] std::string log_tail() const;

 private:
  void create_store();
  void spawn();
  pid_t run(const std::vector<std::string>& arguments) const;
  void wait_until_listening();

  std::string binary_;
  std::string directory_;
  std::vector<std::string> arguments_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace holdfast::bench
