#pragma once
/// A lockd server on a thread of its own, for tests that need a real coordinator behind real
/// sockets.
///
///   support::InProcessLockd lockd({.lease_ttl = 1s});
///   connect to lockd.address() ...
///   lockd.kill();      // connections reset, nobody told; what lockd would have on disk stays
///   lockd.forget();    // not even that: a lost store
///   lockd.start();     // a new life on the same port
///
/// Thread: the test's thread; the server has its own. Cleans up in the destructor.

#include "holdfast/wire/address.h"
#include "lockd/server/server.h"
#include "lockd/store/contents.h"

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include <boost/asio/io_context.hpp>

namespace holdfast::support {

struct LockdSetup {
  std::chrono::milliseconds lease_ttl{10'000};
  /// Changes anything else before the server is made.
  std::function<void(lockd::ServerOptions&)> adjust{};
  /// The store knows nothing of earlier leases: locks wait for them.
  bool empty = false;
  /// Another store than one in memory; `contents` is the stable storage.
  std::function<std::unique_ptr<lockd::Store>(std::shared_ptr<lockd::Contents>)> store{};
};

class InProcessLockd {
 public:
  explicit InProcessLockd(LockdSetup setup = {});
  ~InProcessLockd();
  InProcessLockd(const InProcessLockd&) = delete;
  InProcessLockd& operator=(const InProcessLockd&) = delete;

  /// TCP on 127.0.0.1; the same through all lives.
  [[nodiscard]] const wire::Address& address() const { return address_; }
  /// The admin socket, in a directory of its own.
  [[nodiscard]] wire::Address admin_address() const;
  [[nodiscard]] std::string admin_path() const { return (directory_ / "lockd.sock").string(); }

  void kill();
  /// Between kill() and start(). The next life believes that there is nothing to know, unless
  /// `empty`.
  void forget(bool empty = false);
  void start();
  /// Runs `look` on the server's thread and waits for it.
  void inspect(const std::function<void(const lockd::Server&)>& look);
  /// The same, for what changes the server.
  void change(const std::function<void(lockd::Server&)>& change);
  [[nodiscard]] lockd::Server::Probe probe();

 private:
  LockdSetup setup_;
  std::shared_ptr<lockd::Contents> contents_ = std::make_shared<lockd::Contents>();
  std::filesystem::path directory_;
  wire::Address address_;
  std::unique_ptr<boost::asio::io_context> loop_;
  std::unique_ptr<lockd::Server> server_;
  std::jthread thread_;
};

}  // namespace holdfast::support
