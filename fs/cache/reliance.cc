#include "fs/cache/reliance.h"

#include "holdfast/base/log.h"

#include <cerrno>

namespace holdfast::fs {

void Reliances::lost(const FileKey& file) {
  // One that ends erases its entry, perhaps inside lose().
  for (auto it = all_.begin(); it != all_.end();) {
    Reliance& one = **it++;
    if (one.files_.contains(file)) one.lose();
  }
}

void Reliances::lost_all() {
  for (auto it = all_.begin(); it != all_.end();)
    (*it++)->lose();
}

void Reliance::lose() {
  lost_ = true;
  abandon_.emit(boost::asio::cancellation_type::terminal);
}

ErrorCode Reliance::given_up() const {
  log::warn("change.given_up", "fileid={} reason=token_lost",
            files_.empty() ? 0 : files_.begin()->fileid);
  return errno_code(EIO);
}

}  // namespace holdfast::fs
