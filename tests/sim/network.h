#pragma once
/// Connections between mounts and lockds as TCP gives them: in order, without loss, until cut.
/// A blocked direction stalls them (TCP retransmits); a cut loses what was on its way, and the two
/// ends notice at different times. Duplicates and reordering exist only across connections.

#include "holdfast/lock/message.h"
#include "tests/sim/world.h"

#include <deque>
#include <memory>
#include <vector>

namespace holdfast::sim {

struct Connection;
using ConnectionPtr = std::shared_ptr<Connection>;

/// The lockd's end.
class Listener {
 public:
  virtual ~Listener() = default;
  [[nodiscard]] virtual bool listening() const = 0;
  [[nodiscard]] virtual Process& process() = 0;
  virtual void received(const ConnectionPtr& connection, ClientMessage message) = 0;
  virtual void ended(const ConnectionPtr& connection) = 0;
};
/// The mount's end.
class Dialler {
 public:
  virtual ~Dialler() = default;
  [[nodiscard]] virtual Process& process() = 0;
  virtual void connected(ConnectionPtr connection) = 0;
  virtual void unreachable() = 0;
  virtual void received(const ConnectionPtr& connection, ServerMessage message) = 0;
  virtual void ended(const ConnectionPtr& connection) = 0;
};

struct Connection {
  template <class Message>
  struct Direction {
    std::deque<Message> queue;
    std::size_t due = 0;  ///< deliveries scheduled
    bool ends = false;    ///< the sender closed; the receiver hears it after the queue
    bool stalled = false;
    Time last{};
  };
  std::uint64_t id = 0;
  std::size_t mount = 0;
  std::size_t lockd = 0;
  bool mount_open = true;
  bool lockd_open = true;
  bool broken = false;  ///< nothing passes any more; the ends do not know yet
  Direction<ClientMessage> up;
  Direction<ServerMessage> down;
};

class Network {
 public:
  Network(World& world, std::size_t mounts, std::size_t lockds, Duration latency)
      : world_(world),
        latency_(latency),
        diallers_(mounts),
        listeners_(lockds),
        blocked_(mounts * lockds),
        storage_blocked_(mounts),
        cut_after_(mounts) {}

  void attach(std::size_t mount, Dialler& dialler) { diallers_[mount] = &dialler; }
  void attach_lockd(std::size_t lockd, Listener& listener) { listeners_[lockd] = &listener; }

  void connect(std::size_t mount, std::size_t lockd);
  void send(const ConnectionPtr& connection, ClientMessage message);
  void send(const ConnectionPtr& connection, ServerMessage message);
  enum class How { kAfterQueue, kAtOnce };
  void close_by_mount(const ConnectionPtr& connection, How how);
  void close_by_lockd(const ConnectionPtr& connection, How how);
  /// The process behind an end died: its kernel closes.
  void mount_died(std::size_t mount);
  void lockd_died(std::size_t lockd);

  // ---- Faults
  void cut(std::size_t mount);
  void cut_after(std::size_t mount, std::uint64_t messages) { cut_after_[mount] = messages; }
  void block(std::size_t mount, bool up, bool down, bool yes);
  void block_storage(std::size_t mount, bool yes) { storage_blocked_[mount] += yes ? 1 : -1; }
  void slow(bool yes) { slow_ += yes ? 1 : -1; }

  [[nodiscard]] bool storage_blocked(std::size_t mount) const {
    return storage_blocked_[mount] > 0;
  }
  [[nodiscard]] Duration delay();

 private:
  struct Blocked {
    int up = 0;
    int down = 0;
  };
  Blocked& path(const Connection& connection) {
    return blocked_[connection.mount * listeners_.size() + connection.lockd];
  }
  void schedule_up(const ConnectionPtr& connection);
  void schedule_down(const ConnectionPtr& connection);
  void deliver_up(const ConnectionPtr& connection);
  void deliver_down(const ConnectionPtr& connection);
  void break_apart(const ConnectionPtr& connection);
  void count_message(const ConnectionPtr& connection);
  void forget_closed();

  World& world_;
  Duration latency_;
  std::vector<Dialler*> diallers_;
  std::vector<Listener*> listeners_;
  std::vector<Blocked> blocked_;
  std::vector<int> storage_blocked_;
  std::vector<std::uint64_t> cut_after_;
  std::vector<ConnectionPtr> connections_;
  std::uint64_t last_id_ = 0;
  int slow_ = 0;
};

}  // namespace holdfast::sim
