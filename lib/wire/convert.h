#pragma once
/// Plain values to generated messages and back; used by codec.cc only.

#include "holdfast/lock/message.h"

#include <optional>

#include <holdfast/lockd.pb.h>

namespace holdfast::wire {

namespace pb = ::holdfast::lockd::v1;

void to_pb(const ClientMessage& from, pb::ClientMessage& to);
void to_pb(const ServerMessage& from, pb::ServerMessage& to);

/// Nothing for whatever the protocol does not allow.
[[nodiscard]] std::optional<ClientMessage> from_pb(const pb::ClientMessage& from);
[[nodiscard]] std::optional<ServerMessage> from_pb(const pb::ServerMessage& from);

}  // namespace holdfast::wire
