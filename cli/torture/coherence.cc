/// Mode coherence: what one program has changed through one directory, another one sees through
/// another directory at once, without a lock.

#include "cli/torture/coherence_agent.h"
#include "cli/torture/load.h"
#include "cli/torture/modes.h"
#include "cli/torture/rng.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace holdfast::torture {
namespace {
using What = Order::What;
using Clock = std::chrono::steady_clock;

// Of files that are used all the time nobody keeps anything for long. Most are in directories of
// their own and are come back to after seconds: there something is kept that must be given up.
constexpr std::size_t kBusySlots = 8;
constexpr std::size_t kQuietDirectories = 32;
constexpr std::uint64_t kSizeMax = 64 << 10;
constexpr std::uint64_t kStamp = sizeof(std::uint64_t);
constexpr auto kProgress = std::chrono::seconds(10);

/// A file as it must be seen.
struct Slot {
  std::string name, other;  ///< what it is called, and what it may be renamed to
  bool present = false;
  std::uint64_t incarnation = 0;
  std::uint64_t stamp = 0;
  std::uint64_t size = 0;
  std::uint32_t mode = 0;
};

struct Agent {
  UniqueFd socket;
  pid_t pid = -1;
  std::size_t dir = 0;
};

std::string describe(What what) {
  constexpr const char* kNames[] = {"create",   "write",  "append",
                                    "truncate", "chmod",  "unlink",
                                    "rename",   "read",   "read through an open descriptor",
                                    "stat",     "lookup", "readdir"};
  return kNames[static_cast<std::size_t>(what)];
}

std::string directory_of(std::size_t slot) {
  if (slot < kBusySlots) return slot % 2 == 0 ? "even" : "odd";
  return fmt::format("quiet-{}", slot % kQuietDirectories);
}

class Pairs {
 public:
  explicit Pairs(Arena& arena) : arena_(arena), rng_(arena.options().seed, 4711) {
    for (std::size_t i = 0; i < kSlots; ++i)
      rename_slot(i);
    // With one directory its own programs must agree at least.
    const std::size_t agents = std::max<std::size_t>(2, arena.dir_count());
    for (std::size_t i = 0; i < agents; ++i)
      start(i);
  }
  ~Pairs() {
    for (Agent& agent : agents_) {
      agent.socket.reset();
      if (!wait_end(agent.pid, std::chrono::seconds(5))) kill_and_wait(agent.pid);
    }
  }
  Pairs(const Pairs&) = delete;
  Pairs& operator=(const Pairs&) = delete;

  void run(std::chrono::milliseconds time) {
    const auto end = Clock::now() + time;
    auto next = Clock::now() + kProgress;
    const std::uint64_t wanted = arena_.options().pairs;
    while (!broken_ && !interrupted()) {
      if (wanted > 0 ? done_ >= wanted : Clock::now() >= end) break;
      one_pair();
      if (Clock::now() < next) continue;
      next = Clock::now() + kProgress;
      progress(fmt::format("coherence    {} pairs, {} stale", done_, stale_));
    }
  }
  [[nodiscard]] std::uint64_t done() const { return done_; }
  [[nodiscard]] std::uint64_t stale() const { return stale_; }

 private:
  void start(std::size_t number) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
      throw std::system_error(errno, std::generic_category(), "socketpair");
    Agent agent;
    agent.socket.reset(ends[0]);
    const UniqueFd theirs(ends[1]);
    agent.dir = number % arena_.dir_count();
    agent.pid = arena_.herd().start([&] {
      for (Agent& other : agents_)
        other.socket.reset();
      agent.socket.reset();
      return serve_orders(theirs.get());
    });
    agents_.push_back(std::move(agent));
  }

  /// After an outcome that nobody knows: begin anew under other names.
  void rename_slot(std::size_t i) {
    const std::uint64_t number = ++names_;
    slots_[i] = {fmt::format("f{}.a", number), fmt::format("f{}.b", number)};
  }

  [[nodiscard]] Order order_of(const Agent& agent, std::size_t slot, What what) const {
    Order order;
    order.what = what;
    order.slot = static_cast<std::uint16_t>(slot);
    order.incarnation = slots_[slot].incarnation;
    const std::string directory = arena_.path(agent.dir, directory_of(slot));
    std::snprintf(order.directory, sizeof order.directory, "%s", directory.c_str());
    std::snprintf(order.name, sizeof order.name, "%s", slots_[slot].name.c_str());
    std::snprintf(order.other, sizeof order.other, "%s", slots_[slot].other.c_str());
    return order;
  }

  bool ask(const Agent& agent, const Order& order, Seen& seen) {
    pollfd ready{agent.socket.get(), POLLIN, 0};
    const int patience = static_cast<int>(arena_.options().patience_s) * 1000;
    if (::send(ready.fd, &order, sizeof order, MSG_NOSIGNAL) == ssize_t{sizeof order} &&
        ::poll(&ready, 1, patience) > 0 &&
        ::recv(ready.fd, &seen, sizeof seen, 0) == ssize_t{sizeof seen}) {
      return true;
    }
    broken_ = true;
    if (!interrupted()) {
      arena_.report({describe(order.what) + " hangs", order.directory,
                     order.name + (": " + what_is_it_doing(agent.pid))});
    }
    return false;
  }

