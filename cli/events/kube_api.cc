#include "cli/events/kube_api.h"

#include "holdfast/base/result.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <fmt/format.h>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

namespace holdfast::cli {
namespace {

using Stream = beast::ssl_stream<beast::tcp_stream>;
using Message = http::request<http::string_body>;
using Sent = boost::system::result<ApiAnswer, ApiFailure>;

constexpr const char* kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr std::size_t kTokenMax = 64 << 10;

std::optional<std::string> read_token(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kTokenMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
    text.pop_back();
  // It becomes a line of the request's head.
  const bool one_word = text.find_first_of(" \t\r\n") == std::string::npos;
  if (text.empty() || !one_word) return std::nullopt;
  return text;
}

std::string host_field(const ApiPlace& place) {
  const bool number_6 = place.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", number_6 ? "[" : "", place.host, number_6 ? "]" : "", place.port);
}

Message message_of(const ApiRequest& request, const ApiPlace& place, const std::string& token) {
  Message message(http::string_to_verb(request.method), request.target, 11);
  message.set(http::field::host, host_field(place));
  message.set(http::field::user_agent, "holdfast-events");
  message.set(http::field::authorization, "Bearer " + token);
  message.set(http::field::accept, "application/json");
  message.set(http::field::content_type, request.content_type);
  message.set(http::field::connection, "close");
  message.body() = request.body;
  message.prepare_payload();
  return message;
}

ApiFailure unreachable(const ApiPlace& place, const char* step, const ErrorCode& error) {
  const bool timed_out = error == beast::error::timeout;
  const bool certificate = error.category() == asio::error::get_ssl_category();
  return {.what = fmt::format("{} {}: {}", step, host_field(place),
                              timed_out ? std::string("no answer") : error.message()),
          .hint = certificate ? "the cluster's ca.crt is not that of this API server"
                              : "may this pod reach the API server? networkPolicy.apiPorts names "
                                "its ports"};
}

class Exchange {
 public:
  Exchange(asio::any_io_executor executor, asio::ssl::context& tls, const ApiPlace& place)
      : resolver_(executor), stream_(executor, tls), place_(place) {
    beast::get_lowest_layer(stream_).expires_after(KubeApi::kRequestMax);
    stream_.set_verify_mode(asio::ssl::verify_peer);
    stream_.set_verify_callback(asio::ssl::host_name_verification(place.host));
  }

  asio::awaitable<Sent> run(Message message) {
    ErrorCode failed;
    const auto token = [&failed] { return asio::redirect_error(asio::use_awaitable, failed); };
    const auto found = co_await resolver_.async_resolve(place_.host, place_.port, token());
    if (failed) co_return unreachable(place_, "cannot find", failed);
    auto& socket = beast::get_lowest_layer(stream_);
    co_await socket.async_connect(found, token());
    if (failed) co_return unreachable(place_, "cannot connect to", failed);
    co_await stream_.async_handshake(asio::ssl::stream_base::client, token());
    if (failed) co_return unreachable(place_, "no TLS with", failed);
    co_await http::async_write(stream_, message, token());
    if (failed) co_return unreachable(place_, "cannot ask", failed);
    http::response_parser<http::string_body> parser;
    parser.body_limit(KubeApi::kBodyMax);
    co_await http::async_read(stream_, buffer_, parser, token());
    if (failed) co_return unreachable(place_, "no answer of", failed);
    // No farewell: some servers do not answer it, and what was said is complete.
    co_return ApiAnswer{parser.get().result_int(), std::move(parser.get().body())};
  }

 private:
  tcp::resolver resolver_;
  Stream stream_;
  beast::flat_buffer buffer_;
  const ApiPlace& place_;
};

asio::awaitable<Sent> run(Exchange& exchange, Message message) {
  co_return co_await exchange.run(std::move(message));
}

}  // namespace

Sent KubeApi::send(const ApiRequest& request) const {
  const auto token = read_token(place_.token_file);
  if (!token)
    return ApiFailure{fmt::format("no token in {}", place_.token_file),
                      "the pod's service account token is not mounted there, or is not readable"};
  asio::ssl::context tls(asio::ssl::context::tls_client);
  ErrorCode failed;
  tls.set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
  tls.load_verify_file(place_.ca_file, failed);
  if (failed)
    return ApiFailure{fmt::format("no certificate in {}: {}", place_.ca_file, failed.message()),
                      "the cluster's ca.crt is not mounted there, or is not readable"};
  asio::io_context loop(1);
  Exchange exchange(loop.get_executor(), tls, place_);
  auto done =
      asio::co_spawn(loop, run(exchange, message_of(request, place_, *token)), asio::use_future);
  // The stream's own limit does not cover the search for the address.
  loop.run_for(kRequestMax + std::chrono::seconds(1));
  if (done.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    return unreachable(place_, "no answer of", beast::error::timeout);
  return done.get();
}

ApiPlace place_of_this_pod() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  return {.host = variable("KUBERNETES_SERVICE_HOST"),
          .port = variable("KUBERNETES_SERVICE_PORT"),
          .token_file = fmt::format("{}/token", kServiceAccount),
          .ca_file = fmt::format("{}/ca.crt", kServiceAccount)};
}

}  // namespace holdfast::cli
