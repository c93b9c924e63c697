#include "fs/lock/client_core.h"
#include "holdfast/base/mutation.h"

#include <algorithm>
#include <utility>

namespace holdfast::fs {
namespace {

constexpr Duration kStartingRetryMin = std::chrono::milliseconds(50);
constexpr Duration kStartingRetryMax = std::chrono::seconds(2);

}  // namespace

ClientEffects ClientCore::connected(Instant now, std::string token) {
  ClientEffects effects;
  link_ = Link::kGreeting;
  hello_sent_ = now;
  renewals_.clear();
  Hello hello = hello_;
  hello.token = std::move(token);
  if (session_) {
    hello.resume = ResumeSession{session_->session, session_->secret, losses_seen_};
  }
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
  see(now);
  const bool greeting_answer =
      std::holds_alternative<Welcome>(message) || std::holds_alternative<HelloRefused>(message);
  if (link_ == Link::kDown) return effects;  // dropped, and this was still on its way
  if (greeting_answer != (link_ == Link::kGreeting)) {
    drop(DropConnection::Why::kProtocol, {}, effects);
    return effects;
  }
  std::visit([&](const auto& one) { on(one, now, effects); }, message);
  go_on(effects);
  return effects;
}

void ClientCore::on(const Welcome& welcome, Instant now, ClientEffects& effects) {
  const bool understood = welcome.version >= hello_.version_min &&
                          welcome.version <= hello_.version_max &&
                          welcome.lease_ttl > drift_margin(welcome.lease_ttl);
  if (!understood) return drop(DropConnection::Why::kProtocol, {}, effects);
  refusal_.reset();
  // Something that was given away in a later life may be unknown to it.
  if (welcome.epoch < hello_.epoch_seen && !mutated(Mutation::kOldEpochAccepted)) {
    return drop(DropConnection::Why::kStale, {}, effects);
  }
  const bool resumed = session_ && session_->session == welcome.session;
  const bool remembers = resumed && session_->epoch == welcome.epoch;
  // A session in another life of lockd is reclaimed, and wholly; a new one has nothing to reclaim.
  if (welcome.reclaim ? !resumed : resumed && !(remembers && told_all_)) {
    return drop(DropConnection::Why::kProtocol, {}, effects);
  }
  if (!resumed && session_) lose(effects);
  hello_.epoch_seen = std::max(hello_.epoch_seen, welcome.epoch);
  session_ = welcome;
  renew_at_ = hello_sent_ + welcome.lease_ttl / 3;
  // What is lost is told before anybody may go on.
  take_losses(welcome.losses, effects);
  if (welcome.reclaim) prepare_reclaim(effects);
  extend(hello_sent_, now, effects);
  // A Hello that lay at a lockd that stood still may be old: what is due is not left for the timer.
  if (now >= renew_at_) renew(now, effects);
  if (!resumed) {
    effects.emplace_back(SessionOpened{welcome.session, welcome.epoch});
    link_ = Link::kUp;
    return pump(effects);
  }
  effects.emplace_back(SessionResumed{});
  if (welcome.reclaim) return begin_reclaim(effects);
  link_ = Link::kUp;
  mark_uncertain_owners();
  resend(effects);
  pump(effects);
}

void ClientCore::extend(Instant sent, Instant now, ClientEffects& effects) {
  const Duration ttl = session_->lease_ttl;
  const Duration margin =
      mutated(Mutation::kClientDeadlineLate) ? -drift_margin(ttl) : drift_margin(ttl);
  deadline_ = std::max(deadline_, sent + ttl - margin);
  if (now >= deadline_) {
    // Acknowledged, but so late that it is over already: suspended until the next renewal.
    if (state_ != State::kSuspended) effects.emplace_back(LeaseSuspended{});
    state_ = State::kSuspended;
    return;
  }
  // What was suspended goes on for good: not on the rest of a lease that ends before the next
  // renewal can be answered. The renewal that is sent now counts, whatever is left of it then: with
  // a slow network that is all there ever is.
  if (state_ == State::kSuspended && link_ == Link::kGreeting && deadline_ - now < ttl / 3) return;
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
void ClientCore::on(const BreakAnswer&, Instant, ClientEffects& effects) {
  drop(DropConnection::Why::kProtocol, {}, effects);
}
void ClientCore::on(const LockList&, Instant, ClientEffects& effects) {
  drop(DropConnection::Why::kProtocol, {}, effects);
}

void ClientCore::on(const Queued& queued, Instant, ClientEffects&) {
  const auto found = sent_.find(queued.number);
  if (found == sent_.end()) return;  // answered meanwhile
  if (auto* request = std::get_if<LockRequest>(&found->second.command)) {
    request->place = queued.place;
  }
}

// Who held nothing lost nothing, and nobody was told of a grant that he might rely on: what is open
// is asked again, in the next session.
void ClientCore::lose(ClientEffects& effects) {
  if (!held_.empty()) {
    // The listener runs first: whoever is completed below finds its handles poisoned.
    effects.emplace_back(SessionLost{});
    end_all(effects);
    state_ = State::kLost;
    return;
  }
  if (agent_ && agent_->lost_all()) effects.emplace_back(TokensLost{});
  if (state_ == State::kActive) {
    state_ = State::kSuspended;
    effects.emplace_back(LeaseSuspended{});
  }
  for (auto& [number, call] : sent_)
    call.weakened = false;
  for (Call& call : unsent_)
    call.weakened = false;
  renumber(effects);
  forget_session();
}

void ClientCore::forget_session() {
  settling_.clear();
  held_.clear();
  if (agent_) static_cast<void>(agent_->lost_all());
  granted_.clear();
  tokens_.clear();
  renewals_.clear();
  session_.reset();
  losses_seen_ = {};
  told_all_ = true;
  last_number_ = 0;
  deadline_ = {};
}

// Nobody waits any more, nothing is held any more.
void ClientCore::end_all(ClientEffects& effects) {
  for (const auto& [number, call] : sent_)
    complete(call, Refused{LockErrc::kSessionLost}, effects);
  for (const Call& call : unsent_)
    complete(call, Refused{LockErrc::kSessionLost}, effects);
  sent_.clear();
  unsent_.clear();
  end_lanes(LockErrc::kSessionLost, effects);
  forget_session();
}

ClientEffects ClientCore::tick(Instant now) {
  ClientEffects effects;
  see(now);
  if (state_ == State::kActive && now >= deadline_) {
    state_ = State::kSuspended;
    effects.emplace_back(LeaseSuspended{});
  }
  if (link_ == Link::kGreeting && now - hello_sent_ >= limits_.hello_timeout) {
    drop(DropConnection::Why::kSilent, {}, effects);
  }
  if (link_ != Link::kUp && link_ != Link::kReclaiming) return effects;
  const Duration ttl = session_->lease_ttl;
  // A renewal this old was lost with its connection, whatever TCP believes: try another.
  if (!renewals_.empty() && now - renewals_.front().sent >= ttl / 2) {
    drop(DropConnection::Why::kSilent, {}, effects);
    return effects;
  }
  if (now >= renew_at_) renew(now, effects);
  if (agent_ && decides_here()) {
    agent_->tick(now);
    for (const auto& [file, lane] : lanes_)
      lanes_due_.insert(file);
    go_on(effects);
  }
  return effects;
}

void ClientCore::renew(Instant now, ClientEffects& effects) {
  renew_at_ = now + session_->lease_ttl / 3;
  renewals_.push_back({++last_tick_, now});
  effects.emplace_back(SendMessage{ClientMessage(Renew{last_tick_, losses_seen_})});
}

Instant ClientCore::next_deadline() const {
  Instant next = Instant::max();
  if (state_ == State::kActive) next = std::min(next, deadline_);
  if (link_ == Link::kGreeting) next = std::min(next, hello_sent_ + limits_.hello_timeout);
  if (link_ == Link::kUp || link_ == Link::kReclaiming) {
    next = std::min(next, renew_at_);
    if (!renewals_.empty()) {
      next = std::min(next, renewals_.front().sent + Duration(session_->lease_ttl) / 2);
    }
  }
  if (agent_ && link_ == Link::kUp && state_ == State::kActive) {
    next = std::min(next, agent_->next_deadline());
  }
  return next;
}

ClientEffects ClientCore::goodbye() {
  ClientEffects effects;
  if (link_ == Link::kUp || link_ == Link::kReclaiming) {
    effects.emplace_back(SendMessage{ClientMessage(Goodbye{})});
  }
  end_all(effects);
  if (agent_) {
    for (const CallId call : agent_->cancel_all())
      effects.emplace_back(CompleteCall{call, Refused{LockErrc::kSessionLost}});
  }
  state_ = State::kLost;
  disconnected();
  return effects;
}

}  // namespace holdfast::fs
