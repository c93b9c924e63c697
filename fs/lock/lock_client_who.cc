// Who has a lock: asked of lockd, and answered for it.
#include "fs/lock/lock_client.h"

#include <algorithm>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {

// One that waits for WhoAnswer; lives on its coroutine's frame.
struct LockClient::Asking {
  std::optional<WhoAnswer> answer;
  asio::steady_timer waiting;
};

asio::awaitable<WhoAnswer> LockClient::who(std::uint64_t fileid, std::chrono::milliseconds most) {
  if (core_.can_ask_who() && !stopping_) {
    Asking asking{.answer = std::nullopt, .waiting = asio::steady_timer(executor_, most)};
    const std::uint64_t question = ++last_question_;
    askings_.emplace(question, &asking);
    struct Registration {  // also when the caller is cancelled
      LockClient& client;
      std::uint64_t question;
      ~Registration() { client.askings_.erase(question); }
    } const registration{*this, question};
    perform(core_.ask_who({.question = question, .fileid = fileid}));
    ErrorCode ended;
    if (!asking.answer)
      co_await asking.waiting.async_wait(asio::redirect_error(asio::use_awaitable, ended));
    if (asking.answer) co_return *std::move(asking.answer);
  }
  co_return what_we_know(core_.told_of(fileid, kToldLocksMax));
}

WhoAnswer LockClient::waits() const {
  return what_we_know(core_.waits(kWaitsToldMax));
}

WhoAnswer LockClient::what_we_know(std::vector<ToldLock> locks) const {
  WhoMount here;
  here.session.session = session_.value_or(SessionId{});
  here.session.node = options_.node;
  here.session.mountpoint = options_.mountpoint;
  here.session.volume_name = options_.volume_name;
  here.session.volume = options_.volume;
  here.session.pid = options_.pid;
  here.session.connected = connection_ != nullptr;
  here.told = true;
  here.locks = std::move(locks);
  add_processes(here.locks);
  WhoAnswer answer;
  answer.mounts.push_back(std::move(here));
  return answer;
}

void LockClient::add_processes(std::vector<ToldLock>& locks) const {
  if (!options_.process_of) return;
  for (ToldLock& lock : locks)
    if (lock.pid != 0) lock.process = options_.process_of(lock.pid);
}

void LockClient::perform(const TellOfOurs& effect) {
  ToldWho told = effect.told;
  add_processes(told.locks);
  std::size_t said = 0;
  do {
    const std::size_t count = std::min(kToldLocksPerMessage, told.locks.size() - said);
    const auto first = told.locks.begin() + static_cast<std::ptrdiff_t>(said);
    said += count;
    ToldWho part{.question = told.question,
                 .locks = {first, first + static_cast<std::ptrdiff_t>(count)},
                 .truncated = told.truncated,
                 .more = said < told.locks.size()};
    perform(SendMessage{ClientMessage(std::move(part))});
  } while (said < told.locks.size());
}

void LockClient::perform(const WhoAnswered& effect) {
  const auto found = askings_.find(effect.answer.question);
  if (found == askings_.end()) return;
  found->second->answer = effect.answer;
  found->second->waiting.cancel();
}

}  // namespace holdfast::fs
