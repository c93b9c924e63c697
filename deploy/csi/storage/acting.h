#pragma once
/// Who we are towards the storage. Root first; where the export maps root to nobody
/// (root_squash), the owner of the directory in question: with AUTH_SYS a client may say so, and
/// the claim's data belongs to whoever wrote it.
///
/// Thread: the backend's loop. Directories are taken by value: what is said of them may be old.

#include "fs/backend/backend.h"

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>

namespace holdfast::csi {

using People = std::vector<fs::Credentials>;

[[nodiscard]] inline fs::Credentials owner_of(const fs::Entry& entry) {
  return {entry.attributes.uid, entry.attributes.gid, {}};
}
[[nodiscard]] inline People root_or_owner(const fs::Entry& entry) {
  return {fs::Credentials{0, 0, {}}, owner_of(entry)};
}
[[nodiscard]] inline bool is_refused(const ErrorCode& error) {
  return error == errno_code(EACCES) || error == errno_code(EPERM);
}

/// `call(who)` returns an awaitable result and must not itself be a coroutine. The first of
/// `people` who is not refused decides.
template <class T, class Call>
boost::asio::awaitable<Result<T>> as_one_of(People people, Call call) {
  Result<T> out = errno_code(EACCES);
  for (const auto& who : people) {
    auto attempt = co_await call(who);
    const bool refused = !attempt && is_refused(attempt.error());
    out = std::move(attempt);
    if (!refused) break;
  }
  co_return out;
}

}  // namespace holdfast::csi
