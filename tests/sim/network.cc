#include "tests/sim/network.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

constexpr Duration kConnectTimeout = seconds(5);
constexpr Duration kNoticeMax = seconds(8);  // until an end notices a broken connection

// A random part of what is on its way never arrives.
template <class Message>
void lose_tail(Rng& rng, Connection::Direction<Message>& direction) {
  const std::size_t kept = rng.index(direction.queue.size() + 1);
  direction.queue.erase(direction.queue.begin() + static_cast<std::ptrdiff_t>(kept),
                        direction.queue.end());
}

}  // namespace

Duration Network::delay() {
  if (slow_ > 0) return world_.rng.between(latency_, seconds(2));
  if (world_.rng.chance(0.002)) return world_.rng.between(latency_, latency_ * 200);
  return world_.rng.between(latency_ / 2, latency_ * 2);
}

void Network::connect(std::size_t mount, std::size_t lockd) {
  const Duration there = delay();
  Dialler& dialler = *diallers_[mount];
  world_.in(there, &dialler.process(), [this, mount, lockd] {
    Dialler& from = *diallers_[mount];
    const Blocked& blocked = blocked_[mount * listeners_.size() + lockd];
    if (blocked.up > 0 || blocked.down > 0) {
      world_.in(kConnectTimeout, &from.process(), [&from] { from.unreachable(); });
      return;
    }
    if (!listeners_[lockd]->listening()) return from.unreachable();
    forget_closed();
    auto connection = std::make_shared<Connection>();
    connection->id = ++last_id_;
    connection->mount = mount;
    connection->lockd = lockd;
    connections_.push_back(connection);
    from.connected(std::move(connection));
  });
}

void Network::forget_closed() {
  std::erase_if(connections_, [](const ConnectionPtr& connection) {
    return !connection->mount_open && !connection->lockd_open;
  });
}

void Network::count_message(const ConnectionPtr& connection) {
  std::uint64_t& left = cut_after_[connection->mount];
  if (left > 0 && --left == 0) break_apart(connection);
}

void Network::send(const ConnectionPtr& connection, ClientMessage message) {
  if (!connection->mount_open || connection->broken) return;
  connection->up.queue.push_back(std::move(message));
  schedule_up(connection);
  count_message(connection);
}

void Network::send(const ConnectionPtr& connection, ServerMessage message) {
  if (!connection->lockd_open || connection->broken) return;
  connection->down.queue.push_back(std::move(message));
  schedule_down(connection);
  count_message(connection);
}

void Network::schedule_up(const ConnectionPtr& connection) {
  auto& direction = connection->up;
  if (connection->broken || direction.stalled || direction.due > direction.queue.size()) return;
  direction.last = std::max(direction.last, world_.now() + delay());
  ++direction.due;
  world_.at(direction.last, nullptr, [this, connection] { deliver_up(connection); });
}

void Network::schedule_down(const ConnectionPtr& connection) {
  auto& direction = connection->down;
  if (connection->broken || direction.stalled || direction.due > direction.queue.size()) return;
  direction.last = std::max(direction.last, world_.now() + delay());
  ++direction.due;
  world_.at(direction.last, nullptr, [this, connection] { deliver_down(connection); });
}

void Network::deliver_up(const ConnectionPtr& connection) {
  auto& direction = connection->up;
  --direction.due;
  if (path(*connection).up > 0) {
    direction.stalled = true;
    return;
  }
  Listener& to = *listeners_[connection->lockd];
  if (direction.queue.empty()) {
    if (!direction.ends || !connection->lockd_open) return;
    world_.in({}, &to.process(), [connection, &to] {
      if (connection->lockd_open) to.ended(connection);
    });
    return;
  }
  auto message = std::make_unique<ClientMessage>(std::move(direction.queue.front()));
  direction.queue.pop_front();
  if (!connection->lockd_open) return;
  world_.in({}, &to.process(), [connection, &to, message = std::move(message)] {
    if (connection->lockd_open) to.received(connection, std::move(*message));
  });
}

