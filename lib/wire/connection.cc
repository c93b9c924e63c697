#include "holdfast/wire/connection.h"

#include "holdfast/wire/errc.h"

#include <utility>

namespace asio = boost::asio;

namespace holdfast::wire {
namespace {

// A burst may grow the buffers; they shrink again so that idle connections stay cheap.
constexpr std::size_t kIdleBufferSize = std::size_t{64} << 10;

}  // namespace

Connection::Connection(const asio::any_io_executor& executor, std::unique_ptr<Stream> stream,
                       Codec& codec, ConnectionLimits limits)
    : stream_(std::move(stream)),
      codec_(codec),
      limits_(limits),
      incoming_(limits.frame_size_max),
      work_(executor),
      writable_(executor),
      ended_(executor) {
  writable_.set();
}

asio::awaitable<Result<void>> Connection::fill() {
  if (closed_) co_return make_error_code(WireErrc::kClosed);
  const auto bytes = co_await stream_->read_some(incoming_.prepare());
  if (!bytes) co_return bytes.error();
  incoming_.commit(*bytes);
  co_return boost::system::in_place_value;
}

Result<std::optional<ClientMessage>> Connection::next_client_message() {
  const auto body = incoming_.next();
  if (!body) return body.error();
  if (!*body) return std::nullopt;
  auto message = codec_.decode_client(**body);
  if (!message) return message.error();
  return std::optional(*std::move(message));
}

Result<std::optional<ServerMessage>> Connection::next_server_message() {
  const auto body = incoming_.next();
  if (!body) return body.error();
  if (!*body) return std::nullopt;
  auto message = codec_.decode_server(**body);
  if (!message) return message.error();
  return std::optional(*std::move(message));
}

template <class Message>
Result<void> Connection::queue(const Message& message) {
  if (closing()) return make_error_code(WireErrc::kClosed);
  const std::size_t before = outgoing_.size();
  if (auto appended = codec_.append_frame(outgoing_, message); !appended) return appended;
  if (queued() > limits_.queue_size_max) {
    outgoing_.resize(before);
    return make_error_code(WireErrc::kQueueFull);
  }
  if (queued() > limits_.queue_size_high) writable_.clear();
  if (!work_.is_set()) work_.set();
  return boost::system::in_place_value;
}

Result<void> Connection::send(const ClientMessage& message) {
  return queue(message);
}

Result<void> Connection::send(const ServerMessage& message) {
  return queue(message);
}

asio::awaitable<void> Connection::write_loop() {
  while (!closed_) {
    co_await work_.wait();
    work_.clear();
    while (!outgoing_.empty() && !closed_) {
      in_flight_.swap(outgoing_);
      write_started_ = std::chrono::steady_clock::now();
      const auto written = co_await stream_->write_all(std::as_bytes(std::span(in_flight_)));
      write_started_.reset();
      in_flight_.clear();
      if (in_flight_.capacity() > kIdleBufferSize) in_flight_.shrink_to_fit();
      if (queued() <= limits_.queue_size_high && !writable_.is_set()) writable_.set();
      if (!written) close();
    }
    if (closing_) close();
  }
}

asio::awaitable<void> Connection::wait_writable() {
  if (!closed_ && !writable_.is_set()) co_await writable_.wait();
}

std::chrono::steady_clock::duration Connection::writing_for() const {
  if (!write_started_) return {};
  return std::chrono::steady_clock::now() - *write_started_;
}

void Connection::close_after_writing() {
  closing_ = true;
  work_.set();
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  stream_->close();
  work_.set();
  writable_.set();
  ended_.set();
}

asio::awaitable<void> Connection::wait_closed() {
  co_await ended_.wait();
}

}  // namespace holdfast::wire
