#pragma once
/// One call's work on one share: connects with our own NFS client (no kernel mount, no privilege),
/// works, disconnects.
///
/// Thread: the caller's; blocks until done. The storage that does not answer is kUnavailable:
/// whoever called tries again.

#include "deploy/csi/core/place.h"
#include "fs/backend/backend.h"

#include <functional>

#include <boost/asio/awaitable.hpp>

namespace holdfast::csi {

/// `work` runs once, if the share could be reached, and is finished when this returns.
[[nodiscard]] Done visit_share(const Share& share,
                               std::function<boost::asio::awaitable<Done>(fs::Backend&)> work);

/// The same for work that returns something: an awaitable Answer<T>.
template <class T, class Work>
[[nodiscard]] Answer<T> ask_share(const Share& share, Work work) {
  Answer<T> answer = Refusal{Code::kInternal, "not asked"};
  // The lambda outlives its coroutine: visit_share() keeps it.
  const auto ask = [&answer, &work](fs::Backend& backend) -> boost::asio::awaitable<Done> {
    answer = co_await work(backend);
    if (answer) co_return Done();
    co_return answer.error();
  };
  const auto visited = visit_share(share, ask);
  if (!visited) return visited.error();
  return answer;
}

}  // namespace holdfast::csi
