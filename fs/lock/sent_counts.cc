#include "fs/lock/sent_counts.h"

#include <string>
#include <string_view>

namespace holdfast::fs {
namespace {

// In the order of the variants; the sizes do not agree when one is added there only.
constexpr std::array<std::string_view, std::variant_size_v<ClientMessage>> kMessages{
    "hello",      "request", "renew", "goodbye", "list_sessions",
    "list_locks", "reclaim", "break", "ask_who", "told_who"};
constexpr std::array<std::string_view, std::variant_size_v<Command>> kCommands{
    "lock",      "unlock",        "query",      "release_owner", "release_handle", "cancel",
    "claim_wal", "token_request", "push_locks", "token_release", "token_assert"};
static_assert(!kMessages.back().empty() && !kCommands.back().empty());

}  // namespace

SentCounts::SentCounts(counters::Counters* counters) {
  if (counters == nullptr) return;
  const auto name = [&](std::string_view what) {
    return counters->counter("lockd." + std::string(what));
  };
  for (std::size_t i = 0; i < kMessages.size(); ++i)
    if (kMessages[i] != "request") messages_[i] = name(kMessages[i]);
  for (std::size_t i = 0; i < kCommands.size(); ++i) {
    commands_[i] = name(kCommands[i]);
    times_[i] = counters->timing("ld." + std::string(kCommands[i]));
  }
  waiting_ = counters->gauge("lock.waiting");
}

void SentCounts::count(const ClientMessage& message) {
  messages_[message.index()].add();
  if (const auto* request = std::get_if<Request>(&message))
    commands_[request->command.index()].add();
}

}  // namespace holdfast::fs
