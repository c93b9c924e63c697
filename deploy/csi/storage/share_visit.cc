#include "deploy/csi/storage/share_visit.h"

#include "fs/backend/nfs3/nfs3_backend.h"

#include <chrono>
#include <exception>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <fmt/format.h>

namespace asio = boost::asio;

namespace holdfast::csi {
namespace {

constexpr std::chrono::milliseconds kConnectMax{5'000};
constexpr std::chrono::milliseconds kAnswerMax{20'000};

fs::nfs3::Options options_for(const Share& share) {
  fs::nfs3::Options out;
  out.server = share.server;
  out.path = share.path;
  if (share.port) out.port = *share.port;
  out.connections = 1;
  out.hard = false;
  out.timeo = kAnswerMax;
  out.mount_timeout = kConnectMax;
  return out;
}

Refusal not_reached(const fs::nfs3::Failure& failure, const Share& share) {
  const int error = to_errno(failure.code);
  const bool refused = error == EACCES || error == EPERM;
  const bool wrong = error == ENOENT || error == ENOTDIR;
  return {refused ? Code::kPermissionDenied
          : wrong ? Code::kInvalidArgument
                  : Code::kUnavailable,
          fmt::format("{} (share {} of {})", failure.text, printable(share.path),
                      printable(share.server))};
}

asio::awaitable<Done> visit(asio::any_io_executor executor, const Share& share,
                            const std::function<asio::awaitable<Done>(fs::Backend&)>& work) {
  auto options = options_for(share);
  auto outcome = co_await fs::nfs3::Nfs3Backend::mount(executor, std::move(options));
  if (!outcome.backend) co_return not_reached(outcome.failure, share);
  auto done = co_await work(*outcome.backend);
  co_await outcome.backend->stop();
  co_return done;
}

}  // namespace

Done visit_share(const Share& share, std::function<asio::awaitable<Done>(fs::Backend&)> work) {
  asio::io_context loop(1);
  auto done = asio::co_spawn(loop, visit(loop.get_executor(), share, work), asio::use_future);
  loop.run();
  return done.get();
}

}  // namespace holdfast::csi