void Network::deliver_down(const ConnectionPtr& connection) {
  auto& direction = connection->down;
  --direction.due;
  if (path(*connection).down > 0) {
    direction.stalled = true;
    return;
  }
  Dialler& to = *diallers_[connection->mount];
  if (direction.queue.empty()) {
    if (!direction.ends || !connection->mount_open) return;
    world_.in({}, &to.process(), [connection, &to] {
      if (connection->mount_open) to.ended(connection);
    });
    return;
  }
  auto message = std::make_unique<ServerMessage>(std::move(direction.queue.front()));
  direction.queue.pop_front();
  if (!connection->mount_open) return;
  world_.in({}, &to.process(), [connection, &to, message = std::move(message)] {
    if (connection->mount_open) to.received(connection, std::move(*message));
  });
}

void Network::close_by_mount(const ConnectionPtr& connection, How how) {
  if (!connection->mount_open) return;
  connection->mount_open = false;
  if (how == How::kAtOnce) lose_tail(world_.rng, connection->up);
  connection->up.ends = true;
  schedule_up(connection);
}

void Network::close_by_lockd(const ConnectionPtr& connection, How how) {
  if (!connection->lockd_open) return;
  connection->lockd_open = false;
  if (how == How::kAtOnce) lose_tail(world_.rng, connection->down);
  connection->down.ends = true;
  schedule_down(connection);
}

void Network::mount_died(std::size_t mount) {
  const auto all = connections_;
  for (const ConnectionPtr& connection : all)
    if (connection->mount == mount) close_by_mount(connection, How::kAtOnce);
}

void Network::lockd_died(std::size_t lockd) {
  const auto all = connections_;
  for (const ConnectionPtr& connection : all)
    if (connection->lockd == lockd) close_by_lockd(connection, How::kAtOnce);
}

void Network::cut(std::size_t mount) {
  const auto all = connections_;
  for (const ConnectionPtr& connection : all)
    if (connection->mount == mount) break_apart(connection);
}

void Network::break_apart(const ConnectionPtr& connection) {
  world_.note("network: the connection of mount {} to lockd {} breaks", connection->mount,
              connection->lockd);
  // Also where a fault that was to cut "at a message" finds that message long after its own time.
  world_.disturbed(kNoticeMax);
  lose_tail(world_.rng, connection->up);
  lose_tail(world_.rng, connection->down);
  connection->broken = true;
  Rng& rng = world_.rng;
  const auto notice = [&rng] {
    return rng.chance(0.7) ? rng.up_to(milliseconds(50)) : rng.up_to(kNoticeMax);
  };
  Dialler& dialler = *diallers_[connection->mount];
  Listener& listener = *listeners_[connection->lockd];
  world_.in(notice(), &dialler.process(), [connection, &dialler] {
    if (connection->mount_open) dialler.ended(connection);
  });
  world_.in(notice(), &listener.process(), [connection, &listener] {
    if (connection->lockd_open) listener.ended(connection);
  });
  std::erase(connections_, connection);
}

void Network::block(std::size_t mount, bool up, bool down, bool yes) {
  for (std::size_t lockd = 0; lockd < listeners_.size(); ++lockd) {
    Blocked& blocked = blocked_[mount * listeners_.size() + lockd];
    if (up) blocked.up += yes ? 1 : -1;
    if (down) blocked.down += yes ? 1 : -1;
  }
  if (yes) return;
  for (const ConnectionPtr& connection : connections_) {
    if (connection->mount != mount) continue;
    const auto resume = [this, &connection](auto& direction, int still, auto schedule) {
      if (!direction.stalled || still > 0) return;
      direction.stalled = false;
      direction.last = world_.now();
      const std::size_t owed = direction.queue.size() + (direction.ends ? 1 : 0);
      while (direction.due < owed)
        (this->*schedule)(connection);
    };
    resume(connection->up, path(*connection).up, &Network::schedule_up);
    resume(connection->down, path(*connection).down, &Network::schedule_down);
  }
}

}  // namespace holdfast::sim
