#include "lockd/store/memory_store.h"

namespace holdfast::lockd {

boost::asio::awaitable<Store::Opened> MemoryStore::open(std::chrono::milliseconds lease_ttl) {
  lease_ttl_ = lease_ttl;
  contents_->begin_life(wall_seconds_, lease_ttl);
  co_return contents_->recovered();
}

boost::asio::awaitable<Result<void>> MemoryStore::write(StoreChanges changes) {
  for (const StoreChange& change : changes)
    contents_->apply(change, lease_ttl_);
  co_return boost::system::in_place_value;
}

boost::asio::awaitable<void> MemoryStore::close() {
  co_return;
}

}  // namespace holdfast::lockd
