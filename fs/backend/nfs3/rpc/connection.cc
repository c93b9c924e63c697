#include "fs/backend/nfs3/rpc/connection.h"

#include "fs/guard/abort_connection.h"
#include "holdfast/base/log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <span>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <sys/socket.h>

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using std::chrono::steady_clock;

namespace holdfast::fs::nfs3::rpc {
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::array<std::uint8_t, 4> kZeros{};
constexpr std::size_t kBatchCalls = 16;
constexpr std::size_t kBatchBytes = 1U << 20;
constexpr std::chrono::milliseconds kWatchMin{20};
constexpr std::chrono::milliseconds kWatchMax{1'000};
constexpr std::chrono::milliseconds kIdleMax{10'000};

std::uint32_t random_bits() {
  static thread_local std::mt19937 random{std::random_device{}()};
  return static_cast<std::uint32_t>(random());
}

}  // namespace

/// Lives as long as either side needs it: the caller may go first (cancelled) or the connection
/// (stopped).
struct Connection::Waiter {
  explicit Waiter(asio::any_io_executor executor)
      : timer(executor, steady_clock::time_point::max()) {}
  void finish(Result<Reply> value) {
    result.emplace(std::move(value));
    timer.cancel();
  }
  asio::steady_timer timer;
  std::optional<Result<Reply>> result;
};

Connection::Connection(asio::any_io_executor executor, Locate locate, ConnectionOptions options)
    : executor_(executor),
      locate_(std::move(locate)),
      options_(std::move(options)),
      source_{.port = 0, .reserved = options_.reserved_port},
      table_(random_bits()),
      socket_(executor),
      work_(executor),
      to_send_(executor),
      pause_(executor),
      tasks_(executor) {
  tasks_.spawn("nfs.connection", run());
}

Connection::~Connection() = default;

asio::awaitable<Result<Reply>> Connection::call(Message message,
                                                std::optional<std::chrono::milliseconds> patience,
                                                std::shared_ptr<void> hold) {
  if (stopped_) co_return errno_code(ECANCELED);
  if (table_.size() >= kCallsMax) co_return errno_code(ENOBUFS);
  auto waiter = std::make_shared<Waiter>(executor_);
  if (patience) waiter->timer.expires_after(*patience);
  Pending pending{std::move(message), waiter, std::move(hold)};
  auto& entry = table_.add(std::move(pending));
  entry.payload.message.set_xid(entry.xid);
  // Whatever way this coroutine ends, the table forgets its buffers.
  struct Forget {
    Connection& connection;
    std::uint32_t xid;
    Waiter& waiter;
    ~Forget() {
      if (!waiter.result) connection.give_up(xid);
    }
  };
  const Forget forget{*this, entry.xid, *waiter};
  to_send_.set();
  update_work();
  while (!waiter->result) {
    const auto [woken] = co_await waiter->timer.async_wait(kTuple);
    if (waiter->result) break;
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none)
      throw boost::system::system_error(asio::error::operation_aborted);
    if (!woken) co_return errno_code(ETIMEDOUT);
  }
  co_return std::move(*waiter->result);
}

void Connection::give_up(std::uint32_t xid) {
  auto* call = table_.find(xid);
  if (call == nullptr) return;
  // The socket may be reading the caller's memory right now: only ending the connection stops that.
  const bool in_write = std::find(writing_.begin(), writing_.end(), xid) != writing_.end();
  if (in_write && !call->payload.message.payload.empty()) drop("write abandoned");
  call->payload.message.payload = {};
  call->payload.waiter = nullptr;
  table_.abandon(xid);
  update_work();
}

void Connection::update_work() {
  if (!table_.empty() && !suspended_) {
    work_.set();
  } else {
    work_.clear();
  }
}

asio::awaitable<void> Connection::run() {
  while (!stopped_) {
    co_await work_.wait();
    const bool connected = co_await connect();
    if (connected) co_await serve();
    close_socket();
    table_.connection_lost();
    if (table_.anything_to_send()) to_send_.set();
    update_work();
    // Also a server that accepts and cuts again must not be hammered.
    if (!table_.empty() && !suspended_ && !stopped_) co_await pause();
  }
}

asio::awaitable<void> Connection::pause() {
  if (suspended_ || stopped_) co_return;
  pause_.expires_after(backoff_.next(random_bits()));
  co_await pause_.async_wait(kTuple);
}

asio::awaitable<bool> Connection::connect() {
  const auto servers = co_await locate_();
  ErrorCode failed = servers ? ErrorCode{} : servers.error();
  if (servers) {
    for (const auto& server : *servers) {
      if (suspended_ || stopped_) co_return false;
      auto socket = co_await open_socket(executor_, server, source_, options_.socket);
      if (suspended_ || stopped_) co_return false;
      if (!socket) {
        failed = socket.error();
        continue;
      }
      if (options_.guard != nullptr) {
        const auto watch = options_.guard->watch(socket->native_handle());
        if (!watch) {
          failed = watch.error();
          continue;
        }
        watch_ = *watch;
      }
      socket_ = std::move(*socket);
      parser_ = RecordParser{};
      connected_ = true;
      ++connects_;
      options_.connected.add();
      progress_ = steady_clock::now();
      log::debug("nfs.connected", "server={} source_port={}", options_.name, source_.port);
      co_return true;
    }
  }
  if (!warned_) {
    warned_ = true;
    log::warn("nfs.not_responding", "server={} error=\"{}\"", options_.name, failed.message());
  }
  co_return false;
}

asio::awaitable<void> Connection::serve() {
  to_send_.set();
  co_await (read_loop() || write_loop() || watch_loop());
}

asio::awaitable<void> Connection::read_loop() {
  while (connected_) {
    const auto space = parser_.space();
    const auto [failed, size] =
        co_await socket_.async_read_some(asio::buffer(space.data(), space.size()), kTuple);
    if (failed || !connected_) co_return;
    progress_ = steady_clock::now();
    if (!parser_.commit(size)) {
      log::warn("nfs.malformed", "server={} what=\"record mark\"", options_.name);
      co_return;
    }
    while (auto record = parser_.take()) {
      if (deliver(std::move(*record))) continue;
      log::warn("nfs.malformed", "server={} what=\"reply header\"", options_.name);
      co_return;
    }
  }
}

bool Connection::deliver(Record record) {
  Reply reply;
  Reader reader(record.bytes());
  if (!read_reply_header(reader, reply.header)) return false;
  auto* call = table_.find(reply.header.xid);
  if (call == nullptr || !call->on_wire) return true;  // late, of a call nobody waits for any more
  // write_loop still refers to the call's memory, which the caller frees once it is answered: a
  // little later, then.
  if (std::find(writing_.begin(), writing_.end(), call->xid) != writing_.end()) {
    early_.push_back(std::move(record));
    return true;
  }
  backoff_.reset();
  if (warned_) {
    warned_ = false;
    log::info("nfs.responding", "server={}", options_.name);
  }
  reply.body = record.size() - reader.remaining();
  reply.repeated = call->sends > 1;
  reply.record = std::move(record);
  auto waiter = std::move(call->payload.waiter);
  table_.erase(reply.header.xid);
  update_work();
  if (waiter) waiter->finish(std::move(reply));
  return true;
}

// Not asio::async_write: the lease is looked at before each system call, so that a process that was
// frozen before that look sends nothing when it wakes. One frozen between the look and the system
// call finds its connection aborted by the guardian.
asio::awaitable<bool> Connection::send(std::vector<iovec> parts) {
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  while (connected_) {
    if (options_.guard != nullptr && !options_.guard->may_send()) co_return false;
    const ssize_t size = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) co_return false;
      const auto [failed] = co_await socket_.async_wait(Socket::wait_write, kTuple);
      if (failed) co_return false;
      continue;
    }
    auto sent = static_cast<std::size_t>(size);
    while (message.msg_iovlen > 0 && sent >= message.msg_iov->iov_len) {
      sent -= message.msg_iov->iov_len;
      ++message.msg_iov;
      --message.msg_iovlen;
    }
    if (message.msg_iovlen == 0) co_return true;
    message.msg_iov->iov_base = static_cast<std::uint8_t*>(message.msg_iov->iov_base) + sent;
    message.msg_iov->iov_len -= sent;
  }
  co_return false;
}

