#include "fs/lock/client_core.h"

#include <algorithm>

namespace holdfast::fs {
namespace {

constexpr Duration kStartingRetryMin = std::chrono::milliseconds(50);
constexpr Duration kStartingRetryMax = std::chrono::seconds(2);

}  // namespace

ClientEffects ClientCore::connected(Instant now) {
  ClientEffects effects;
  link_ = Link::kGreeting;
  hello_sent_ = now;
  renewals_.clear();
  Hello hello = hello_;
  if (session_) hello.resume = ResumeSession{session_->session, session_->secret};
  effects.emplace_back(SendMessage{ClientMessage(std::move(hello))});
  return effects;
}

void ClientCore::disconnected() {
  link_ = Link::kDown;
  renewals_.clear();
}

void ClientCore::drop(DropConnection::Why why, Duration delay, ClientEffects& effects) {
  disconnected();
  effects.emplace_back(DropConnection{why, delay});
}

ClientEffects ClientCore::received(const ServerMessage& message, Instant now) {
  ClientEffects effects;
  const bool greeting_answer =
      std::holds_alternative<Welcome>(message) || std::holds_alternative<HelloRefused>(message);
  if (link_ == Link::kDown) return effects;  // dropped, and this was still on its way
  if (greeting_answer != (link_ == Link::kGreeting)) {
    drop(DropConnection::Why::kProtocol, {}, effects);
    return effects;
  }
  std::visit([&](const auto& one) { on(one, now, effects); }, message);
  return effects;
}

void ClientCore::on(const Welcome& welcome, Instant now, ClientEffects& effects) {
  const bool understood = welcome.version >= hello_.version_min &&
                          welcome.version <= hello_.version_max &&
                          welcome.lease_ttl > drift_margin(welcome.lease_ttl);
  if (!understood) return drop(DropConnection::Why::kProtocol, {}, effects);
  refusal_.reset();
  const bool resumed = session_ && session_->session == welcome.session;
  if (!resumed) {
    if (session_) lose(effects);
    deadline_ = {};
  }
  session_ = welcome;
  link_ = Link::kUp;
  renew_at_ = hello_sent_ + welcome.lease_ttl / 3;
  extend(hello_sent_, now, effects);
  if (resumed) {
    effects.emplace_back(SessionResumed{});
    mark_uncertain_owners();
    resend(effects);
  } else {
    effects.emplace_back(SessionOpened{welcome.session, welcome.epoch});
  }
  pump(effects);
}

void ClientCore::extend(Instant sent, Instant now, ClientEffects& effects) {
  const Duration ttl = session_->lease_ttl;
  deadline_ = std::max(deadline_, sent + ttl - drift_margin(ttl));
  if (now >= deadline_) {
    // Acknowledged, but so late that it is over already: suspended until the next renewal.
    if (state_ != State::kSuspended) effects.emplace_back(LeaseSuspended{});
    state_ = State::kSuspended;
    return;
  }
  if (state_ == State::kSuspended) effects.emplace_back(LeaseResumed{});
  state_ = State::kActive;
}

void ClientCore::on(const HelloRefused& refused, Instant, ClientEffects& effects) {
  refusal_ = refused;
  const bool ours_is_gone =
      session_ && (refused.errc == LockErrc::kSessionLost || refused.errc == LockErrc::kBadSecret);
  if (ours_is_gone) {
    lose(effects);
    return drop(DropConnection::Why::kLost, {}, effects);
  }
  Duration delay{0};
  if (refused.errc == LockErrc::kStarting) {
    delay = std::clamp<Duration>(refused.retry_after, kStartingRetryMin, kStartingRetryMax);
  }
  drop(DropConnection::Why::kRefused, delay, effects);
}

void ClientCore::on(const Renewed& renewed, Instant now, ClientEffects& effects) {
  const auto found = std::find_if(renewals_.begin(), renewals_.end(), [&](const Renewal& renewal) {
    return renewal.tick == renewed.tick;
  });
  if (found == renewals_.end()) return;
  const Instant sent = found->sent;
  renewals_.erase(renewals_.begin(), std::next(found));
  extend(sent, now, effects);
}

void ClientCore::on(const SessionEnded&, Instant, ClientEffects& effects) {
  lose(effects);
  drop(DropConnection::Why::kLost, {}, effects);
}

// Nobody asked for a listing here.
void ClientCore::on(const SessionList&, Instant, ClientEffects& effects) {
  drop(DropConnection::Why::kProtocol, {}, effects);
}
void ClientCore::on(const LockList&, Instant, ClientEffects& effects) {
  drop(DropConnection::Why::kProtocol, {}, effects);
}

// For a restart of lockd, which loses the session yet.
void ClientCore::on(const Queued&, Instant, ClientEffects&) {}
void ClientCore::on(const Reclaimed&, Instant, ClientEffects& effects) {
  drop(DropConnection::Why::kProtocol, {}, effects);
}

void ClientCore::lose(ClientEffects& effects) {
  // The listener runs first: whoever is completed below finds its handles poisoned.
  effects.emplace_back(SessionLost{});
  const auto complete = [&](const Call& call) {
    if (call.background || call.answered) return;
    effects.emplace_back(CompleteCall{call.id, Refused{LockErrc::kSessionLost}});
  };
  for (const auto& [number, call] : sent_)
    complete(call);
  for (const Call& call : unsent_)
    complete(call);
  sent_.clear();
  unsent_.clear();
  settling_.clear();
  held_.clear();
  renewals_.clear();
  session_.reset();
  last_number_ = 0;
  deadline_ = {};
  state_ = State::kLost;
}

ClientEffects ClientCore::tick(Instant now) {
  ClientEffects effects;
  if (state_ == State::kActive && now >= deadline_) {
    state_ = State::kSuspended;
    effects.emplace_back(LeaseSuspended{});
  }
  if (link_ == Link::kGreeting && now - hello_sent_ >= limits_.hello_timeout) {
    drop(DropConnection::Why::kSilent, {}, effects);
  }
  if (link_ != Link::kUp) return effects;
  const Duration ttl = session_->lease_ttl;
  // A renewal this old was lost with its connection, whatever TCP believes: try another.
  if (!renewals_.empty() && now - renewals_.front().sent >= ttl / 2) {
    drop(DropConnection::Why::kSilent, {}, effects);
    return effects;
  }
  if (now >= renew_at_) {
    renew_at_ = now + ttl / 3;
    renewals_.push_back({++last_tick_, now});
    effects.emplace_back(SendMessage{ClientMessage(Renew{last_tick_, {}})});
  }
  return effects;
}

Instant ClientCore::next_deadline() const {
  Instant next = Instant::max();
  if (state_ == State::kActive) next = std::min(next, deadline_);
  if (link_ == Link::kGreeting) next = std::min(next, hello_sent_ + limits_.hello_timeout);
  if (link_ == Link::kUp) {
    next = std::min(next, renew_at_);
    if (!renewals_.empty()) {
      next = std::min(next, renewals_.front().sent + Duration(session_->lease_ttl) / 2);
    }
  }
  return next;
}

ClientEffects ClientCore::goodbye() {
  ClientEffects effects;
  if (link_ == Link::kUp) effects.emplace_back(SendMessage{ClientMessage(Goodbye{})});
  ClientEffects ends;
  lose(ends);
  for (auto& effect : ends) {
    if (std::holds_alternative<CompleteCall>(effect)) effects.push_back(std::move(effect));
  }
  disconnected();
  return effects;
}

}  // namespace holdfast::fs
