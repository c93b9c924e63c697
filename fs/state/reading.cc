#include "fs/state/reading.h"

#include "fs/state/names.h"
#include "fs/state/state.h"
#include "holdfast/base/unique_fd.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ipc = boost::interprocess;

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

struct Reading::Mapped {
  UniqueFd file;
  ipc::mapped_region region;
  [[nodiscard]] const Page& page() const { return *static_cast<const Page*>(region.get_address()); }
};

Reading::Reading(std::unique_ptr<Mapped> mapped) : mapped_(std::move(mapped)) {}
Reading::Reading(Reading&&) noexcept = default;
Reading& Reading::operator=(Reading&&) noexcept = default;
Reading::~Reading() = default;

std::optional<Reading> Reading::of(std::string_view connection,
                                   const std::vector<std::string>& where) {
  for (const std::string& place : where)
    if (auto found = open(file_of(place, connection))) return found;
  return std::nullopt;
}

std::optional<Reading> Reading::open(const std::string& path) {
  auto mapped = std::make_unique<Mapped>();
  mapped->file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (!mapped->file || ::fstat(mapped->file.get(), &status) != 0) return std::nullopt;
  // Whoever owns it can cut it short under our eyes, which would end us with SIGBUS.
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) return std::nullopt;
  if (!S_ISREG(status.st_mode) || status.st_size != sizeof(Page)) return std::nullopt;
  try {
    const ipc::file_mapping file(fmt::format("/proc/self/fd/{}", mapped->file.get()).c_str(),
                                 ipc::read_only);
    mapped->region = ipc::mapped_region(file, ipc::read_only, 0, sizeof(Page));
  } catch (const std::exception&) {
    return std::nullopt;
  }
  const Page& page = mapped->page();
  if (page.magic.data() != kMagic || page.version != kVersion) return std::nullopt;
  return Reading(std::move(mapped));
}

Snapshot Reading::snapshot() const {
  const Page& page = mapped_->page();
  Snapshot out;
  out.alive = ::flock(mapped_->file.get(), LOCK_SH | LOCK_NB) != 0;
  if (!out.alive) ::flock(mapped_->file.get(), LOCK_UN);
  out.pid = page.pid;
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
