#include "fs/backend/nfs3/nfs3_backend.h"

#include "fs/backend/nfs3/decode.h"
#include "fs/backend/nfs3/encode.h"
#include "holdfast/base/log.h"

#include <algorithm>

#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::fs::nfs3 {
namespace {

rpc::Locate make_locate(asio::any_io_executor executor, const Options& options) {
  return [executor, options] { return locate(executor, options); };
}

Credentials own_credentials() {
  return {.uid = ::geteuid(), .gid = ::getegid(), .groups = {}};
}

}  // namespace

Nfs3Backend::Nfs3Backend(Token, asio::any_io_executor executor, Options options, FileHandle root)
    : executor_(executor),
      options_(std::move(options)),
      root_(root),
      client_(executor, options_, make_locate(executor, options_)),
      plus_(options_.readdirplus) {}

asio::awaitable<Nfs3Backend::Outcome> Nfs3Backend::mount(asio::any_io_executor executor,
                                                         Options options) {
  Outcome out;
  auto mounted = co_await ask_mount(executor, options);
  if (mounted.failure.code) {
    out.failure = std::move(mounted.failure);
    co_return out;
  }
  out.backend = std::make_unique<Nfs3Backend>(Token{}, executor, std::move(options), mounted.root);
  out.failure = co_await out.backend->ask_limits();
  if (out.failure.code) {
    co_await out.backend->stop();
    out.backend.reset();
  }
  co_return out;
}

asio::awaitable<Failure> Nfs3Backend::ask_limits() {
  const auto fail = [this](const ErrorCode& code, const char* what) {
    return Failure{.code = code, .text = describe() + ": " + what + ": " + code.message()};
  };
  const Client::Lane any;
  const std::shared_ptr<void> no_hold;
  auto ask_info = encode_fsinfo(own_credentials(), root_);
  auto answer = co_await client_.perform(std::move(ask_info), any, no_hold, options_.mount_timeout);
  if (!answer) co_return fail(answer.error(), "FSINFO");
  if (answer->error()) co_return fail(answer->error(), "FSINFO");
  auto reader = answer->reader();
  const auto info = decode_fsinfo(reader);
  if (!reader.ok() || info.read_max == 0 || info.write_max == 0)
    co_return fail(client_.malformed(*answer, "FSINFO"), "FSINFO");
  const auto clamp = [](std::uint32_t server, std::uint32_t wanted) {
    return std::min({server, std::max(wanted, 1024U), Options::kTransferMax});
  };
  limits_.read_max = clamp(info.read_max, options_.rsize);
  limits_.write_max = clamp(info.write_max, options_.wsize);
  limits_.readdir_preferred = std::clamp(info.readdir_preferred, 4096U, 64U << 10);
  limits_.file_size_max = info.file_size_max;
  limits_.time_granularity = info.time_granularity;

  auto ask_paths = encode_pathconf(own_credentials(), root_);
  answer = co_await client_.perform(std::move(ask_paths), any, no_hold, options_.mount_timeout);
  if (!answer) co_return fail(answer.error(), "PATHCONF");
  if (answer->error()) co_return Failure{};  // the defaults serve
  reader = answer->reader();
  const auto paths = decode_pathconf(reader);
  if (!reader.ok()) co_return fail(client_.malformed(*answer, "PATHCONF"), "PATHCONF");
  limits_.link_max = paths.link_max;
  limits_.name_max = std::min(paths.name_max, static_cast<std::uint32_t>(kNameBytesMax));
  co_return Failure{};
}

std::string Nfs3Backend::describe() const {
  const std::string port = options_.port == 2049 ? "" : ":" + std::to_string(options_.port);
  return "nfs://" + options_.server + port + options_.path;
}

Backend::Awaitable<Entry> Nfs3Backend::root() {
  const auto attributes = co_await getattr(own_credentials(), root_);
  if (!attributes) co_return attributes.error();
  Entry entry;
  entry.handle = root_;
  entry.attributes = *attributes;
  co_return entry;
}

void Nfs3Backend::suspend() {
  suspended_ = true;
  client_.suspend();
}

void Nfs3Backend::resume() {
  suspended_ = false;
  client_.resume();
}

asio::awaitable<void> Nfs3Backend::stop() {
  co_await client_.stop();
  if (!suspended_) co_await say_unmount(executor_, options_);
}

}  // namespace holdfast::fs::nfs3
