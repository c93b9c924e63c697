#pragma once
/// The NFS server and the kernels that talk to it. A file is a row of cells: counters that
/// applications increment under locks, and some that are written without; of a directory they are
/// names. Writes are UNSTABLE until COMMIT; a restart of the server loses what was not committed
/// and changes the verifier. Changes of names are stable when they take effect.
///
/// A write that a mount has handed to its node's kernel may arrive until `write_life` later
/// (TCP_USER_TIMEOUT), whatever becomes of the mount, and may stay at the server for
/// `storage_delay` before it takes effect. Writes are applied at most once (the server's duplicate
/// request cache), in the order in which they take effect.

#include "tests/sim/cells.h"
#include "tests/sim/network.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

namespace holdfast::sim {

inline constexpr std::size_t kFlockCounter = kCells;
inline constexpr std::size_t kFreeCounter = kCells + 1;  ///< the first that no lock protects
inline constexpr std::size_t kFreeCounters = 2;
inline constexpr std::size_t kCounters = kFreeCounter + kFreeCounters;
inline constexpr std::size_t kNames = 4;  ///< of a directory

/// A counter; or a name, and which file has it (0: none).
struct Cell {
  std::uint64_t value = 0;
  std::uint64_t serial = 0;  ///< names the write (Freshness); 0 = none yet
};
using Row = std::array<Cell, kCounters>;

/// Under whose lock a write was made.
struct WriteStamp {
  std::uint64_t id = 0;  ///< the same for repeats
  std::size_t mount = 0;
  SessionId session{};
  OwnerId owner{};
  Lane lane{};
  std::size_t counter = 0;
  std::uint64_t value = 0;
  std::uint64_t serial = 0;
  Time issued{};
  /// kCreate: `value` gets the name, if nobody has it. kRemove, kRename: if somebody has.
  enum class Kind : std::uint8_t { kWrite, kCreate, kRemove, kRename } kind = Kind::kWrite;
  /// kRename: where the name goes.
  std::uint32_t to_file = 0;
  std::uint32_t to_cell = 0;
  std::uint64_t to_serial = 0;
  [[nodiscard]] bool changes(std::size_t file) const {
    return lane.file == file || (kind == Kind::kRename && to_file == file);
  }
};

class NfsModel {
 public:
  /// Judges a write as it takes effect.
  using Judge = std::function<void(const WriteStamp&)>;
  struct Answer {
    std::uint64_t value = 0;  ///< of a change of names: 1 = done, 0 = refused
    std::uint64_t verifier = 0;
    std::uint64_t serial = 0;
    std::shared_ptr<const Row> row{};
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
  /// GETATTR, READDIR: everything that there is to know of it.
  void look(std::size_t mount, Process& process, std::size_t file, Then then);
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
    return files_[file].now[counter].value;
  }
  [[nodiscard]] const Row& row(std::size_t file) const { return files_[file].now; }
  [[nodiscard]] std::uint64_t verifier() const { return verifier_; }
  /// The index of a file that is about to be created; nothing: there is no room.
  [[nodiscard]] std::optional<std::size_t> fresh_file() {
    if (next_fresh_ >= files_.size()) return std::nullopt;
    return next_fresh_++;
  }
  /// From here on files are created.
  void fresh_files_from(std::size_t index) { next_fresh_ = index; }

 private:
  struct File {
    Row now{};
    Row stable{};
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
  [[nodiscard]] bool apply(const WriteStamp& stamp);
  void set(std::size_t file, std::size_t cell, Cell to, bool stable);
  [[nodiscard]] bool up() const { return world_.now() >= up_at_; }

  World& world_;
  Network& network_;
  Duration write_life_;
  Duration storage_delay_;
  double late_;
  Judge judge_;
  std::vector<File> files_;
  std::map<std::uint64_t, Copy> copies_;
  struct Applied {
    std::uint64_t value = 0;
    std::uint64_t verifier = 0;
  };
  std::map<std::uint64_t, Applied> applied_;  ///< by write id
  /// Changes of names outlive a restart: what a lost answer meant is the backend's matter.
  std::map<std::uint64_t, Applied> changed_;
  std::size_t next_fresh_ = SIZE_MAX;
  std::uint64_t last_ticket_ = 0;
  std::uint64_t verifier_ = 1;
  Time up_at_{};
  std::vector<int> stopped_;
};

}  // namespace holdfast::sim
