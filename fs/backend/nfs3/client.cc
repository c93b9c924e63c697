#include "fs/backend/nfs3/client.h"

#include "fs/backend/nfs3/status.h"
#include "fs/state/state.h"
#include "holdfast/base/log.h"

#include <algorithm>
#include <bit>
#include <random>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using std::chrono::steady_clock;

namespace holdfast::fs::nfs3 {
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

/// RFC 1813 section 3.3, by number.
constexpr std::array<std::string_view, 22> kNames{
    "NULL",    "GETATTR",     "SETATTR", "LOOKUP", "ACCESS",   "READLINK", "READ",   "WRITE",
    "CREATE",  "MKDIR",       "SYMLINK", "MKNOD",  "REMOVE",   "RMDIR",    "RENAME", "LINK",
    "READDIR", "READDIRPLUS", "FSSTAT",  "FSINFO", "PATHCONF", "COMMIT"};

asio::awaitable<void> sleep(asio::any_io_executor executor, std::chrono::milliseconds time) {
  asio::steady_timer timer(executor, time);
  co_await timer.async_wait(kTuple);
}

/// What an RPC-level refusal means for the call; none = the server is not ready, try again.
std::optional<ErrorCode> refusal(const rpc::ReplyHeader& header) {
  switch (header.outcome) {
    case rpc::Outcome::kProcedureUnavailable:
      return errno_code(EOPNOTSUPP);
    case rpc::Outcome::kGarbageArguments:
      return errno_code(EINVAL);
    case rpc::Outcome::kAuthError:
      return errno_code(EACCES);
    case rpc::Outcome::kRpcMismatch:
      return errno_code(EPROTONOSUPPORT);
    // It offered NFSv3 when it was mounted, so this is a server that is starting or failing.
    case rpc::Outcome::kProgramUnavailable:
    case rpc::Outcome::kVersionMismatch:
    case rpc::Outcome::kSystemError:
    case rpc::Outcome::kSuccess:
      break;
  }
  return std::nullopt;
}

}  // namespace

ErrorCode Answer::error() const {
  const int value = status_to_errno(status);
  return value == 0 ? ErrorCode{} : errno_code(value);
}

rpc::Reader Answer::reader() const {
  auto reader = reply.reader();
  (void)reader.u32();  // status
  return reader;
}

Client::Client(asio::any_io_executor executor, const Options& options, rpc::Locate locate)
    : executor_(executor), options_(options), stopping_(executor), idle_(executor) {
  const unsigned count = std::clamp(options.connections, 1U, Options::kConnectionsMax);
  for (unsigned i = 0; i < count; ++i) {
    rpc::ConnectionOptions connection;
    connection.name = options.server;
    connection.timeo = options.timeo;
    connection.reserved_port = options.reserved_port;
    connection.guard = options.guard;
    connection.socket.unacked_max = options.unacked_max;
    connection.socket.send_buffer = options.send_buffer;
    connection.socket.connect_timeout = std::min(options.timeo, options.mount_timeout);
    if (options.counters != nullptr)
      connection.connected = options.counters->counter("nfs.connects");
    connections_.push_back(
        std::make_unique<rpc::Connection>(executor, locate, std::move(connection)));
  }
  if (options.counters == nullptr) return;
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    calls_[i] = options.counters->counter("nfs." + std::string(kNames[i]));
    times_[i] = options.counters->timing("nfs." + std::string(kNames[i]));
  }
  under_way_ = options.counters->gauge("nfs.under_way");
  repeated_ = options.counters->counter("nfs.repeated");
  later_ = options.counters->counter("nfs.later");
  given_up_ = options.counters->counter("nfs.given_up");
  bytes_written_ = options.counters->counter("nfs.bytes_written");
  bytes_received_ = options.counters->counter("nfs.bytes_received");
}

rpc::Connection& Client::choose(const Lane& lane) {
  if (lane) return *connections_[*lane % connections_.size()];
  const auto least =
      std::min_element(connections_.begin(), connections_.end(),
                       [](const auto& a, const auto& b) { return a->waiting() < b->waiting(); });
  return **least;
}

asio::awaitable<void> Client::wait_before_retry(std::chrono::milliseconds time) {
  co_await (sleep(executor_, time) || stopping_.wait());
}

asio::awaitable<Result<Answer>> Client::perform(rpc::Message message, Lane lane,
                                                std::shared_ptr<void> hold,
                                                std::optional<std::chrono::milliseconds> patience) {
  const auto start = steady_clock::now();
  const auto procedure = message.procedure();
  if (procedure < calls_.size()) calls_[procedure].add();
  const state::State::Call call(options_.state, procedure);
  bytes_written_.add(message.payload.size());
  struct UnderWay {
    counters::Gauge& gauge;
    explicit UnderWay(counters::Gauge& of) : gauge(of) { gauge.up(); }
    ~UnderWay() { gauge.down(); }
  } const under_way(under_way_);
  auto answer = co_await ask(std::move(message), lane, std::move(hold), patience);
  if (!answer) {
    given_up_.add();
  } else if (procedure < times_.size()) {
    times_[procedure].add(steady_clock::now() - start);
  }
  if (answer && answer->repeated) repeated_.add();
  co_return answer;
}

