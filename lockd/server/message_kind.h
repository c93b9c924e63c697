#pragma once
/// What kinds of messages come to lockd: a request counts as what it asks for.
///
/// Thread: any.

#include "holdfast/lock/message.h"

#include <cstddef>
#include <string_view>
#include <variant>

namespace holdfast::lockd {

inline constexpr std::size_t kMessageKinds =
    std::variant_size_v<ClientMessage> + std::variant_size_v<Command>;

/// Less than kMessageKinds.
[[nodiscard]] std::size_t kind_of(const ClientMessage& message);
/// "lock", "renew"; empty for the one that never comes, a request without a command.
[[nodiscard]] std::string_view name_of_kind(std::size_t kind);

}  // namespace holdfast::lockd
