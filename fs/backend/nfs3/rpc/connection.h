#pragma once
/// One TCP connection to an RPC server, mended for ever.
///
/// Calls are pipelined and answered in any order. When the connection is lost (error, malformed
/// data, no progress for `timeo` although calls wait) it is opened again from the same source port,
/// after a back-off, and everything unanswered is sent again with the same xid and the same bytes
/// (call_table.h). Replies with an unknown xid are ignored. An idle connection that the server
/// closes is opened again with the next call.
///
/// With a guard, every connection is in its care before a byte is sent, and no byte is handed to
/// the kernel once the lease is over (I2).
///
/// Thread: the loop's thread only. Lifetime: stop() must have returned before destruction.

#include "fs/backend/nfs3/rpc/backoff.h"
#include "fs/backend/nfs3/rpc/call_table.h"
#include "fs/backend/nfs3/rpc/message.h"
#include "fs/backend/nfs3/rpc/record.h"
#include "fs/backend/nfs3/rpc/socket.h"
#include "fs/counters/counters.h"
#include "fs/guard/socket_guard.h"
#include "holdfast/base/result.h"
#include "holdfast/task/event.h"
#include "holdfast/task/group.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/uio.h>

namespace holdfast::fs::nfs3::rpc {

struct Reply {
  Record record;  ///< owns the bytes
  ReplyHeader header;
  std::size_t body = 0;   ///< where the result starts in the record
  bool repeated = false;  ///< an earlier connection may have carried this call too

  [[nodiscard]] Reader reader() const { return Reader(record.bytes().subspan(body)); }
};

struct ConnectionOptions {
  std::string name;  ///< for log lines
  std::chrono::milliseconds timeo{60'000};
  SocketOptions socket;
  bool reserved_port = true;
  guard::SocketGuard* guard = nullptr;  ///< outlives the connection
  counters::Counter connected;          ///< one more each time
};

/// Where the server is now; asked before every connection attempt.
using Locate =
    std::function<boost::asio::awaitable<Result<std::vector<boost::asio::ip::tcp::endpoint>>>()>;

class Connection {
 public:
  /// Calls waiting at one time; more are refused with ENOBUFS.
  static constexpr std::size_t kCallsMax = 16'384;
  /// A single call on the wire for this many `timeo` is sent again even if others make progress.
  static constexpr int kStuckFactor = 3;

  Connection(boost::asio::any_io_executor executor, Locate locate, ConnectionOptions options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Sends `message` and waits for its reply. `message.payload` must stay valid until this returns
  /// or throws. `hold` lives until the call can no longer be executed through this connection, even
  /// when the caller gives up. Errors: ETIMEDOUT after `patience` (none = wait for ever), ECANCELED
  /// after stop(), ENOBUFS. Cancellation throws operation_aborted.
  boost::asio::awaitable<Result<Reply>> call(Message message,
                                             std::optional<std::chrono::milliseconds> patience,
                                             std::shared_ptr<void> hold = {});
  /// Resets the connection; calls are sent again.
  void drop(std::string_view reason);
  void suspend();
  void resume();
  boost::asio::awaitable<void> stop();

  [[nodiscard]] std::size_t waiting() const { return table_.size(); }
  [[nodiscard]] std::uint64_t connects() const { return connects_; }

 private:
  struct Waiter;
  struct Pending {
    Message message;
    std::shared_ptr<Waiter> waiter;
    std::shared_ptr<void> hold;
  };
  using Table = CallTable<Pending>;

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<bool> connect();
  boost::asio::awaitable<void> serve();
  boost::asio::awaitable<void> read_loop();
  boost::asio::awaitable<void> write_loop();
  boost::asio::awaitable<void> watch_loop();
  boost::asio::awaitable<void> pause();
  /// Hands all of `parts` to the kernel. False: the connection or the lease is over.
  boost::asio::awaitable<bool> send(std::vector<iovec> parts);
  [[nodiscard]] bool deliver(Record record);
  void give_up(std::uint32_t xid);
  void update_work();
  void close_socket();

  boost::asio::any_io_executor executor_;
  Locate locate_;
  ConnectionOptions options_;
  SourcePort source_;
  Table table_;
  Socket socket_;
  std::optional<guard::WatchId> watch_;
  RecordParser parser_;
  Backoff backoff_;
  task::Event work_;     // calls wait and we may connect
  task::Event to_send_;  // the table has something for the wire
  boost::asio::steady_timer pause_;
  task::Group tasks_;
  std::chrono::steady_clock::time_point progress_{};
  bool connected_ = false;
  bool suspended_ = false;
  bool stopped_ = false;
  bool warned_ = false;                 // one "not responding" line per outage
  std::vector<std::uint32_t> writing_;  // xids whose bytes write_loop is putting on the wire
  std::vector<Record> early_;           // replies to those
  std::uint64_t connects_ = 0;
};

}  // namespace holdfast::fs::nfs3::rpc
