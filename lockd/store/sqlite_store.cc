#include "lockd/store/sqlite_store.h"

#include "lockd/store/sqlite_file.h"

#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::lockd {

struct SqliteStore::Worker {
  asio::thread_pool thread{1};
  std::unique_ptr<SqliteFile> file;  // touched on `thread` only, but for its destruction after join
};

namespace {

asio::awaitable<Store::Opened> open_file(std::unique_ptr<SqliteFile>& file, std::string path,
                                         std::uint64_t wall_seconds,
                                         std::chrono::milliseconds lease_ttl) {
  auto opened = SqliteFile::open(path);
  if (!opened) co_return opened.error();
  auto begun = (*opened)->begin_life(wall_seconds, lease_ttl);
  if (begun) file = *std::move(opened);
  co_return begun;
}

asio::awaitable<Result<void>> write_file(SqliteFile& file, StoreChanges changes) {
  co_return file.write(changes);
}

asio::awaitable<void> close_file(std::unique_ptr<SqliteFile>& file) {
  file.reset();
  co_return;
}

}  // namespace

SqliteStore::SqliteStore(asio::any_io_executor executor, std::string path,
                         std::uint64_t wall_seconds)
    : executor_(std::move(executor)),
      path_(std::move(path)),
      wall_seconds_(wall_seconds),
      worker_(std::make_unique<Worker>()) {}

SqliteStore::~SqliteStore() {
  worker_->thread.join();
}

wire::Started SqliteStore::create_settled(const std::string& path) {
  return SqliteFile::create(path, false);
}

asio::awaitable<Store::Opened> SqliteStore::open(std::chrono::milliseconds lease_ttl) {
  auto work = open_file(worker_->file, path_, wall_seconds_, lease_ttl);
  co_return co_await asio::co_spawn(worker_->thread, std::move(work), asio::use_awaitable);
}

asio::awaitable<Result<void>> SqliteStore::write(StoreChanges changes) {
  auto work = write_file(*worker_->file, std::move(changes));
  co_return co_await asio::co_spawn(worker_->thread, std::move(work), asio::use_awaitable);
}

asio::awaitable<void> SqliteStore::close() {
  auto work = close_file(worker_->file);
  co_await asio::co_spawn(worker_->thread, std::move(work), asio::use_awaitable);
}

}  // namespace holdfast::lockd
