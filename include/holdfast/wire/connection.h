#pragma once
/// Messages over a stream, many to a system call in both directions.
///
///   reader:  while (co_await connection->fill())  while (next message)  handle it
///   writer:  one coroutine in write_loop(); send() only queues
///
/// Thread: the executor's thread only. Lifetime: shared by its reader, its writer and whoever may
/// send; the codec outlives it.

#include "holdfast/base/result.h"
#include "holdfast/lock/message.h"
#include "holdfast/task/event.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/frame.h"
#include "holdfast/wire/stream.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::wire {

struct ConnectionLimits {
  std::size_t frame_size_max = kFrameSizeMax;
  /// Bytes queued for a peer that does not read: above, send() refuses with kQueueFull.
  std::size_t queue_size_max = std::size_t{4} << 20;
  /// Above, wait_writable() waits: a reader whose answers are not taken stops reading.
  std::size_t queue_size_high = std::size_t{1} << 20;
};

class Connection {
 public:
  Connection(const boost::asio::any_io_executor& executor, std::unique_ptr<Stream> stream,
             Codec& codec, ConnectionLimits limits);

  // ---- Reading
  /// Reads once, at least one byte.
  [[nodiscard]] boost::asio::awaitable<Result<void>> fill();
  /// The next whole message; nothing if more bytes are needed; kFrameTooLarge, kMalformed. After an
  /// error the connection is of no use.
  [[nodiscard]] Result<std::optional<ClientMessage>> next_client_message();
  [[nodiscard]] Result<std::optional<ServerMessage>> next_server_message();
  void set_frame_size_max(std::size_t bytes) { incoming_.set_frame_size_max(bytes); }

  // ---- Writing
  /// Queues; the writer sends it with whatever else is queued by then. kQueueFull, kClosed,
  /// kFrameTooLarge: nothing was queued.
  [[nodiscard]] Result<void> send(const ClientMessage& message);
  [[nodiscard]] Result<void> send(const ServerMessage& message);
  /// Writes what is queued until closed or the stream fails; then closes.
  [[nodiscard]] boost::asio::awaitable<void> write_loop();
  /// Returns when less than queue_size_high is queued, or closed.
  [[nodiscard]] boost::asio::awaitable<void> wait_writable();
  /// For how long the write under way has made no progress as a whole; 0 if there is none.
  [[nodiscard]] std::chrono::steady_clock::duration writing_for() const;

  // ---- Ending
  /// Nothing further is accepted by send(); closes once the queue is written.
  void close_after_writing();
  /// At once. Reader and writer end.
  void close();
  [[nodiscard]] boost::asio::awaitable<void> wait_closed();
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] bool closing() const { return closed_ || closing_; }
  [[nodiscard]] const std::string& peer() const { return stream_->peer(); }
  [[nodiscard]] Proof proof() const { return stream_->proof(); }

 private:
  template <class Message>
  Result<void> queue(const Message& message);
  [[nodiscard]] std::size_t queued() const { return outgoing_.size() + in_flight_.size(); }

  std::unique_ptr<Stream> stream_;
  Codec& codec_;
  ConnectionLimits limits_;
  FrameBuffer incoming_;
  std::string outgoing_;   // queued
  std::string in_flight_;  // being written
  std::optional<std::chrono::steady_clock::time_point> write_started_;
  task::Event work_;
  task::Event writable_;
  task::Event ended_;
  bool closing_ = false;
  bool closed_ = false;
};

}  // namespace holdfast::wire
