#include "lockd/server/standby_door.h"

#include "holdfast/base/log.h"

#include <cerrno>
#include <utility>

namespace asio = boost::asio;

namespace holdfast::lockd {
namespace {

asio::awaitable<void> run_writer(std::shared_ptr<wire::Connection> connection) {
  co_await connection->write_loop();
}

}  // namespace

StandbyDoor::StandbyDoor(asio::any_io_executor executor)
    : executor_(executor), reason_("it has just started"), group_(executor) {}

wire::Started StandbyDoor::open(const std::string& path) {
  auto opened = wire::Acceptor::open(executor_, wire::UnixAddress{path}, wire::StreamOptions{});
  if (!opened) {
    return wire::StartFailure{
        .code = opened.error(),
        .what = fmt::format("cannot listen on unix:{}: {}", path, opened.error().message()),
        .hint = to_errno(opened.error()) == EADDRINUSE
                    ? "another holdfast-lockd listens there already: give --admin another path"
                    : "give --admin a path in a directory that this user may write to"};
  }
  acceptor_ = *std::move(opened);
  group_.spawn("standby.accept", accept_loop(acceptor_));
  return boost::system::in_place_value;
}

void StandbyDoor::close() {
  if (acceptor_) acceptor_->close();
  acceptor_.reset();
  for (const ConnectionPtr& one : connections_)
    one->close();
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
    if (connections_.size() >= kConnectionsMax) continue;
    auto connection = std::make_shared<wire::Connection>(executor_, *std::move(stream), codec_,
                                                         wire::ConnectionLimits{});
    connection->set_frame_size_max(wire::kFirstFrameSizeMax);
    group_.spawn("standby.write", run_writer(connection));
    group_.spawn("standby.answer", answer(std::move(connection)));
  }
}

asio::awaitable<void> StandbyDoor::answer(ConnectionPtr connection) {
  const auto at = connections_.insert(connections_.end(), connection);
  const auto filled = co_await connection->fill();
  if (filled) {
    HelloRefused refused;
    refused.errc = LockErrc::kStandby;
    refused.reason = reason_;
    static_cast<void>(connection->send(ServerMessage(refused)));
    connection->close_after_writing();
    co_await connection->wait_closed();
  }
  connection->close();
  connections_.erase(at);
}

}  // namespace holdfast::lockd
