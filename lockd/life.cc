#include "lockd/life.h"

#include "holdfast/base/log.h"
#include "lockd/credentials.h"
#include "lockd/server/identity.h"
#include "lockd/store/etcd/etcd_store.h"
#include "lockd/store/memory_store.h"
#include "lockd/store/sqlite_store.h"

#include <cerrno>
#include <csignal>
#include <exception>
#include <utility>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

namespace asio = boost::asio;

namespace holdfast::lockd {
namespace {

std::string fence_text(const Options& options) {
  std::string out;
  for (const FenceStep step : options.fence) {
    if (!out.empty()) out += ',';
    out += step == FenceStep::kWaitOut ? "wait-out" : "command";
  }
  return out;
}

wire::StartFailure unexpected(const std::exception_ptr& thrown) {
  wire::StartFailure failure{.code = errno_code(EIO), .what = "cannot start", .hint = {}};
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    failure.what = error.what();
  }
  return failure;
}

}  // namespace

Lives::Lives(asio::io_context& loop, Settings settings, ServiceManager manager)
    : loop_(loop),
      settings_(std::move(settings)),
      manager_(std::move(manager)),
      signals_(loop, SIGTERM, SIGINT),
      hangup_(loop, SIGHUP),
      heartbeat_(loop),
      over_(loop.get_executor()) {
  if (settings_.etcd) identity_ = fresh_etcd_identity();
}

std::unique_ptr<Store> Lives::make_store() {
  const auto executor = loop_.get_executor();
  if (settings_.etcd) {
    ++identity_->life;
    EtcdEvents events{.waits =
                          [this](const std::string& why) {
                            door_->say(why);
                            waits_for_ = "standby: " + why;
                            manager_.status("standby: " + why);
                          },
                      .leads = [this] { door_->close(); },
                      .lost =
                          [this, life = identity_->life](const std::string& why) {
                            if (life == identity_->life) deposed(why);
                          }};
    return std::make_unique<EtcdStore>(executor, *settings_.etcd, wall_seconds(), *identity_,
                                       std::move(events));
  }
  if (settings_.store == kMemoryStore) {
    log::warn("lockd.no_stable_storage",
              "meaning=\"a restart takes all locks from their holders\"");
    return std::make_unique<MemoryStore>(std::make_shared<Contents>(), wall_seconds());
  }
  return std::make_unique<SqliteStore>(executor, settings_.store, wall_seconds());
}

asio::awaitable<int> Lives::run(std::function<void(const wire::StartFailure&)> complain) {
  listen_for_signals();
  listen_for_hangup();
  beat();
  std::optional<wire::StartFailure> failure;
  if (settings_.status) open_status();
  while (!stopping_ && !failure)
    failure = co_await live_once();
  status_.reset();
  signals_.cancel();
  hangup_.cancel();
  heartbeat_.cancel();
  if (failure) {
    complain(*failure);
    co_return kExitStart;
  }
  log::info("lockd.stopped", "");
  co_return kExitClean;
}

asio::awaitable<std::optional<wire::StartFailure>> Lives::live_once() {
  over_.clear();
  waits_for_ = "it opens its store";
  door_.emplace(loop_.get_executor(), settings_.server.tls);
  if (settings_.etcd) open_door();
  Server server(loop_.get_executor(), settings_.server, make_store());
  server_ = &server;
  give_up_.emplace();
  std::optional<wire::StartFailure> failure;
  task::Event opened(loop_.get_executor());
  const auto took_place = [&](std::exception_ptr given_up, wire::Started started) {
    if (!given_up && !started) failure = started.error();
    if (!given_up && started && !over_.is_set()) {
      serving_ = &server;
      announce(server);
    }
    if (given_up && !over_.is_set()) failure = unexpected(given_up);
    opened.set();
  };
  asio::co_spawn(loop_, server.open(), asio::bind_cancellation_slot(give_up_->slot(), took_place));
  co_await opened.wait();
  give_up_.reset();
  if (!failure) co_await over_.wait();
  serving_ = nullptr;
  server_ = nullptr;
  co_await door_->stop();
  co_await server.stop();
  co_return failure;
}

