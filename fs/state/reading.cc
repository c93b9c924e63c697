#include "fs/state/reading.h"

#include "fs/state/names.h"
#include "fs/state/state.h"

#include <algorithm>
#include <utility>

namespace holdfast::fs::state {
namespace {

template <std::size_t N>
std::string text_of(const std::array<char, N>& from) {
  return {from.begin(), std::find(from.begin(), from.end(), '\0')};
}

void read_requests(const Page& page, Snapshot& out) {
  for (const RequestCell& cell : page.request) {
    const auto unique = cell.unique.load(std::memory_order_acquire);
    if (unique == 0) continue;
    OpenRequest one{.since = cell.since,
                    .operation = std::string(operation_name(cell.opcode)),
                    .node = cell.node,
                    .pid = cell.pid};
    // Answered, and perhaps used for another one, while we looked.
    if (cell.unique.load(std::memory_order_acquire) == unique) out.open.push_back(std::move(one));
  }
  std::sort(out.open.begin(), out.open.end(),
            [](const OpenRequest& a, const OpenRequest& b) { return a.since < b.since; });
}

}  // namespace

std::optional<Reading> Reading::of(std::string_view connection,
                                   const std::vector<std::string>& where) {
  for (const std::string& place : where)
    if (auto found = open(file_of(place, connection))) return found;
  return std::nullopt;
}

std::optional<Reading> Reading::open(const std::string& path) {
  auto view = published::View::open(path, kKind);
  if (!view) return std::nullopt;
  return Reading(*std::move(view));
}

Snapshot Reading::snapshot() const {
  const Page& page = *static_cast<const Page*>(view_.memory());
  Snapshot out;
  out.alive = view_.writer_lives();
  out.pid = page.head.pid;
  out.started = page.started;
  out.source = text_of(page.source);
  out.mountpoint = text_of(page.mountpoint);
  out.lockd = text_of(page.lockd);
  out.node = text_of(page.node);
  out.beat = page.beat;
  out.session = page.session;
  out.epoch = page.epoch;
  out.entitled_until = page.entitled_until;
  out.suspended_since = page.suspended_since;
  out.connected_since = page.connected_since;
  out.disconnected_since = page.disconnected_since;
  out.lockd_error = static_cast<int>(page.lockd_error.load());
  out.locks = page.locks;
  out.tokens = page.tokens;
  out.lockd_calls = page.lockd_calls;
  out.storage_calls = page.storage_calls;
  out.storage_oldest = page.storage_oldest;
  if (out.storage_oldest != 0) out.storage_procedure = procedure_name(page.storage_procedure);
  out.requests = page.requests;
  read_requests(page, out);
  return out;
}

}  // namespace holdfast::fs::state
