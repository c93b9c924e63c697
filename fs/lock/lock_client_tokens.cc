// Tokens of the LockClient: pins that wait, and what the listener is told.
#include "fs/lock/lock_client.h"
#include "holdfast/base/log.h"

#include <utility>

namespace asio = boost::asio;

namespace holdfast::fs {

// A caller inside pin(); lives on its coroutine's frame. Also when that is cancelled, nothing stays
// pinned, and nothing waits for it.
class LockClient::Pinning {
 public:
  Pinning(LockClient& client, const FileKey& file, task::Interrupt* interrupt)
      : changed(client.executor_), client_(client), file_(file), interrupt_(interrupt) {}
  Pinning(const Pinning&) = delete;
  Pinning& operator=(const Pinning&) = delete;
  ~Pinning() {
    if (interrupt_ != nullptr) interrupt_->forget_listener();
    client_.pinnings_.erase(id_);
    if (taken_) return;
    if (mode) {
      client_.unpin(file_);
    } else if (!ended) {
      client_.perform(client_.core_.interrupt(id_));
    }
  }

  void known_as(CallId id) {
    id_ = id;
    client_.pinnings_.emplace(id, this);
    if (interrupt_ != nullptr) interrupt_->on_request([this] { changed.set(); });
  }
  void take() { taken_ = true; }

  task::Event changed;
  std::optional<TokenMode> mode;
  std::optional<LockErrc> ended;

 private:
  LockClient& client_;
  FileKey file_;
  task::Interrupt* interrupt_;
  CallId id_;
  bool taken_ = false;
};

std::optional<TokenMode> LockClient::try_pin(const FileKey& file, TokenUse use, Urgency urgency) {
  if (!options_.tokens) return LockService::try_pin(file, use, urgency);
  if (stopping_) return std::nullopt;
  ClientEffects effects;
  const auto mode = core_.try_pin(file, use, urgency, boot_time_now(), effects);
  perform(std::move(effects));
  return mode;
}

LockService::Awaitable<TokenMode> LockClient::pin(FileKey file, TokenUse use, Urgency urgency,
                                                  task::Interrupt* interrupt) {
  if (interrupt != nullptr && interrupt->requested()) {
    co_return make_error_code(LockErrc::kInterrupted);
  }
  if (!options_.tokens) {
    co_await wait_entitled();
    co_return TokenMode::kShared;
  }
  if (stopping_) co_return make_error_code(LockErrc::kSessionLost);
  if (const auto mode = try_pin(file, use, urgency)) co_return *mode;
  Pinning pinning(*this, file, interrupt);
  ClientEffects effects;
  const CallId id = core_.acquire(file, use, urgency, boot_time_now(), effects);
  pinning.known_as(id);
  perform(std::move(effects));
  while (!pinning.mode && !pinning.ended) {
    co_await pinning.changed.wait();
    if (pinning.mode || pinning.ended) break;
    pinning.changed.clear();
    if (interrupt != nullptr && interrupt->requested()) perform(core_.interrupt(id));
  }
  if (!pinning.mode) co_return make_error_code(*pinning.ended);
  pinning.take();
  co_return *pinning.mode;
}

void LockClient::unpin(const FileKey& file) {
  if (options_.tokens) perform(core_.unpin(file, boot_time_now()));
}

void LockClient::drained(const FileKey& file, std::uint64_t round, bool in_use) {
  if (options_.tokens) perform(core_.drained(file, round, in_use, boot_time_now()));
}

void LockClient::created(const FileKey& directory, const FileKey& file) {
  if (options_.tokens) core_.created(directory, file);
}

std::optional<FileKey> LockClient::cover(const FileKey& file) const {
  return options_.tokens ? core_.cover(file) : std::nullopt;
}

void LockClient::give_up(const FileKey& file) {
  if (options_.tokens) perform(core_.give_up(file, boot_time_now()));
}

void LockClient::forgotten(const FileKey& file) {
  if (options_.tokens) perform(core_.forgotten(file, boot_time_now()));
}

std::uint64_t LockClient::token_generation(const FileKey& file) const {
  return options_.tokens ? core_.token_generation(file) : 0;
}

void LockClient::end_pinning(CallId call, const Outcome& outcome) {
  const auto found = pinnings_.find(call);
  if (found == pinnings_.end()) return;  // its coroutine was cancelled
  const auto* refused = std::get_if<Refused>(&outcome);
  found->second->ended = refused != nullptr ? refused->errc : LockErrc::kBadRequest;
  found->second->changed.set();
}

void LockClient::perform(const TokenPinned& effect) {
  // Whoever is cancelled has interrupted the call: it is known as long as it can be pinned.
  const auto found = pinnings_.find(effect.call);
  if (found == pinnings_.end()) return;
  found->second->mode = effect.mode;
  found->second->changed.set();
}

void LockClient::perform(const Drain& effect) {
  if (listener_.drain) return listener_.drain(effect);
  drained(effect.file, effect.round, false);
}

void LockClient::perform(const TokensLost& effect) {
  log::warn("tokens.lost", "lockd={} files={}", wire::to_string(address()), effect.files.size());
  if (listener_.tokens_lost) listener_.tokens_lost(effect.files);
}

}  // namespace holdfast::fs