asio::awaitable<Result<Answer>> Client::ask(rpc::Message message, Lane lane,
                                            std::shared_ptr<void> hold,
                                            std::optional<std::chrono::milliseconds> patience) {
  if (!patience && !options_.hard) patience = options_.timeo;
  const auto start = steady_clock::now();
  rpc::Backoff backoff;
  bool repeated = false;
  for (;;) {
    if (stopping_.is_set()) co_return errno_code(ECANCELED);
    rpc::Connection& connection = choose(lane);
    rpc::Message copy = message;
    auto reply = co_await connection.call(std::move(copy), patience, hold);
    if (!reply) co_return reply.error();
    repeated = repeated || reply->repeated;
    bytes_received_.add(reply->record.bytes().size());
    if (const auto refused = refusal(reply->header)) co_return *refused;
    if (reply->header.outcome == rpc::Outcome::kSuccess) {
      Answer answer;
      answer.reply = std::move(*reply);
      answer.from = &connection;
      answer.repeated = repeated;
      auto reader = answer.reply.reader();
      answer.status = reader.u32();
      if (!reader.ok()) co_return malformed(answer, "status");
      if (!means_later(answer.status)) {
        note_trouble(message.procedure(), answer.status);
        co_return answer;
      }
    }
    later_.add();
    // "Later" means a new call with a new xid (RFC 1813 section 2.6, NFS3ERR_JUKEBOX).
    if (patience && steady_clock::now() - start >= *patience) co_return errno_code(ETIMEDOUT);
    co_await wait_before_retry(backoff.next(static_cast<std::uint32_t>(std::random_device{}())));
  }
}

// Programs are told EIO or ENOSPC and seldom say more; whoever looks for the reason finds the
// server named here. The first time, the second, the fourth...
void Client::note_trouble(std::uint32_t procedure, std::uint32_t status) {
  if (!is_trouble_of_server(status)) return;
  const int number = status_to_errno(status);
  const std::uint64_t times = ++troubles_[number];
  if (!std::has_single_bit(times)) return;
  log::warn("nfs.server_error", "server={} procedure={} nfsstat3={} error=\"{}\" times={}",
            options_.server, procedure < kNames.size() ? kNames[procedure] : "?", status,
            errno_code(number).message(), times);
}

std::uint64_t Client::connects() const {
  std::uint64_t sum = 0;
  for (const auto& connection : connections_)
    sum += connection->connects();
  return sum;
}

/// A place in the order of writes. Shared by the operation and its call on the wire: a caller that
/// gives up must not let an overlapping write overtake what it has already sent.
struct Client::Turn {
  Turn(Client& owner, const FileHandle& handle, std::uint64_t begin, std::uint64_t end)
      : client(owner), file(handle), ticket(client.order_.enter(file, begin, end)) {}
  ~Turn() {
    for (const auto next : client.order_.leave(file, ticket)) {
      const auto it = client.turns_.find(next);
      if (it != client.turns_.end()) it->second->set();
    }
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  Client& client;
  FileHandle file;
  WriteOrder::Ticket ticket;
};

asio::awaitable<Result<std::shared_ptr<void>>> Client::turn(FileHandle file, std::uint64_t begin,
                                                            std::uint64_t end) {
  auto turn = std::make_shared<Turn>(*this, file, begin, end);
  if (!order_.admitted(file, turn->ticket)) {
    task::Event admitted(executor_);
    struct Registration {
      Client& client;
      WriteOrder::Ticket ticket;
      ~Registration() { client.turns_.erase(ticket); }
    };
    turns_[turn->ticket] = &admitted;
    const Registration registration{*this, turn->ticket};
    co_await admitted.wait();
  }
  if (stopping_.is_set()) co_return errno_code(ECANCELED);
  co_return std::shared_ptr<void>(std::move(turn));
}

ErrorCode Client::malformed(const Answer& answer, std::string_view procedure) {
  log::warn("nfs.malformed", "server={} what=\"{} result\"", options_.server, procedure);
  if (answer.from != nullptr) answer.from->drop("malformed result");
  return errno_code(EIO);
}

void Client::suspend() {
  for (auto& connection : connections_)
    connection->suspend();
}

void Client::resume() {
  for (auto& connection : connections_)
    connection->resume();
}

asio::awaitable<void> Client::stop() {
  stopping_.set();
  for (auto& [ticket, event] : turns_)
    event->set();
  for (auto& connection : connections_)
    co_await connection->stop();
  while (running_ > 0) {
    idle_.clear();
    co_await idle_.wait();
  }
}

}  // namespace holdfast::fs::nfs3
