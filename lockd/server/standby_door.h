#pragma once
/// The admin socket of a lockd that is not the active one: whatever is asked is refused with
/// kStandby and one line about who is active, instead of a connection that nobody takes.
///
/// Thread: the executor's thread only. close() before the server binds the same path; stop() has
/// returned before destruction.

#include "holdfast/task/group.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/connection.h"
#include "holdfast/wire/start_failure.h"
#include "holdfast/wire/stream.h"

#include <list>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::lockd {

class StandbyDoor {
 public:
  explicit StandbyDoor(boost::asio::any_io_executor executor);

  [[nodiscard]] wire::Started open(const std::string& path);
  /// What is answered from now on.
  void say(std::string reason) { reason_ = std::move(reason); }
  /// Takes nobody any more, and leaves the path free.
  void close();
  [[nodiscard]] boost::asio::awaitable<void> stop();

 private:
  using ConnectionPtr = std::shared_ptr<wire::Connection>;  // shared by its reader and its writer
  boost::asio::awaitable<void> accept_loop(std::shared_ptr<wire::Acceptor> acceptor);
  boost::asio::awaitable<void> answer(ConnectionPtr connection);

  static constexpr std::size_t kConnectionsMax = 64;  // beyond it, one is closed at once

  boost::asio::any_io_executor executor_;
  wire::Codec codec_;
  std::string reason_;
  std::shared_ptr<wire::Acceptor> acceptor_;  // shared with accept_loop(), which may end later
  std::list<ConnectionPtr> connections_;
  task::Group group_;
};

}  // namespace holdfast::lockd