void Lives::open_door() {
  std::vector<wire::Address> addresses = settings_.server.listen;
  if (settings_.server.admin_path) {
    addresses.emplace_back(wire::UnixAddress{*settings_.server.admin_path});
  }
  for (const wire::Address& address : addresses) {
    const auto* tcp = std::get_if<wire::TcpAddress>(&address);
    const bool chosen_later = tcp != nullptr && tcp->port == 0;
    if (chosen_later || door_->open(address)) continue;
    log::info("lockd.standby_closed", "address={} meaning=\"cannot listen there now\"",
              wire::to_string(address));
  }
  // A standby is all that it can be: whoever waits for its start shall not wait for its turn.
  manager_.ready("standby");
}

void Lives::listen_for_signals() {
  signals_.async_wait([this](const boost::system::error_code& error, int number) {
    if (error) return;
    log::info("lockd.stopping", "signal={}", number);
    manager_.stopping();
    stopping_ = true;
    end_life();
  });
}

void Lives::listen_for_hangup() {
  hangup_.async_wait([this](const boost::system::error_code& error, int) {
    if (error) return;
    reload();
    listen_for_hangup();
  });
}

// What cannot be read leaves everything as it was: a typing error locks nobody out.
void Lives::reload() {
  const auto reloaded = reload_credentials(settings_);
  if (!reloaded) {
    log::error("lockd.reload_failed",
               "reason=\"{}\" hint=\"{}\" meaning=\"certificates and access list are as before\"",
               reloaded.error().what, reloaded.error().hint);
    return;
  }
  const std::size_t credentials =
      settings_.server.access ? settings_.server.access->all().size() : 0;
  log::info("lockd.reloaded", "tls={} credentials={}", settings_.server.tls ? "yes" : "no",
            credentials);
  if (server_ != nullptr && settings_.server.access) server_->reload(settings_.server.access);
}

void Lives::deposed(const std::string& why) {
  log::warn("lockd.deposed",
            "reason=\"{}\" meaning=\"this lockd grants and renews nothing any more, and waits for "
            "its turn; mounts keep their locks and tell the active one\"",
            why);
  end_life();
}

void Lives::end_life() {
  over_.set();
  if (give_up_) give_up_->emit(asio::cancellation_type::terminal);
}

void Lives::announce(const Server& server) const {
  std::string addresses;
  for (const auto& address : server.listening()) {
    if (!addresses.empty()) addresses += ',';
    addresses += wire::to_string(address);
  }
  const Options& core = settings_.server.coordinator;
  // What a wait-out takes from the last renewal on, for a mount with the usual write_life.
  const auto bound = core.lease_ttl + core.write_life_default + core.storage_delay;
  if (settings_.etcd) {
    log::info("lockd.leading",
              "epoch={} store={} leader_ttl_ms={} meaning=\"this lockd is the active one\"",
              server.epoch().value, settings_.store, settings_.etcd->leader_ttl.count());
  }
  log::info("lockd.started",
            "addresses={} epoch={} lease_ttl_ms={} fence={} wait_out_ms={} grace={}", addresses,
            server.epoch().value, core.lease_ttl.count(), fence_text(core), bound.count(),
            server.coordinator().status().grace ? "yes" : "no");
  if (settings_.server.plain_text == PlainText::kEverywhere) {
    log::warn("lockd.plain_text",
              "meaning=\"--allow-plain: whoever reaches the port may take any lock of any volume, "
              "and the network sees and may change what is said\" hint=\"holdfast-lockd init\"");
  }
  manager_.ready("active at " + addresses);
}

// Its port may be taken by something else. Nobody waits for his locks because of that.
void Lives::open_status() {
  status_ = std::make_unique<status::Service>(loop_, *settings_.status, [this] { return look(); });
  const auto opened = status_->open();
  if (opened) return;
  log::error("status.cannot_listen",
             "why=\"{}\" hint=\"{}\" note=\"locks are served all the same\"", opened.error().what,
             opened.error().hint);
  status_.reset();
}

status::Moment Lives::look() {
  status::Moment out;
  out.version = HOLDFAST_VERSION;
  out.uptime =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_);
  if (serving_ == nullptr) {
    out.waits_for = waits_for_;
    return out;
  }
  for (const auto& address : serving_->listening())
    if (std::holds_alternative<wire::TcpAddress>(address))
      out.listening += (out.listening.empty() ? "" : ", ") + wire::to_string(address);
  out.report = serving_->report({});
  return out;
}

// From the loop: what it proves is that the loop turns.
void Lives::beat() {
  const auto every = manager_.alive_every();
  if (!every) return;
  manager_.alive();
  heartbeat_.expires_after(*every);
  heartbeat_.async_wait([this](const boost::system::error_code& error) {
    if (!error) beat();
  });
}

}  // namespace holdfast::lockd
