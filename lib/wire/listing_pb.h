#pragma once
/// Entries of listings, which several messages have.

#include "holdfast/lock/message.h"

#include <optional>

#include <holdfast/lockd.pb.h>

namespace holdfast::wire {

namespace pb = ::holdfast::lockd::v1;

void put_info(const SessionInfo& from, pb::SessionInfo& to);
void put_info(const LockInfo& from, pb::LockInfo& to);
[[nodiscard]] std::optional<SessionInfo> take_info(const pb::SessionInfo& from);
[[nodiscard]] std::optional<LockInfo> take_info(const pb::LockInfo& from);

// who_pb.cc
void put_who(const AskWho& from, pb::ClientMessage& message);
void put_who(const ToldWho& from, pb::ClientMessage& message);
void put_who(const TellWho& from, pb::ServerMessage& message);
void put_who(const WhoAnswer& from, pb::ServerMessage& message);
[[nodiscard]] std::optional<ClientMessage> take_who(const pb::ToldWho& from);
[[nodiscard]] std::optional<ServerMessage> take_who(const pb::WhoAnswer& from);

}  // namespace holdfast::wire
