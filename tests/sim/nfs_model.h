#pragma once
/// The NFS server and the kernels that talk to it. A file is a row of counters. Writes are UNSTABLE
/// until COMMIT; a restart of the server loses what was not committed and changes the verifier.
///
/// A write that a mount has handed to its node's kernel may arrive until `write_life` later
/// (TCP_USER_TIMEOUT), whatever becomes of the mount, and may stay at the server for
/// `storage_delay` before it takes effect. Writes are applied at most once (the server's duplicate
/// request cache), in the order in which they take effect.

#include "tests/sim/cells.h"
#include "tests/sim/network.h"

#include <functional>
#include <map>
#include <set>

namespace holdfast::sim {

inline constexpr std::size_t kFlockCounter = kCells;
inline constexpr std::size_t kCounters = kCells + 1;

/// Under whose lock a write was made.
struct WriteStamp {
  std::uint64_t id = 0;  ///< the same for repeats
  std::size_t mount = 0;
  SessionId session;
  OwnerId owner;
  Lane lane;
  std::size_t counter = 0;
  std::uint64_t value = 0;
  Time issued{};
};

class NfsModel {
 public:
  /// Judges a write as it takes effect.
  using Judge = std::function<void(const WriteStamp&)>;
  struct Answer {
    std::uint64_t value = 0;
    std::uint64_t verifier = 0;
  };
  using Then = std::function<void(Answer)>;

  NfsModel(World& world, Network& network, std::size_t files, Duration write_life,
           Duration storage_delay, double late, Judge judge)
      : world_(world),
        network_(network),
        write_life_(write_life),
        storage_delay_(storage_delay),
        late_(late),
        judge_(std::move(judge)),
        files_(files),
        stopped_(64) {}

  /// `then` runs on the mount when the answer arrives, if it does.
  void read(std::size_t mount, Process& process, std::size_t file, std::size_t counter, Then then);
  void commit(std::size_t mount, Process& process, std::size_t file, Then then);
  /// The kernel has it; `life`: write_life in true time.
  void write(const WriteStamp& stamp, Duration life, Process& process, Then then);
  /// The mount reset its connections, or died: what the kernel still has may arrive or not.
  void reset(std::size_t mount);
  /// A fence command: nothing of this node that was sent before takes effect any more.
  void fence(std::size_t mount);
  void restart(Duration down);
  /// A node's kernel stands still, and what it has with it.
  void stop_kernel(std::size_t mount, bool yes) { stopped_[mount] += yes ? 1 : -1; }
  [[nodiscard]] std::uint64_t value(std::size_t file, std::size_t counter) const {
    return files_[file].now[counter];
  }

 private:
  struct File {
    std::array<std::uint64_t, kCounters> now{};
    std::array<std::uint64_t, kCounters> stable{};
  };
  struct Copy {
    WriteStamp stamp;
    Time expires{};
    bool in_server = false;
    Process* process = nullptr;
    std::uint64_t reset_count = 0;
    Then then;
  };
  void travel(std::uint64_t ticket);
  void take_effect(std::uint64_t ticket);
  void answer(std::size_t mount, Process& process, Answer what, const Then& then);
  [[nodiscard]] bool up() const { return world_.now() >= up_at_; }

  World& world_;
  Network& network_;
  Duration write_life_;
  Duration storage_delay_;
  double late_;
  Judge judge_;
  std::vector<File> files_;
  std::map<std::uint64_t, Copy> copies_;
  std::map<std::uint64_t, std::uint64_t> applied_;  ///< write id -> verifier
  std::uint64_t last_ticket_ = 0;
  std::uint64_t verifier_ = 1;
  Time up_at_{};
  std::vector<int> stopped_;
};

}  // namespace holdfast::sim
