#pragma once
/// A mounted Nfs3Backend with its own loop, driven synchronously by a test.

#include "fs/backend/nfs3/nfs3_backend.h"

#include <exception>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace holdfast::fs::testing {

class NfsClient {
 public:
  using Backend = nfs3::Nfs3Backend;

  static nfs3::Options options(std::uint16_t port = 2049) {
    nfs3::Options out;
    out.server = "127.0.0.1";
    out.path = "/export";
    out.port = port;
    out.mountport = 20048;
    out.timeo = std::chrono::milliseconds(500);
    return out;
  }
  explicit NfsClient(const nfs3::Options& wanted) {
    auto outcome = sync(Backend::mount(io_.get_executor(), wanted));
    failure_ = outcome.failure;
    backend_ = std::move(outcome.backend);
    if (!backend_) return;
    const auto entry = sync(backend_->root());
    EXPECT_TRUE(entry);
    if (entry) root_ = entry->handle;
  }
  ~NfsClient() {
    if (backend_) sync_void(backend_->stop());
  }
  NfsClient(const NfsClient&) = delete;
  NfsClient& operator=(const NfsClient&) = delete;

  /// Runs the loop until `work` is done.
  template <class T>
  T sync(boost::asio::awaitable<T> work) {
    std::optional<T> out;
    std::exception_ptr failure;
    boost::asio::co_spawn(io_, std::move(work), [&](std::exception_ptr error, T value) {
      failure = error;
      out.emplace(std::move(value));
    });
    io_.restart();
    while (!out)
      io_.run_one();
    if (failure) std::rethrow_exception(failure);
    return std::move(*out);
  }
  void sync_void(boost::asio::awaitable<void> work) {
    bool done = false;
    boost::asio::co_spawn(io_, std::move(work), [&](std::exception_ptr) { done = true; });
    io_.restart();
    while (!done)
      io_.run_one();
  }

  Backend* operator->() { return backend_.get(); }
  [[nodiscard]] bool mounted() const { return backend_ != nullptr; }
  [[nodiscard]] const nfs3::Failure& failure() const { return failure_; }
  [[nodiscard]] const FileHandle& root() const { return root_; }
  boost::asio::io_context& io() { return io_; }

 private:
  boost::asio::io_context io_;
  std::unique_ptr<Backend> backend_;
  nfs3::Failure failure_;
  FileHandle root_;
};

inline const Credentials kRoot{0, 0, {}};

}  // namespace holdfast::fs::testing
