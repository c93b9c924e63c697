#include "cli/mount/control.h"

#include "cli/runtime_directory.h"
#include "holdfast/base/log.h"
#include "holdfast/wire/connection.h"

#include <utility>

#include <boost/asio/steady_timer.hpp>

namespace asio = boost::asio;

namespace holdfast::cli {
namespace {

asio::awaitable<void> run_writer(std::shared_ptr<wire::Connection> connection) {
  co_await connection->write_loop();
}

}  // namespace

Control::Control(asio::any_io_executor executor, fs::LockClient& client, const std::string& path)
    : executor_(executor), client_(client), group_(executor) {
  auto opened = wire::Acceptor::open(executor, wire::UnixAddress{path}, wire::StreamOptions{});
  if (!opened) {
    log::warn("mount.no_control",
              "path={} error=\"{}\" note=\"holdfast who cannot ask this mount\"", path,
              opened.error().message());
    return;
  }
  acceptor_ = *std::move(opened);
  group_.spawn("control.accept", accept_loop());
}

Control::~Control() = default;

asio::awaitable<void> Control::stop() {
  if (acceptor_) acceptor_->close();
  group_.cancel();
  co_await group_.join();
  acceptor_.reset();
}

asio::awaitable<void> Control::accept_loop() {
  for (;;) {
    auto stream = co_await acceptor_->accept();
    if (!stream) co_return;
    // This loop is one of them, and each connection has a writer.
    if (group_.size() > 2 * kConnectionsMax) continue;
    group_.spawn("control.serve", serve(*std::move(stream)));
  }
}

asio::awaitable<void> Control::serve(std::unique_ptr<wire::Stream> stream) {
  const auto connection = std::make_shared<wire::Connection>(executor_, std::move(stream), codec_,
                                                             wire::ConnectionLimits{});
  connection->set_frame_size_max(wire::kUsualFrameSizeMax);
  group_.spawn("control.write", run_writer(connection));
  asio::steady_timer life(executor_, kLifeMax);
  life.async_wait([connection](const ErrorCode& ended) {
    if (!ended) connection->close();
  });
  while (!connection->closing()) {
    const auto message = connection->next_client_message();
    if (!message) break;
    if (!*message) {
      const auto filled = co_await connection->fill();
      if (!filled) break;
      continue;
    }
    const auto* question = std::get_if<AskWho>(&**message);
    if (question == nullptr) break;
    WhoAnswer answer;
    if (question->fileid == kWaitsOfAllFiles) {
      answer = client_.waits();
    } else {
      answer = co_await client_.who(question->fileid, kWhoMax);
    }
    answer.question = question->question;
    if (!connection->send(ServerMessage(std::move(answer)))) break;
  }
  connection->close_after_writing();
  co_await connection->wait_closed();
}

}  // namespace holdfast::cli
