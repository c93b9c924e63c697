// What the simulated mounts say and understand.
#include "cli/bench/swarm.h"

#include <algorithm>

#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::bench {
namespace {

constexpr std::size_t kLocksPerReclaim = 4096;

// fs/lock/client_core.h, drift_margin().
std::chrono::milliseconds drift_margin(std::chrono::milliseconds ttl) {
  return ttl / 100 + std::chrono::milliseconds(200);
}

}  // namespace

void Swarm::send(std::size_t index, const ClientMessage& message) {
  if (!codec_.append_frame(clients_[index].out, message)) throw SetupError("message too long");
  mark(index);
}

void Swarm::greet(std::size_t index) {
  Client& client = clients_[index];
  client.link = Link::kGreeting;
  client.hello_sent = Clock::now();
  Hello hello;
  hello.volume = lockd_.volume;
  hello.token = lockd_.token;
  hello.volume_name = "load";
  hello.node = fmt::format("load-{:05}", index);
  hello.mountpoint = "/load";
  hello.pid = static_cast<std::uint32_t>(::getpid());
  hello.epoch_seen = client.epoch;
  if (client.has_session) {
    hello.resume = ResumeSession{client.session, client.secret, client.losses_seen};
  }
  send(index, ClientMessage(std::move(hello)));
  flush(index);
}

void Swarm::goodbye(std::size_t index) {
  send(index, ClientMessage(Goodbye{}));
  flush(index);
  shut(index, Link::kDown);
  forget_session(clients_[index]);
}

void Swarm::ask(std::size_t index, Command command, std::uint64_t tag) {
  Client& client = clients_[index];
  client.asked.push_back({.tag = tag, .sent = Clock::now()});
  const std::uint64_t number = client.answered_up_to + client.asked.size();
  send(index, ClientMessage(Request{{number}, {client.answered_up_to}, std::move(command)}));
}

bool Swarm::take(std::size_t index, std::span<const std::byte> body) {
  const auto message = codec_.decode_server(body);
  if (!message) return false;
  return std::visit([&](const auto& value) { return on(index, value); }, *message);
}

void Swarm::forget_session(Client& client) {
  client.has_session = false;
  client.losses_seen = {};
  client.answered_up_to = 0;
}

bool Swarm::on(std::size_t index, const Welcome& welcome) {
  Client& client = clients_[index];
  if (client.link != Link::kGreeting || welcome.epoch < client.epoch) return false;
  const bool same = client.has_session && client.session == welcome.session;
  ++(welcome.reclaim ? counts_.reclaimed : same ? counts_.resumed : counts_.opened);
  if (welcome.reclaim || !same) client.answered_up_to = 0;
  client.has_session = true;
  client.session = welcome.session;
  client.secret = welcome.secret;
  client.epoch = welcome.epoch;
  client.ttl = welcome.lease_ttl;
  client.deadline = client.hello_sent + client.ttl - drift_margin(client.ttl);
  client.renew_at = client.hello_sent + client.ttl / 3;
  --on_the_way_;
  client.link = Link::kReclaiming;
  take_losses(index, welcome.losses);
  if (!welcome.reclaim) {
    is_up(index);
    return true;
  }
  if (held) client.to_tell = held(index);
  client.told = 0;
  tell_more(index);
  return true;
}

void Swarm::is_up(std::size_t index) {
  clients_[index].link = Link::kUp;
  ++up_;
  if (on_up) on_up(index);
}

// The next message of a reclaim; flush() asks for more when it has left.
void Swarm::tell_more(std::size_t index) {
  Client& client = clients_[index];
  const std::size_t count = std::min(kLocksPerReclaim, client.to_tell.size() - client.told);
  const auto first = client.to_tell.begin() + static_cast<std::ptrdiff_t>(client.told);
  Reclaim reclaim;
  reclaim.locks.assign(first, first + static_cast<std::ptrdiff_t>(count));
  client.told += count;
  reclaim.last = client.told == client.to_tell.size();
  if (reclaim.last) {
    client.to_tell.clear();
    client.to_tell.shrink_to_fit();
  }
  send(index, ClientMessage(std::move(reclaim)));
}

bool Swarm::on(std::size_t index, const Reclaimed& reclaimed) {
  if (clients_[index].link != Link::kReclaiming) return false;
  take_losses(index, reclaimed.losses);
  is_up(index);
  return true;
}

bool Swarm::on(std::size_t index, const HelloRefused& refused) {
  Client& client = clients_[index];
  if (client.link != Link::kGreeting) return false;
  counts_.last_refusal =
      fmt::format("{} {}", make_error_code(refused.errc).message(), refused.reason);
  if (refused.errc == LockErrc::kSessionLost) {
    ++counts_.replaced;
    forget_session(client);
    drop(index);
    return true;
  }
  ++(refused.errc == LockErrc::kStarting ? counts_.refused : counts_.rejected);
  fail(index);
  client.retry_at = std::max(client.retry_at, Clock::now() + refused.retry_after);
  return true;
}

bool Swarm::on(std::size_t index, const Reply& reply) {
  Client& client = clients_[index];
  if (reply.number.value <= client.answered_up_to) return true;  // a repeat
  const std::size_t place = reply.number.value - client.answered_up_to - 1;
  if (place >= client.asked.size()) return false;
  if (client.asked[place].answered) return false;  // twice
  client.asked[place].answered = true;
  const Asked asked = client.asked[place];
  while (!client.asked.empty() && client.asked.front().answered) {
    client.asked.pop_front();
    ++client.answered_up_to;
  }
  if (on_reply) on_reply(index, asked.tag, reply.outcome, asked.sent);
  return true;
}

bool Swarm::on(std::size_t index, const Queued& queued) {
  const Client& client = clients_[index];
  const std::size_t place = queued.number.value - client.answered_up_to - 1;
  if (queued.number.value <= client.answered_up_to || place >= client.asked.size()) return true;
  if (on_queued) on_queued(index, client.asked[place].tag, queued);
  return true;
}

void Swarm::renew(std::size_t index, Clock::time_point now) {
  Client& client = clients_[index];
  client.renew_at = now + client.ttl / 3;
  client.renewals.emplace_back(++client.tick, now);
  send(index, ClientMessage(Renew{client.tick, client.losses_seen}));
}

bool Swarm::on(std::size_t index, const Renewed& renewed) {
  Client& client = clients_[index];
  const auto now = Clock::now();
  for (const auto& [tick, sent] : client.renewals) {
    if (tick != renewed.tick) continue;
    ++counts_.renewals;
    if (now > client.deadline) ++counts_.suspended;
    client.deadline = std::max(client.deadline, sent + client.ttl - drift_margin(client.ttl));
  }
  std::erase_if(client.renewals, [&](const auto& one) { return one.first <= renewed.tick; });
  return true;
}

void Swarm::take_losses(std::size_t index, const std::vector<FileLoss>& losses) {
  if (losses.empty()) return;
  Client& client = clients_[index];
  counts_.losses += losses.size();
  for (const FileLoss& loss : losses)
    client.losses_seen = std::max(client.losses_seen, loss.number);
  client.renew_at = Clock::now();  // says that it knows
  if (on_losses) on_losses(index, losses);
}

bool Swarm::on(std::size_t index, const SessionEnded&) {
  ++counts_.ended;
  forget_session(clients_[index]);
  return false;
}

}  // namespace holdfast::bench
