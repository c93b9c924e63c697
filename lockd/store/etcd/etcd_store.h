#pragma once
/// lockd's store in etcd, shared by several lockds of which one is active: docs/adr/0011.
///
/// open() waits until this one leads; then everything is guarded by its leadership. Two threads
/// make the blocking calls: one opens and writes, the other keeps the leadership (leadership.h).
/// Completions are posted to the loop.

#include "lockd/store/etcd/location.h"
#include "lockd/store/store.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

namespace holdfast::lockd {

/// What the owner is told, on the loop. None may be called once the store is destroyed: the owner
/// outlives it, or makes them do nothing.
struct EtcdEvents {
  /// open() waits; again when the reason changes.
  std::function<void(const std::string& why)> waits;
  /// open() leads and is about to return.
  std::function<void()> leads;
  /// Once: this one does not lead any more. authority_until() has passed; the owner ends the server
  /// and opens a new one. From then on write() does not return.
  std::function<void(const std::string& why)> lost;
};

class EtcdStore final : public Store {
 public:
  /// `identity`: of this process; each store that it makes gets a `life` of its own, and the former
  /// one is closed.
  EtcdStore(boost::asio::any_io_executor executor, EtcdOptions options, std::uint64_t wall_seconds,
            EtcdIdentity identity, EtcdEvents events);
  ~EtcdStore() override;

  /// As SqliteStore::create_settled(). Blocks.
  [[nodiscard]] static wire::Started create_settled(const EtcdOptions& options);

  boost::asio::awaitable<Opened> open(std::chrono::milliseconds lease_ttl) override;
  boost::asio::awaitable<Result<void>> write(StoreChanges changes) override;
  [[nodiscard]] Instant authority_until() const override;
  boost::asio::awaitable<void> close() override;

 private:
  struct Worker;
  boost::asio::any_io_executor executor_;
  EtcdEvents events_;
  std::unique_ptr<Worker> worker_;
};

/// For EtcdIdentity: a random process, and HOST:PID.
[[nodiscard]] EtcdIdentity fresh_etcd_identity();

}  // namespace holdfast::lockd
