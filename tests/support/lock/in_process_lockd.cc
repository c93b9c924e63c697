#include "tests/support/lock/in_process_lockd.h"

#include "lockd/store/memory_store.h"

#include <future>
#include <stdexcept>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

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
  contents_->empty = setup_.empty;
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
  if (setup_.adjust) setup_.adjust(options);
  loop_ = std::make_unique<asio::io_context>(1);
  auto store =
      setup_.store ? setup_.store(contents_) : std::make_unique<lockd::MemoryStore>(contents_, 0);
  server_ =
      std::make_unique<lockd::Server>(loop_->get_executor(), std::move(options), std::move(store));
  auto opening = asio::co_spawn(*loop_, server_->open(), asio::use_future);
  while (opening.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    loop_->run_one();
  if (const auto opened = opening.get(); !opened) throw std::runtime_error(opened.error().what);
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

void InProcessLockd::forget(bool empty) {
  const Epoch epoch = contents_->epoch;
  contents_ = std::make_shared<lockd::Contents>();
  contents_->epoch = epoch;  // as the wall clock sees to it
  contents_->empty = empty;
}

void InProcessLockd::inspect(const std::function<void(const lockd::Server&)>& look) {
  change([&](lockd::Server& server) { look(server); });
}

void InProcessLockd::change(const std::function<void(lockd::Server&)>& change) {
  std::promise<void> done;
  asio::post(*loop_, [&] {
    change(*server_);
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
