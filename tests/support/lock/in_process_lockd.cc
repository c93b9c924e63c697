#include "tests/support/lock/in_process_lockd.h"

#include <future>
#include <stdexcept>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

namespace asio = boost::asio;

namespace holdfast::support {
namespace {

std::filesystem::path make_directory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "lockd-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  return pattern;
}

}  // namespace

InProcessLockd::InProcessLockd(LockdSetup setup)
    : setup_(std::move(setup)),
      directory_(make_directory()),
      address_(wire::TcpAddress{"127.0.0.1", 0}) {
  start();
}

InProcessLockd::~InProcessLockd() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

wire::Address InProcessLockd::admin_address() const {
  return wire::UnixAddress{admin_path()};
}

void InProcessLockd::start() {
  lockd::ServerOptions options;
  options.listen = {address_};
  options.admin_path = admin_path();
  options.coordinator.lease_ttl = setup_.lease_ttl;
  options.coordinator.storage_delay = std::chrono::milliseconds(0);
  options.coordinator.write_life_default = std::chrono::milliseconds(0);
  options.former_life = setup_.startup_wait > std::chrono::milliseconds(0);
  if (setup_.adjust) setup_.adjust(options);
  loop_ = std::make_unique<asio::io_context>(1);
  server_ = std::make_unique<lockd::Server>(loop_->get_executor(), std::move(options));
  if (const auto opened = server_->open(); !opened) throw std::runtime_error(opened.error().what);
  if (!server_->listening().empty()) address_ = server_->listening().front();
  thread_ = std::jthread([this] { loop_->run(); });
}

void InProcessLockd::kill() {
  if (!server_) return;
  asio::co_spawn(*loop_, server_->stop(), [](std::exception_ptr) {});
  thread_.join();
  server_.reset();
  loop_.reset();
}

void InProcessLockd::inspect(const std::function<void(const lockd::Server&)>& look) {
  std::promise<void> done;
  asio::post(*loop_, [&] {
    look(*server_);
    done.set_value();
  });
  done.get_future().wait();
}

lockd::Server::Probe InProcessLockd::probe() {
  lockd::Server::Probe probe;
  inspect([&](const lockd::Server& server) { probe = server.probe(); });
  return probe;
}

}  // namespace holdfast::support
