#pragma once
/// The lives of one holdfast-lockd: a server is opened, serves, and ends by a signal; or, with
/// replicas, because another lockd became the active one: then the next life waits for its turn.
/// SIGHUP: certificates and the access list are read again.
///
/// Thread: the loop's. No two lives overlap: what a deposed one has not said is never said.

#include "holdfast/task/event.h"
#include "lockd/server/standby_door.h"
#include "lockd/service_manager.h"
#include "lockd/settings.h"
#include "lockd/status/service.h"
#include "lockd/store/etcd/location.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

namespace holdfast::lockd {

class Lives {
 public:
  Lives(boost::asio::io_context& loop, Settings settings, ServiceManager manager);

  /// Returns kExitClean after SIGTERM or SIGINT. A failure to start is given to `complain` and
  /// returns kExitStart.
  boost::asio::awaitable<int> run(std::function<void(const wire::StartFailure&)> complain);

 private:
  [[nodiscard]] std::unique_ptr<Store> make_store();
  boost::asio::awaitable<std::optional<wire::StartFailure>> live_once();
  void open_door();
  void listen_for_signals();
  void listen_for_hangup();
  void reload();
  void deposed(const std::string& why);
  void end_life();
  void announce(const Server& server) const;
  void beat();
  void open_status();
  [[nodiscard]] status::Moment look();

  boost::asio::io_context& loop_;
  Settings settings_;
  ServiceManager manager_;
  boost::asio::signal_set signals_;
  boost::asio::signal_set hangup_;
  boost::asio::steady_timer heartbeat_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::unique_ptr<status::Service> status_;
  std::optional<EtcdIdentity> identity_;
  // Of the life that is:
  Server* server_ = nullptr;
  std::optional<StandbyDoor> door_;  // with replicas, until it leads
  std::string waits_for_;            // why it does not serve
  Server* serving_ = nullptr;        // while it does
  task::Event over_;
  std::optional<boost::asio::cancellation_signal> give_up_;  // while it opens
  bool stopping_ = false;
};

}  // namespace holdfast::lockd
