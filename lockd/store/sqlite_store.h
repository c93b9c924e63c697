#pragma once
/// lockd's store in one SQLite file on a local disk: the default.
///
/// A thread of its own makes SQLite's blocking calls, one at a time; completions are posted to the
/// loop. What the file refuses and why: sqlite_failure.cc, docs/man/holdfast-lockd.8.

#include "lockd/store/store.h"

#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

namespace holdfast::lockd {

class SqliteStore final : public Store {
 public:
  /// `wall_seconds`: Unix time, of which epochs are made.
  SqliteStore(boost::asio::any_io_executor executor, std::string path, std::uint64_t wall_seconds);
  /// Waits for a write that runs.
  ~SqliteStore() override;

  /// The operator's word that no mount has used any lockd with these volumes lately: creates a
  /// store that the first lockd may trust at once. Blocks. Refused if the file exists.
  [[nodiscard]] static wire::Started create_settled(const std::string& path);

  boost::asio::awaitable<Opened> open(std::chrono::milliseconds lease_ttl) override;
  boost::asio::awaitable<Result<void>> write(StoreChanges changes) override;
  boost::asio::awaitable<void> close() override;

 private:
  struct Worker;
  boost::asio::any_io_executor executor_;
  std::string path_;
  std::uint64_t wall_seconds_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace holdfast::lockd
