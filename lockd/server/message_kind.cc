#include "lockd/server/message_kind.h"

#include <array>

namespace holdfast::lockd {
namespace {

// In the order of the variants; the last names are missing when one is added there only.
constexpr std::array<std::string_view, kMessageKinds> kNames{
    "hello",       "",          "renew",         "goodbye",       "list_sessions",
    "list_locks",  "reclaim",   "break",         "ask_who",       "told_who",
    "lock",        "unlock",    "query",         "release_owner", "release_handle",
    "cancel",      "claim_wal", "token_request", "push_locks",    "token_release",
    "token_assert"};
static_assert(!kNames.back().empty());
static_assert(std::is_same_v<std::variant_alternative_t<1, ClientMessage>, Request>);

}  // namespace

std::size_t kind_of(const ClientMessage& message) {
  const auto* request = std::get_if<Request>(&message);
  return request == nullptr ? message.index()
                            : std::variant_size_v<ClientMessage> + request->command.index();
}

std::string_view name_of_kind(std::size_t kind) {
  return kNames.at(kind);
}

}  // namespace holdfast::lockd
