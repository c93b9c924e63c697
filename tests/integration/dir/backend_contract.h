#pragma once
/// What every storage backend must do, as one parametrised suite: instantiate it with a factory.
///
///   INSTANTIATE_TEST_SUITE_P(Dir, BackendContract, ::testing::Values(&make_dir_environment));
///
/// and link holdfast_backend_contract (an object library: the tests themselves).

#include "fs/backend/backend.h"

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace holdfast::fs::testing {

/// A fresh, empty directory on the storage, writable by everybody (mode 0777), where root is not
/// squashed. Destroyed after its backends.
class BackendEnvironment {
 public:
  virtual ~BackendEnvironment() = default;
  /// Another mount of that same directory.
  virtual Result<std::unique_ptr<Backend>> make(boost::asio::io_context& io) = 0;
  /// Calls act as other users too (a `dir` backend needs root for that).
  [[nodiscard]] virtual bool acts_as_caller() const { return true; }
};

using EnvironmentFactory = std::unique_ptr<BackendEnvironment> (*)();

class BackendContract : public ::testing::TestWithParam<EnvironmentFactory> {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Runs the loop until `work` is done.
  template <class T>
  T sync(boost::asio::awaitable<T> work) {
    std::optional<T> out;
    std::exception_ptr failure;
    bool done = false;
    boost::asio::co_spawn(io_, std::move(work), [&](std::exception_ptr error, T value) {
      failure = error;
      if (!error) out.emplace(std::move(value));
      done = true;
    });
    spin(done);
    if (failure) std::rethrow_exception(failure);
    return std::move(*out);
  }

  Backend& backend() { return *backend_; }
  std::unique_ptr<Backend> another_mount();
  void stop(Backend& backend);

  // Calls of root, with a failed expectation instead of an error.
  Entry make_file(const std::string& name, std::uint32_t mode = 0644);
  Entry make_directory(const std::string& name, std::uint32_t mode = 0755);
  void write_all(const FileHandle& file, std::uint64_t offset, std::string_view bytes);
  std::string read_all(const FileHandle& file, std::uint64_t offset, std::uint32_t count);
  Attributes attributes(const FileHandle& file);
  /// 0 or the errno of looking `name` up.
  int lookup_errno(const FileHandle& directory, const std::string& name);
  std::vector<DirectoryEntry> list(const FileHandle& directory, std::uint32_t bytes_max);

  boost::asio::io_context io_;
  std::unique_ptr<BackendEnvironment> environment_;
  std::unique_ptr<Backend> backend_;
  FileHandle root_;
  const Credentials root_user_{0, 0, {}};
  const Credentials alice_{1201, 1201, {1201}};
  const Credentials bob_{1202, 1202, {1202}};

 private:
  void spin(const bool& done);
};

/// The errno of a failed result, 0 of a good one.
template <class T>
int errno_of(const Result<T>& result) {
  return result ? 0 : to_errno(result.error());
}
inline SetAttributes with_mode(std::uint32_t mode) {
  SetAttributes out;
  out.mode = mode;
  return out;
}

}  // namespace holdfast::fs::testing
