#include "lockd/server/standby_door.h"

#include <utility>

namespace asio = boost::asio;

namespace holdfast::lockd {
namespace {

asio::awaitable<void> run_writer(std::shared_ptr<wire::Connection> connection) {
  co_await connection->write_loop();
}

}  // namespace

StandbyDoor::StandbyDoor(asio::any_io_executor executor, std::shared_ptr<wire::Tls> tls)
    : executor_(executor), tls_(std::move(tls)), reason_("it has just started"), group_(executor) {}

bool StandbyDoor::open(const wire::Address& address) {
  auto opened = wire::Acceptor::open(executor_, address, wire::StreamOptions{.tls = tls_});
  if (!opened) return false;
  acceptors_.push_back(*std::move(opened));
  group_.spawn("standby.accept", accept_loop(acceptors_.back()));
  return true;
}

void StandbyDoor::close() {
  for (const auto& one : acceptors_)
    one->close();
  acceptors_.clear();
  for (const ConnectionPtr& one : connections_)
    one->close();
}

std::vector<wire::Address> StandbyDoor::listening() const {
  std::vector<wire::Address> out;
  for (const auto& one : acceptors_)
    out.push_back(one->address());
  return out;
}

asio::awaitable<void> StandbyDoor::stop() {
  close();
  group_.cancel();
  co_await group_.join();
}

asio::awaitable<void> StandbyDoor::accept_loop(std::shared_ptr<wire::Acceptor> acceptor) {
  for (;;) {
    auto stream = co_await acceptor->accept();
    if (!stream) co_return;  // closed; or out of descriptors: then nobody is told why
    // Who asks does so at once: the oldest is one that only connected.
    if (connections_.size() >= kConnectionsMax) connections_.front()->close();
    auto connection = std::make_shared<wire::Connection>(executor_, *std::move(stream), codec_,
                                                         wire::ConnectionLimits{});
    connection->set_frame_size_max(wire::kUsualFrameSizeMax);
    group_.spawn("standby.write", run_writer(connection));
    group_.spawn("standby.answer", answer(std::move(connection)));
  }
}

asio::awaitable<void> StandbyDoor::answer(ConnectionPtr connection) {
  const auto at = connections_.insert(connections_.end(), connection);
  const auto filled = co_await connection->fill();  // nobody is kept longer than close()
  if (filled) {
    HelloRefused refused;
    refused.errc = LockErrc::kStandby;
    refused.reason = reason_;
    ++answered_;
    static_cast<void>(connection->send(ServerMessage(refused)));
    connection->close_after_writing();
    co_await connection->wait_closed();
  }
  connection->close();
  connections_.erase(at);
}

}  // namespace holdfast::lockd
