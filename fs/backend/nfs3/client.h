#pragma once
/// NFSv3 calls over several connections: choice of connection, waiting for a server that says
/// "later", hard and soft, and the order of writes.
///
/// Thread: the loop's thread only. Lifetime: stop() must have returned before destruction.

#include "fs/backend/nfs3/options.h"
#include "fs/backend/nfs3/rpc/connection.h"
#include "fs/backend/nfs3/write_order.h"
#include "fs/counters/counters.h"
#include "holdfast/base/result.h"
#include "holdfast/task/event.h"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::fs::nfs3 {

/// An accepted reply: its nfsstat3 and what follows.
struct Answer {
  rpc::Reply reply;
  rpc::Connection* from = nullptr;
  std::uint32_t status = 0;
  bool repeated = false;  ///< the server may have executed this call more than once

  [[nodiscard]] ErrorCode error() const;  ///< of `status`; empty for NFS3_OK
  [[nodiscard]] rpc::Reader reader() const;
};

class Client {
 public:
  Client(boost::asio::any_io_executor executor, const Options& options, rpc::Locate locate);

  /// Calls of one `lane` use one connection; without it the least busy one is taken.
  using Lane = std::optional<std::uint64_t>;
  /// Sends `message` until the server answers something other than "later". Its payload must stay
  /// valid. `patience` overrides hard/soft (used at start).
  boost::asio::awaitable<Result<Answer>> perform(
      rpc::Message message, Lane lane = {}, std::shared_ptr<void> hold = {},
      std::optional<std::chrono::milliseconds> patience = {});
  /// Waits until nothing that overlaps [begin, end) of `file` is on its way; the turn lasts until
  /// the result dies.
  boost::asio::awaitable<Result<std::shared_ptr<void>>> turn(FileHandle file, std::uint64_t begin,
                                                             std::uint64_t end);
  /// The result could not be decoded: logs, resets the connection it came from, gives EIO.
  ErrorCode malformed(const Answer& answer, std::string_view procedure);

  void suspend();
  void resume();
  boost::asio::awaitable<void> stop();

  /// Connections made so far.
  [[nodiscard]] std::uint64_t connects() const;

  /// Keeps stop() waiting while an operation of the backend runs.
  class Running {
   public:
    explicit Running(Client& client) : client_(client) { ++client_.running_; }
    ~Running() {
      if (--client_.running_ == 0) client_.idle_.set();
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    Client& client_;
  };

 private:
  struct Turn;
  rpc::Connection& choose(const Lane& lane);
  boost::asio::awaitable<void> wait_before_retry(std::chrono::milliseconds time);
  boost::asio::awaitable<Result<Answer>> ask(rpc::Message message, Lane lane,
                                             std::shared_ptr<void> hold,
                                             std::optional<std::chrono::milliseconds> patience);
  void note_trouble(std::uint32_t procedure, std::uint32_t status);

  boost::asio::any_io_executor executor_;
  Options options_;
  WriteOrder order_;                                            // must outlive the connections,
  std::unordered_map<WriteOrder::Ticket, task::Event*> turns_;  // whose calls hold turns
  std::vector<std::unique_ptr<rpc::Connection>> connections_;
  task::Event stopping_;
  task::Event idle_;
  std::size_t running_ = 0;
  std::map<int, std::uint64_t> troubles_;    // by errno
  std::array<counters::Counter, 22> calls_;  // by procedure number, 0 = NULL to 21 = COMMIT
  std::array<counters::Timing, 22> times_;
  counters::Gauge under_way_;
  counters::Counter repeated_;  ///< sent more than once before they were answered
  counters::Counter later_;     ///< answers that say "later"
  counters::Counter given_up_;  ///< without an answer: soft mounts
  counters::Counter bytes_written_;
  counters::Counter bytes_received_;
};

}  // namespace holdfast::fs::nfs3
