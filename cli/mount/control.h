#pragma once
/// A mount's own socket (control_path() in cli/runtime_directory.h), for whoever asks on its node:
/// who has a lock, who waits for one? N as in fs/counters. Mode 0600: root, or the user who
/// mounted.
///
/// It answers with the mount's loop: a mount that hangs does not, and what it is doing then is in
/// fs/state. Limits: kConnectionsMax at a time, kLifeMax each.
///
/// Thread: the loop's.

#include "fs/lock/lock_client.h"
#include "holdfast/task/group.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/stream.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::cli {

class Control {
 public:
  static constexpr std::size_t kConnectionsMax = 16;
  static constexpr std::chrono::seconds kLifeMax{10};
  /// Less than those who ask wait; more than lockd waits for other mounts.
  static constexpr std::chrono::milliseconds kWhoMax{4'000};

  /// `client` outlives it. Without a socket nobody can ask: logged, and no more.
  Control(boost::asio::any_io_executor executor, fs::LockClient& client, const std::string& path);
  /// stop() has returned.
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;
  [[nodiscard]] boost::asio::awaitable<void> stop();

 private:
  boost::asio::awaitable<void> accept_loop();
  boost::asio::awaitable<void> serve(std::unique_ptr<wire::Stream> stream);

  boost::asio::any_io_executor executor_;
  fs::LockClient& client_;
  wire::Codec codec_;
  std::unique_ptr<wire::Acceptor> acceptor_;
  task::Group group_;
};

}  // namespace holdfast::cli
