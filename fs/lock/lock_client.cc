#include "fs/lock/lock_client.h"

#include "holdfast/base/log.h"

#include <bit>
#include <utility>

namespace asio = boost::asio;

namespace holdfast::fs {

// A caller inside call(); lives on its coroutine's frame.
struct LockClient::Waiter {
  task::Event changed;
  std::optional<Outcome> outcome;
};

namespace {

template <class T>
Result<T> as_result(const Outcome& outcome) {
  if (const auto* refused = std::get_if<Refused>(&outcome)) return make_error_code(refused->errc);
  if (const auto* value = std::get_if<T>(&outcome)) return *value;
  return make_error_code(LockErrc::kBadRequest);  // lockd answered something else
}

template <>
Result<void> as_result<void>(const Outcome& outcome) {
  const auto done = as_result<Done>(outcome);
  if (!done) return done.error();
  return boost::system::in_place_value;
}

// Keeps a caller known to the client for as long as it waits, also when it is cancelled.
template <class Waiters, class Waiter>
class Registration {
 public:
  Registration(Waiters& waiters, CallId id, Waiter& waiter, task::Interrupt* interrupt)
      : waiters_(waiters), id_(id), interrupt_(interrupt) {
    waiters_.emplace(id_, &waiter);
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() {
    if (interrupt_ != nullptr) interrupt_->forget_listener();
    waiters_.erase(id_);
  }

 private:
  Waiters& waiters_;
  CallId id_;
  task::Interrupt* interrupt_;
};

}  // namespace

asio::awaitable<Result<Outcome>> LockClient::call(Command command, task::Interrupt* interrupt) {
  if (stopping_) co_return make_error_code(LockErrc::kSessionLost);
  Waiter waiter{.changed = task::Event(executor_), .outcome = std::nullopt};
  const SentCounts::Timed timed(sent_counts_, command);
  ClientEffects effects;
  const CallId id = core_.submit(std::move(command), boot_time_now(), effects);
  const Registration registration(waiters_, id, waiter, interrupt);
  perform(std::move(effects));
  // Also if it came before: what an interrupted request takes away is the core's to say.
  if (interrupt != nullptr) interrupt->on_request([&waiter] { waiter.changed.set(); });
  while (!waiter.outcome) {
    co_await waiter.changed.wait();
    if (waiter.outcome) break;
    waiter.changed.clear();
    if (interrupt != nullptr && interrupt->requested()) perform(core_.interrupt(id));
  }
  co_return *waiter.outcome;
}

template <class T>
LockService::Awaitable<T> LockClient::call_for(Command command) {
  const auto outcome = co_await call(std::move(command), nullptr);
  if (!outcome) co_return outcome.error();
  co_return as_result<T>(*outcome);
}

LockService::Awaitable<Granted> LockClient::lock(LockRequest request, task::Interrupt* interrupt) {
  const auto outcome = co_await call(Command(std::move(request)), interrupt);
  if (!outcome) co_return outcome.error();
  co_return as_result<Granted>(*outcome);
}

LockService::Awaitable<void> LockClient::unlock(UnlockRequest request) {
  return call_for<void>(Command(std::move(request)));
}

template <class T>
std::optional<Result<T>> LockClient::decide_now(const Command& command) {
  if (!options_.tokens || stopping_) return std::nullopt;
  const Instant now = boot_time_now();
  ClientEffects effects;
  const auto outcome = core_.decide_now(command, now, effects);
  perform(std::move(effects));
  if (!outcome) return std::nullopt;
  sent_counts_.decided(command, boot_time_now() - now);
  return as_result<T>(*outcome);
}

std::optional<Result<Granted>> LockClient::lock_now(const LockRequest& request) {
  return decide_now<Granted>(Command(request));
}
std::optional<Result<void>> LockClient::unlock_now(const UnlockRequest& request) {
  return decide_now<void>(Command(request));
}

LockService::Awaitable<QueryResult> LockClient::query(QueryRequest request) {
  return call_for<QueryResult>(Command(std::move(request)));
}
LockService::Awaitable<void> LockClient::release_owner(ReleaseOwnerRequest request) {
  return call_for<void>(Command(std::move(request)));
}
LockService::Awaitable<void> LockClient::release_handle(ReleaseHandleRequest request) {
  return call_for<void>(Command(std::move(request)));
}
LockService::Awaitable<void> LockClient::claim_wal(ClaimWalRequest request) {
  return call_for<void>(Command(std::move(request)));
}

bool LockClient::entitled() const {
  return core_.entitled(boot_time_now());
}

Duration LockClient::entitled_for() const {
  const Instant now = boot_time_now();
  return core_.entitled(now) ? core_.deadline() - now : Duration::zero();
}

asio::awaitable<void> LockClient::wait_entitled() {
  while (!entitled()) {
    // The deadline may have passed before its timer fired: suspend now, then wait for the end.
    perform(core_.tick(boot_time_now()));
    if (!entitled()) entitled_.clear();
    co_await entitled_.wait();
  }
}

// A lost session has no deadline. The last one stays told: the mount has suspended itself, and zero
// would mean that there is no lease to keep.
void LockClient::tell_deadline() {
  const Instant deadline = core_.deadline();
  if (deadline == told_deadline_ || deadline == Instant{}) return;
  told_deadline_ = deadline;
  lease_counts_.deadline(deadline);
  if (options_.on_deadline) options_.on_deadline(deadline);
}

// A listener may call us back, FilesLost's does: what comes of that follows what is still to be
// done. A request sent before older ones that are sent again is one that lockd must refuse, and so
// all after it.
void LockClient::perform(ClientEffects effects) {
  tell_deadline();
  for (ClientEffect& effect : effects)
    to_do_.push_back(std::move(effect));
  if (std::exchange(performing_, true)) return;
  while (!to_do_.empty()) {
    const ClientEffect effect = std::move(to_do_.front());
    to_do_.pop_front();
    std::visit([this](const auto& one) { perform(one); }, effect);
  }
  performing_ = false;
}

void LockClient::perform(const SendMessage& effect) {
  if (!connection_) return;
  sent_counts_.count(effect.message);
  const auto sent = connection_->send(effect.message);
  if (sent || connection_->closed()) return;
  log::warn("lockd.send_failed", "error=\"{}\"", sent.error().message());
  connection_->close();  // requests are kept and sent again on the next connection
}

void LockClient::perform(const CompleteCall& effect) {
  const auto found = waiters_.find(effect.call);
  if (found == waiters_.end()) return end_pinning(effect.call, effect.outcome);
  found->second->outcome = effect.outcome;
  found->second->changed.set();
}

void LockClient::perform(const DropConnection& effect) {
  dropped_ = effect;
  log_refusal(effect.why);
  if (connection_) connection_->close();
}

void LockClient::log_refusal(DropConnection::Why why) {
  using Why = DropConnection::Why;
  const auto& refusal = core_.refusal();
  if (why != Why::kStale && (why != Why::kRefused || !refusal)) return;
  if (!std::has_single_bit(++refusals_)) return;  // as in unreachable()
  const std::string lockd = wire::to_string(address());
  // A former life of lockd, or one with a former store: it knows less than we do.
  if (why == Why::kStale || refusal->errc == LockErrc::kStaleLockd) {
    log::error("lockd.stale", "lockd={} reason=\"{}\" attempts={}", lockd,
               "it is older than what mounts have seen", refusals_);
    return;
  }
  const std::string reason =
      refusal->reason.empty() ? make_error_code(refusal->errc).message() : refusal->reason;
  log::warn("lockd.refused", "lockd={} reason=\"{}\" attempts={}", lockd, reason, refusals_);
}

void LockClient::perform(const SessionOpened& effect) {
  log::info("session.opened", "session={:016x} lockd={} epoch={}", effect.session.value,
            wire::to_string(address()), effect.epoch.value);
  session_ = effect.session;
  lease_counts_.resumed(boot_time_now());  // in place of one that was lost
  if (entitled()) entitled_.set();
  tell_state();
}

void LockClient::perform(const SessionResumed&) {
  log::info("session.resumed", "lockd={}", wire::to_string(address()));
  tell_state();
}

void LockClient::perform(const LeaseSuspended&) {
  log::warn("lease.suspended", "lockd={}", wire::to_string(address()));
  lease_counts_.suspended(boot_time_now());
  entitled_.clear();
  tell_state();
  if (listener_.suspended) listener_.suspended();
}

void LockClient::perform(const LeaseResumed&) {
  log::info("lease.resumed", "lockd={}", wire::to_string(address()));
  lease_counts_.resumed(boot_time_now());
  if (listener_.resumed) listener_.resumed();
  entitled_.set();
  tell_state();
}

void LockClient::perform(const SessionLost&) {
  log::warn("session.lost", "lockd={}", wire::to_string(address()));
  lease_counts_.session_lost();
  entitled_.clear();
  session_.reset();
  tell_state();
  if (listener_.lost) listener_.lost(Loss{.everything = true, .files = {}});
}

void LockClient::perform(const FilesLost& effect) {
  lease_counts_.files_lost(effect.files.size());
  log::warn("locks.lost", "lockd={} files={}", wire::to_string(address()), effect.files.size());
  if (listener_.lost) listener_.lost(Loss{.everything = false, .files = effect.files});
}

void LockClient::perform(const LimitRefusal& effect) {
  const auto times = limit_lines_.due(effect, boot_time_now());
  if (!times) return;
  const bool lockd = effect.by == LimitRefusal::By::kLockd;
  log::warn("limit.met", "limit={} max={} by={} error=\"{}\" meaning=\"{}\" hint=\"{}\" times={}",
            effect.met ? name_of(effect.met->limit) : "unknown",
            effect.met ? std::to_string(effect.met->max) : "unknown",
            lockd ? wire::to_string(address()) : "this-mount",
            make_error_code(effect.errc).message(), meaning_of(effect), hint_for(effect), *times);
}

}  // namespace holdfast::fs
