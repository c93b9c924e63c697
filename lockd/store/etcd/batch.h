#pragma once
/// Turns the store's changes into transactions that etcd takes. Pure. Private to lockd/store/etcd.

#include "etcd/rpc.pb.h"
#include "lockd/store/contents.h"
#include "lockd/store/etcd/rows.h"

#include <cstddef>
#include <map>
#include <string>

namespace holdfast::lockd {

/// What the keys hold, and their sums: kept by the leader, who alone writes.
struct EtcdState {
  Contents contents;
  EtcdMeta meta;
};

/// One transaction: from as many of `changes`, beginning with `from`, as fit into one. Applies them
/// to `state` and advances `from`.
///
/// Several transactions for one Store::write(): etcd bounds the operations and bytes of one. That
/// is no loss of atomicity. A change is what the coordinator wants recorded at once (each Record of
/// the core has one), the changes of a write are of several Records that came while the store was
/// busy, and nothing that follows from any of them is told to anybody before the whole write is
/// durable. A leader that dies in between leaves what it would have left if fewer Records had come.
class EtcdBatch {
 public:
  EtcdBatch(const EtcdKeys& keys, EtcdState& state, const StoreChanges& changes, std::size_t& from,
            std::chrono::milliseconds lease_ttl);
  /// Its operations, to be put into a transaction.
  void move_to(etcdserverpb::TxnRequest& request);

 private:
  [[nodiscard]] bool fits(const StoreChange& change) const;
  void apply(const StoreChange& change, std::chrono::milliseconds lease_ttl);
  void put(const std::string& key, std::string value);
  void remove(const std::string& key);
  void remove_range(const std::string& from, const std::string& to);

  const EtcdKeys& keys_;
  EtcdState& state_;
  std::map<std::string, std::string> puts_;
  std::map<std::string, std::string> ranges_;  // from -> to; to empty = that key
  std::size_t bytes_ = 0;
};

}  // namespace holdfast::lockd
