#pragma once
/// The addresses of a lockd that is not the active one: whatever is asked there is refused with
/// kStandby and one line about who is active. A mount that starts or comes back in the middle of a
/// fail-over so knows that waiting is worth it, and people what they ask.
///
/// Thread: the executor's thread only. close() before the server binds the same addresses; stop()
/// has returned before destruction.

#include "holdfast/task/group.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/connection.h"
#include "holdfast/wire/stream.h"
#include "holdfast/wire/tls.h"

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::lockd {

class StandbyDoor {
 public:
  /// `tls` on TCP addresses, as the server will have it; null: plain text.
  StandbyDoor(boost::asio::any_io_executor executor, std::shared_ptr<wire::Tls> tls);

  /// False: cannot listen there, as the server will say when it is its turn.
  bool open(const wire::Address& address);
  /// What is answered from now on.
  void say(std::string reason) { reason_ = std::move(reason); }
  /// Takes nobody any more, and leaves the path free.
  void close();
  [[nodiscard]] boost::asio::awaitable<void> stop();
  [[nodiscard]] std::uint64_t answered() const { return answered_; }
  [[nodiscard]] std::vector<wire::Address> listening() const;

 private:
  using ConnectionPtr = std::shared_ptr<wire::Connection>;  // shared by its reader and its writer
  boost::asio::awaitable<void> accept_loop(std::shared_ptr<wire::Acceptor> acceptor);
  boost::asio::awaitable<void> answer(ConnectionPtr connection);

  static constexpr std::size_t kConnectionsMax = 64;  // beyond it, the oldest is closed

  boost::asio::any_io_executor executor_;
  std::shared_ptr<wire::Tls> tls_;
  wire::Codec codec_;
  std::string reason_;
  std::uint64_t answered_ = 0;
  std::vector<std::shared_ptr<wire::Acceptor>> acceptors_;  // shared with accept_loop()
  std::list<ConnectionPtr> connections_;
  task::Group group_;
};

}  // namespace holdfast::lockd
