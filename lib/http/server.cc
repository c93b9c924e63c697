#include "holdfast/http/server.h"

#include "holdfast/base/log.h"
#include "holdfast/http/host.h"

#include <cerrno>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;

namespace holdfast::http {
namespace {

namespace wire = beast::http;
using Response = wire::response<wire::string_body>;

constexpr std::chrono::milliseconds kAcceptRetry{200};
using V6Only = asio::ip::v6_only;

Result<asio::ip::address> parse(const std::string& address) {
  if (address == "localhost") return asio::ip::address(asio::ip::address_v4::loopback());
  if (address == "*") return asio::ip::address(asio::ip::address_v6::any());
  ErrorCode wrong;
  const auto parsed = asio::ip::make_address(address, wrong);
  if (wrong) return errno_code(EINVAL);
  return parsed;
}

Answer refusal(wire::status status, std::string why) {
  Answer answer;
  answer.status = static_cast<unsigned>(status);
  answer.body = std::move(why) + "\n";
  return answer;
}

Response response_of(Answer answer, unsigned version, bool keep_alive) {
  Response response(wire::int_to_status(answer.status), version);
  response.set(wire::field::content_type, answer.type);
  response.set(wire::field::cache_control, "no-store");
  response.set("Content-Security-Policy",
               "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" +
                   (answer.policy.empty() ? "" : "; " + answer.policy));
  response.set("X-Content-Type-Options", "nosniff");
  response.set("X-Frame-Options", "DENY");
  response.set("Referrer-Policy", "no-referrer");
  response.set("Cross-Origin-Resource-Policy", "same-origin");
  response.set("Cross-Origin-Opener-Policy", "same-origin");
  if (answer.status == 405) response.set(wire::field::allow, "GET, HEAD");
  response.keep_alive(keep_alive);
  response.body() = std::move(answer.body);
  response.prepare_payload();
  return response;
}

/// One connection, from its first request to its last.
class Conversation {
 public:
  Conversation(tcp::socket socket, const Options& options, const Handler& handler)
      : stream_(std::move(socket)), options_(options), handler_(handler) {}

  asio::awaitable<void> run() {
    bool more = true;
    while (more)
      more = co_await one_request();
    ErrorCode ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
  }

 private:
  /// False: the connection is over.
  asio::awaitable<bool> one_request() {
    wire::request_parser<wire::empty_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(options_.head_max));
    parser.body_limit(0);
    stream_.expires_after(options_.time_max);
    ErrorCode failed;
    co_await wire::async_read(stream_, buffer_, parser,
                              asio::redirect_error(asio::use_awaitable, failed));
    if (failed == wire::error::header_limit || failed == wire::error::body_limit) {
      Answer too_much = refusal(wire::status::payload_too_large, "too large a request");
      co_await write(response_of(std::move(too_much), 11, false), false);
      co_return false;
    }
    if (failed) co_return false;
    const auto& request = parser.get();
    Answer answer = co_await answer_to(request);
    const bool keep_alive = request.keep_alive() && answer.status == 200;
    const bool head = request.method() == wire::verb::head;
    const bool written =
        co_await write(response_of(std::move(answer), request.version(), keep_alive), head);
    co_return written&& keep_alive;
  }

  asio::awaitable<Answer> answer_to(const wire::request<wire::empty_body>& request) {
    const auto host = request.find(wire::field::host);
    if (request.count(wire::field::host) != 1 ||
        !host_allowed(std::string_view(host->value().data(), host->value().size()), options_.names))
      co_return refusal(wire::status::misdirected_request,
                        "this server is asked for by its number, by 'localhost', or by a name it "
                        "was told (--status-name, --name)");
    if (request.method() != wire::verb::get && request.method() != wire::verb::head)
      co_return refusal(wire::status::method_not_allowed, "GET and HEAD only");
    const auto target = request.target();
    std::string path(target.data(), target.size());
    path.resize(std::min(path.find('?'), path.size()));
    // The handler has the same time as everything else.
    co_return co_await handler_(std::move(path));
  }

  asio::awaitable<bool> write(Response response, bool head_only) {
    stream_.expires_after(options_.time_max);
    ErrorCode failed;
    if (head_only) {
      wire::response<wire::empty_body> head(std::move(response.base()));
      co_await wire::async_write(stream_, head, asio::redirect_error(asio::use_awaitable, failed));
    } else {
      co_await wire::async_write(stream_, response,
                                 asio::redirect_error(asio::use_awaitable, failed));
    }
    co_return !failed;
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  const Options& options_;
  const Handler& handler_;
};

struct Counted {
  std::size_t& count;
  explicit Counted(std::size_t& of) : count(of) { ++count; }
  ~Counted() { --count; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

asio::awaitable<void> converse(tcp::socket socket, const Options& options, const Handler& handler,
                               std::size_t& connections) {
  const Counted counted(connections);
  Conversation conversation(std::move(socket), options, handler);
  co_await conversation.run();
}

}  // namespace

struct Server::Listener {
  explicit Listener(asio::any_io_executor executor) : acceptor(executor) {}
  tcp::acceptor acceptor;
};

Server::Server(asio::any_io_executor executor, Options options, Handler handler)
    : executor_(executor),
      options_(std::move(options)),
      handler_(std::move(handler)),
      listener_(std::make_unique<Listener>(executor)),
      group_(executor) {}

Server::~Server() = default;

Result<void> Server::open() {
  const auto address = parse(options_.address);
  if (!address) return address.error();
  const tcp::endpoint endpoint(*address, options_.port);
  auto& acceptor = listener_->acceptor;
  ErrorCode failed;
  const auto step = [&](auto&& action) {
    if (!failed) action();
  };
  step([&] { acceptor.open(endpoint.protocol(), failed); });
  step([&] { acceptor.set_option(tcp::acceptor::reuse_address(true), failed); });
  if (options_.address == "*") step([&] { acceptor.set_option(V6Only(false), failed); });
  step([&] { acceptor.bind(endpoint, failed); });
  step([&] { acceptor.listen(static_cast<int>(options_.connections_max), failed); });
  if (failed) {
    ErrorCode ignored;
    acceptor.close(ignored);
    return failed;
  }
  group_.spawn("http.accept", accept_loop());
  return {};
}

asio::awaitable<void> Server::accept_loop() {
  for (;;) {
    ErrorCode failed;
    tcp::socket socket = co_await listener_->acceptor.async_accept(
        asio::redirect_error(asio::use_awaitable, failed));
    if (failed == asio::error::operation_aborted || failed == asio::error::bad_descriptor)
      co_return;
    if (failed) {  // out of descriptors, for example: they are the lock service's first
      asio::steady_timer timer(executor_, kAcceptRetry);
      ErrorCode woken;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
      continue;
    }
    if (connections_ >= options_.connections_max) continue;  // closes it
    group_.spawn("http.serve", converse(std::move(socket), options_, handler_, connections_));
  }
}

asio::awaitable<void> Server::stop() {
  ErrorCode ignored;
  listener_->acceptor.close(ignored);
  group_.cancel();
  co_await group_.join();
}

std::string Server::listening() const {
  const auto endpoint = listener_->acceptor.local_endpoint();
  const auto format = endpoint.address().is_v6() ? "[{}]:{}" : "{}:{}";
  return fmt::format(fmt::runtime(format), endpoint.address().to_string(), endpoint.port());
}

bool Server::loopback_only() const {
  return listener_->acceptor.local_endpoint().address().is_loopback();
}

}  // namespace holdfast::http