asio::awaitable<void> Connection::write_loop() {
  std::vector<iovec> parts;
  // sendmsg(2) reads only.
  const auto add = [&parts](std::span<const std::uint8_t> bytes) {
    if (!bytes.empty()) parts.push_back({const_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  };
  while (connected_) {
    if (!table_.anything_to_send()) {
      to_send_.clear();
      co_await to_send_.wait();
      continue;
    }
    parts.clear();
    std::size_t bytes = 0;
    const auto now = steady_clock::now();
    while (writing_.size() < kBatchCalls && bytes < kBatchBytes && table_.anything_to_send()) {
      auto* call = table_.send_next(now);
      const Message& message = call->payload.message;
      writing_.push_back(call->xid);
      add(message.head);
      add(message.payload);
      add(std::span(kZeros).first(message.payload.empty() ? 0 : message.padding()));
      bytes += message.head.size() + message.payload.size();
    }
    const bool sent = co_await send(parts);
    writing_.clear();
    if (!sent || !connected_) co_return;
    progress_ = steady_clock::now();
    for (Record& record : std::exchange(early_, {}))
      (void)deliver(std::move(record));  // was well-formed when it came
  }
}

asio::awaitable<void> Connection::watch_loop() {
  asio::steady_timer timer(executor_);
  while (connected_) {
    // A call that begins later on this connection is sent for the first time: nothing to repeat.
    const auto watch_max = table_.empty() ? kIdleMax : kWatchMax;
    timer.expires_after(std::clamp(options_.timeo / 8, kWatchMin, watch_max));
    co_await timer.async_wait(kTuple);
    const auto oldest = table_.oldest_sent();
    if (!connected_ || oldest == Table::Time::max()) continue;
    const auto now = steady_clock::now();
    table_.repeat_due(now, [&](std::uint32_t xid) {
      return std::find(writing_.begin(), writing_.end(), xid) != writing_.end();
    });
    if (table_.anything_to_send()) to_send_.set();
    const bool silent = now - std::max(progress_, oldest) > options_.timeo;
    const bool stuck = now - oldest > options_.timeo * kStuckFactor;
    if (!silent && !stuck) continue;
    if (!warned_) log::warn("nfs.not_responding", "server={} waiting={}", options_.name, waiting());
    warned_ = true;
    co_return;
  }
}

void Connection::drop(std::string_view reason) {
  if (connected_) log::debug("nfs.dropped", "server={} reason=\"{}\"", options_.name, reason);
  close_socket();
}

void Connection::close_socket() {
  connected_ = false;
  if (watch_) {
    // The guardian has it open too, so closing ours would end nothing.
    (void)guard::abort_connection(socket_.native_handle());
    options_.guard->unwatch(*watch_);
    watch_.reset();
  }
  ErrorCode ignored;
  socket_.close(ignored);  // SO_LINGER 0: reset, nothing queued leaves
  writing_.clear();
  early_.clear();
  to_send_.set();  // wakes write_loop, which then ends
}

void Connection::suspend() {
  suspended_ = true;
  update_work();
  pause_.cancel();
  close_socket();
}

void Connection::resume() {
  suspended_ = false;
  backoff_.reset();
  update_work();
}

asio::awaitable<void> Connection::stop() {
  stopped_ = true;
  close_socket();
  table_.clear([](Table::Call& call) {
    if (call.payload.waiter) call.payload.waiter->finish(errno_code(ECANCELED));
  });
  pause_.cancel();
  tasks_.cancel();
  co_await tasks_.join();
}

}  // namespace holdfast::fs::nfs3::rpc
