#include "lockd/status/service.h"

#include "holdfast/base/log.h"
#include "holdfast/metrics/families.h"
#include "holdfast/task/event.h"
#include "lockd/status/json.h"
#include "lockd/status/metrics.h"
#include "lockd/status/page.h"

#include <exception>
#include <optional>
#include <thread>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using std::chrono::steady_clock;

namespace holdfast::lockd::status {
namespace {

constexpr const char* kHtml = "text/html; charset=utf-8";
constexpr const char* kCss = "text/css; charset=utf-8";
constexpr const char* kJs = "text/javascript; charset=utf-8";
constexpr const char* kJson = "application/json";
constexpr const char* kPagePolicy =
    "script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:";

http::Answer answer(unsigned status, std::string type, std::string body) {
  return {.status = status, .type = std::move(type), .body = std::move(body), .policy = {}};
}

asio::awaitable<void> sleep(asio::any_io_executor executor, std::chrono::milliseconds time) {
  asio::steady_timer timer(executor, time);
  ErrorCode woken;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

http::Options http_options(StatusOptions from) {
  http::Options options;
  options.address = std::move(from.address);
  options.port = from.port;
  options.names = std::move(from.names);
  return options;
}

}  // namespace

class Service::Inner {
 public:
  Inner(asio::io_context& loop, StatusOptions options, std::function<Moment()> look)
      : loop_(loop),
        look_(std::move(look)),
        io_(1),
        arrived_(io_.get_executor()),
        server_(io_.get_executor(), http_options(std::move(options)),
                [this](std::string path) { return serve(std::move(path)); }) {}

  ~Inner() {
    alive_.reset();
    if (!thread_.joinable()) return;
    asio::post(io_, [this] {
      asio::co_spawn(io_, server_.stop(), [this](std::exception_ptr) { work_.reset(); });
    });
    thread_.join();
  }
  Inner(const Inner&) = delete;
  Inner& operator=(const Inner&) = delete;

  wire::Started open() {
    const auto opened = server_.open();
    if (!opened) {
      return wire::StartFailure{
          .code = opened.error(),
          .what = "cannot serve the status page: " + opened.error().message(),
          .hint = "--status takes a number of this host and a free port: 127.0.0.1:7681"};
    }
    listening_ = server_.listening();
    log::info("status.listening", "address={}", listening_);
    if (!server_.loopback_only()) {
      log::warn("status.open",
                "address={} meaning=\"whoever reaches it can read names of nodes and volumes, "
                "process ids and locks; it changes nothing\"",
                listening_);
    }
    work_.emplace(io_.get_executor());
    thread_ = std::jthread([this] { run(); });
    return boost::system::in_place_value;
  }
  [[nodiscard]] std::string listening() const { return listening_; }

 private:
  void run() {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception& error) {  // the one catch of this edge
        log::error("status.failed", "error=\"{}\"", error.what());
      }
    }
  }

  asio::awaitable<http::Answer> serve(std::string path) {
    if (path == "/") {
      http::Answer page = answer(200, kHtml, std::string(kPageHtml));
      page.policy = kPagePolicy;
      co_return page;
    }
    if (path == "/page.css") co_return answer(200, kCss, std::string(kPageCss));
    if (path == "/page.js") co_return answer(200, kJs, std::string(kPageJs));
    const bool json = path == "/status.json";
    const bool figures = path == "/metrics";
    if (!json && !figures && path != "/healthz")
      co_return answer(404, "text/plain", "there are /, /status.json, /metrics and /healthz\n");
    const auto now = co_await moment();
    if (now == nullptr)
      co_return answer(503, "text/plain", "lockd is busy or hangs: its loop does not answer\n");
    if (json) co_return answer(200, kJson, to_json(*now));
    if (figures) co_return answer(200, metrics::Families::kTextType, to_metrics(*now));
    co_return answer(200, "text/plain", "ok\n");
  }

  /// Null: the loop has not answered.
  asio::awaitable<std::shared_ptr<const Moment>> moment() {
    if (latest_ != nullptr && steady_clock::now() - latest_at_ < kFresh) co_return latest_;
    if (!std::exchange(asking_, true)) ask();
    const auto first = co_await (arrived_.wait() || sleep(io_.get_executor(), kPatience));
    co_return first.index() == 0 ? latest_ : nullptr;
  }

  void ask() {
    arrived_.clear();
    // The loop may outlive us: it asks before it touches anything of ours, on the thread on which
    // we end.
    asio::post(loop_, [this, alive = std::weak_ptr<int>(alive_)] {
      if (alive.expired()) return;
      auto now = std::make_shared<const Moment>(look_());
      asio::post(io_, [this, now = std::move(now)]() mutable {
        latest_ = std::move(now);
        latest_at_ = steady_clock::now();
        asking_ = false;
        arrived_.set();
      });
    });
  }

  asio::io_context& loop_;
  std::function<Moment()> look_;  // on the loop's thread, as alive_
  std::shared_ptr<int> alive_ = std::make_shared<int>();
  std::string listening_;
  // The rest belongs to the thread below, once it runs.
  asio::io_context io_;
  std::shared_ptr<const Moment> latest_;
  steady_clock::time_point latest_at_{};
  bool asking_ = false;
  task::Event arrived_;
  http::Server server_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  std::jthread thread_;
};

Service::Service(asio::io_context& loop, StatusOptions options, std::function<Moment()> look)
    : inner_(std::make_unique<Inner>(loop, std::move(options), std::move(look))) {}

Service::~Service() = default;

wire::Started Service::open() {
  return inner_->open();
}

std::string Service::listening() const {
  return inner_->listening();
}

}  // namespace holdfast::lockd::status