  void one_pair() {
    const std::size_t writer = rng_.below(agents_.size());
    const std::size_t reader = (writer + 1 + rng_.below(agents_.size() - 1)) % agents_.size();
    const std::size_t slot = rng_.below(rng_.one_in(2) ? kBusySlots : kSlots);
    // Who has looked before may have kept what it saw.
    if (rng_.one_in(2) && !look_through(agents_[reader], slot, "nothing")) return;
    Order change = order_of(agents_[writer], slot, pick_change(slots_[slot]));
    change.stamp = rng_.next();
    change.size = rng_.one_in(4) ? 0 : kStamp + rng_.below(kSizeMax);
    change.mode = rng_.one_in(2) ? 0640 : 0600;
    Seen changed;
    if (!ask(agents_[writer], change, changed)) return;
    if (changed.error != 0) return failed(slot, change, changed);
    apply(slots_[slot], change);
    const auto said = fmt::format("{} through {}", describe(change.what), change.directory);
    if (look_through(agents_[reader], slot, said)) ++done_;
  }

  bool look_through(const Agent& reader, std::size_t slot, const std::string& change) {
    const Order look = order_of(reader, slot, pick_look(slots_[slot]));
    Seen seen;
    if (!ask(reader, look, seen)) return false;
    judge(slots_[slot], change, look, seen);
    return true;
  }

  What pick_change(const Slot& slot) {
    constexpr What kChanges[] = {What::kWrite,    What::kWrite,  What::kAppend, What::kTruncate,
                                 What::kChmod,    What::kUnlink, What::kRename, What::kWrite,
                                 What::kTruncate, What::kRename};
    return slot.present ? kChanges[rng_.below(std::size(kChanges))] : What::kCreate;
  }

  What pick_look(const Slot& slot) {
    constexpr What kLooks[] = {What::kRead, What::kRead, What::kStat,    What::kLookup,
                               What::kList, What::kStat, What::kHeldRead};
    const What look = kLooks[rng_.below(std::size(kLooks))];
    const bool held = look == What::kHeldRead;
    return held && (!slot.present || !arena_.options().held_reads) ? What::kRead : look;
  }

  void apply(Slot& slot, const Order& change) {
    switch (change.what) {
      case What::kCreate:
        slot.present = true;
        slot.incarnation = ++incarnations_;
        slot.stamp = change.stamp;
        slot.size = kStamp;
        slot.mode = 0644;
        return;
      case What::kWrite:
        slot.stamp = change.stamp;
        slot.size = std::max(slot.size, kStamp);
        return;
      case What::kAppend:
        if (slot.size == 0) slot.stamp = change.stamp;
        slot.size += kStamp;
        return;
      case What::kTruncate:
        if (change.size == 0) slot.stamp = 0;
        slot.size = change.size;
        return;
      case What::kChmod:
        slot.mode = change.mode;
        return;
      case What::kUnlink:
        slot.present = false;
        return;
      case What::kRename:
        std::swap(slot.name, slot.other);
        return;
      default:
        return;
    }
  }

  void judge(const Slot& slot, const std::string& change, const Order& look, const Seen& seen) {
    bool right = true;
    if (look.what == What::kLookup || look.what == What::kList) {
      right = seen.error == 0 && seen.name == slot.present && !seen.other;
    } else if (!slot.present) {
      right = seen.error == ENOENT;
    } else {
      right = seen.error == 0 && seen.size == slot.size;
      if (look.what == What::kStat) right = right && seen.mode == slot.mode;
      if (look.what != What::kStat) right = right && seen.stamp == slot.stamp;
    }
    if (right) return;
    ++stale_;
    arena_.report({"a change is not seen at once through another directory",
                   fmt::format("{}/{}", look.directory, look.name),
                   fmt::format("pair {}: {}, then {}\n"
                               "expected: present {} size {} mode {:o} stamp {:x}\n"
                               "seen: error {} name {} other {} size {} mode {:o} stamp {:x}",
                               done_, change, describe(look.what), slot.present, slot.size,
                               slot.mode, slot.stamp, seen.error, seen.name, seen.other, seen.size,
                               seen.mode, seen.stamp)});
  }

  void failed(std::size_t slot, const Order& change, const Seen& seen) {
    rename_slot(slot);
    if (arena_.options().tolerate_io_errors && seen.error == EIO) {
      ++arena_.shared().tolerated;
      return;
    }
    arena_.report({describe(change.what) + " failed", change.directory,
                   fmt::format("{}: {}", change.name, std::strerror(seen.error))});
  }

  Arena& arena_;
  Rng rng_;
  std::array<Slot, kSlots> slots_;
  std::vector<Agent> agents_;
  std::uint64_t names_ = 0;
  std::uint64_t incarnations_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t stale_ = 0;
  bool broken_ = false;
};

int make_directories(const Arena& arena) {
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    const std::string directory = arena.path(0, directory_of(slot));
    if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return errno;
  }
  return 0;
}

}  // namespace

ModeResult run_coherence(Arena& arena, std::chrono::milliseconds time) {
  ModeResult result;
  if (arena.run_bounded("making directories", [&] { return make_directories(arena); })) {
    Pairs pairs(arena);
    pairs.run(time);
    arena.shared().ops += pairs.done();
    result.notes.push_back(fmt::format("{} pairs, {} stale", pairs.done(), pairs.stale()));
  }
  return result;
}

}  // namespace holdfast::torture
