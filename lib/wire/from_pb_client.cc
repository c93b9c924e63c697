#include "lib/wire/convert.h"
#include "lib/wire/from_pb.h"
#include "lib/wire/listing_pb.h"

namespace holdfast::wire {
namespace {

std::optional<LockRequest> take(const pb::LockRequest& from) {
  const auto space = from_pb(kSpaces, from.space());
  const auto kind = from_pb(kOwnerKinds, from.kind());
  const auto mode = from_pb(kModes, from.mode());
  const auto range = wire::take(from.range());
  if (!from.has_file() || !from.has_range() || !space || !kind || !mode || !range) {
    return std::nullopt;
  }
  LockRequest to;
  to.file = wire::take(from.file());
  to.space = *space;
  to.owner = {from.owner()};
  to.handle = {from.handle()};
  to.kind = *kind;
  to.mode = *mode;
  to.range = *range;
  to.wait = from.wait() ? Wait::kYes : Wait::kNo;
  to.pid = from.pid();
  if (from.has_wal_database()) to.wal_database = wire::take(from.wal_database());
  if (from.has_place()) to.place = wire::take(from.place());
  return to;
}

std::optional<UnlockRequest> take(const pb::UnlockRequest& from) {
  const auto space = from_pb(kSpaces, from.space());
  const auto range = wire::take(from.range());
  if (!from.has_file() || !from.has_range() || !space || !range) return std::nullopt;
  UnlockRequest to;
  to.file = wire::take(from.file());
  to.space = *space;
  to.owner = {from.owner()};
  to.range = *range;
  return to;
}

std::optional<QueryRequest> take(const pb::QueryRequest& from) {
  const auto space = from_pb(kSpaces, from.space());
  const auto mode = from_pb(kModes, from.mode());
  const auto range = wire::take(from.range());
  if (!from.has_file() || !from.has_range() || !space || !mode || !range) return std::nullopt;
  QueryRequest to;
  to.file = wire::take(from.file());
  to.space = *space;
  to.owner = {from.owner()};
  to.mode = *mode;
  to.range = *range;
  return to;
}

std::optional<ReleaseOwnerRequest> take(const pb::ReleaseOwnerRequest& from) {
  if (!from.has_file()) return std::nullopt;
  return ReleaseOwnerRequest{.file = wire::take(from.file()), .owner = {from.owner()}};
}

std::optional<ReleaseHandleRequest> take(const pb::ReleaseHandleRequest& from) {
  if (!from.has_file()) return std::nullopt;
  return ReleaseHandleRequest{.file = wire::take(from.file()), .handle = {from.handle()}};
}

std::optional<CancelRequest> take(const pb::CancelRequest& from) {
  if (from.target() == 0) return std::nullopt;
  return CancelRequest{.target = {from.target()}};
}

std::optional<ClaimWalRequest> take(const pb::ClaimWalRequest& from) {
  if (!from.has_database()) return std::nullopt;
  return ClaimWalRequest{.database = wire::take(from.database())};
}

std::optional<HeldLock> take(const pb::HeldLock& from) {
  const auto space = from_pb(kSpaces, from.space());
  const auto mode = from_pb(kModes, from.mode());
  const auto range = wire::take(from.range());
  if (!from.has_file() || !from.has_range() || !space || !mode || !range) return std::nullopt;
  HeldLock to;
  to.file = wire::take(from.file());
  to.space = *space;
  to.owner = {from.owner()};
  to.handle = {from.handle()};
  to.mode = *mode;
  to.range = *range;
  to.pid = from.pid();
  if (from.has_wal_database()) to.wal_database = wire::take(from.wal_database());
  return to;
}

std::optional<TokenRequest> take(const pb::TokenRequest& from) {
  const auto use = from_pb(kTokenUses, from.use());
  if (!from.has_file() || !use) return std::nullopt;
  return TokenRequest{.file = wire::take(from.file()), .use = *use};
}

std::optional<PushLocks> take(const pb::PushLocks& from) {
  const auto count = static_cast<std::size_t>(from.locks_size());
  if (!from.has_file() || count > kPushLocksMax) return std::nullopt;
  PushLocks to{.file = wire::take(from.file()), .token = {from.token()}, .locks = {}};
  to.locks.reserve(count);
  for (const auto& entry : from.locks()) {
    auto held = take(entry);
    if (!held || held->file != to.file) return std::nullopt;
    to.locks.push_back(*std::move(held));
  }
  return to;
}

std::optional<TokenRelease> take(const pb::TokenRelease& from) {
  const auto keep = from_pb(kTokenModes, from.keep());
  if (!from.has_file() || !keep || *keep == TokenMode::kExclusive) return std::nullopt;
  return TokenRelease{.file = wire::take(from.file()), .token = {from.token()}, .keep = *keep};
}

template <class List>
std::optional<std::vector<HeldToken>> take_tokens(const List& from) {
  std::vector<HeldToken> to;
  to.reserve(static_cast<std::size_t>(from.size()));
  for (const auto& entry : from) {
    const auto mode = from_pb(kTokenModes, entry.mode());
    if (!entry.has_file() || !mode || *mode == TokenMode::kNone) return std::nullopt;
    to.push_back({.file = wire::take(entry.file()), .mode = *mode});
  }
  return to;
}

std::optional<TokenAssert> take(const pb::TokenAssert& from) {
  if (static_cast<std::size_t>(from.tokens_size()) > kTokenAssertMax) return std::nullopt;
  auto tokens = take_tokens(from.tokens());
  if (!from.has_cover() || !tokens) return std::nullopt;
  return TokenAssert{
      .cover = wire::take(from.cover()), .token = {from.token()}, .tokens = *std::move(tokens)};
}

template <class From>
std::optional<Command> command(const From& from) {
  auto taken = take(from);
  if (!taken) return std::nullopt;
  return Command(*std::move(taken));
}

std::optional<Command> take_command(const pb::Request& from) {
  switch (from.command_case()) {
    case pb::Request::kLock:
      return command(from.lock());
    case pb::Request::kUnlock:
      return command(from.unlock());
    case pb::Request::kQuery:
      return command(from.query());
    case pb::Request::kReleaseOwner:
      return command(from.release_owner());
    case pb::Request::kReleaseHandle:
      return command(from.release_handle());
    case pb::Request::kCancel:
      return command(from.cancel());
    case pb::Request::kClaimWal:
      return command(from.claim_wal());
    case pb::Request::kTokenRequest:
      return command(from.token_request());
    case pb::Request::kPushLocks:
      return command(from.push_locks());
    case pb::Request::kTokenRelease:
      return command(from.token_release());
    case pb::Request::kTokenAssert:
      return command(from.token_assert());
    case pb::Request::COMMAND_NOT_SET:
      break;
  }
  return std::nullopt;
}

std::optional<ClientMessage> take(const pb::Request& from) {
  auto taken = take_command(from);
  if (!taken || from.number() == 0 || from.acknowledged() >= from.number()) return std::nullopt;
  return Request{.number = {from.number()},
                 .acknowledged = {from.acknowledged()},
                 .command = *std::move(taken)};
}

std::optional<ClientMessage> take(const pb::Hello& from) {
  const auto volume = take_16(from.volume());
  if (!volume || from.version_min() == 0 || from.version_max() < from.version_min() ||
      !is_text(from.volume_name()) || !is_text(from.node()) || !is_text(from.mountpoint()) ||
      from.write_life_ms() > kLeaseTtlMsMax || from.token().size() > kTokenTextMax) {
    return std::nullopt;
  }
  Hello to;
  to.version_min = from.version_min();
  to.version_max = from.version_max();
  to.volume = *volume;
  to.volume_name = from.volume_name();
  to.node = from.node();
  to.mountpoint = from.mountpoint();
  to.pid = from.pid();
  if (from.has_resume()) {
    const auto secret = take_16(from.resume().secret());
    if (!secret || from.resume().session() == 0) return std::nullopt;
    to.resume = ResumeSession{.session = {from.resume().session()},
                              .secret = *secret,
                              .losses_seen = {from.resume().losses_seen()}};
  }
  to.write_life = std::chrono::milliseconds(from.write_life_ms());
  to.epoch_seen = {from.epoch_seen()};
  to.token = from.token();
  to.tells_who = from.tells_who();
  return to;
}

std::optional<ClientMessage> take(const pb::Reclaim& from) {
  auto tokens = take_tokens(from.tokens());
  if (!tokens) return std::nullopt;
  Reclaim to;
  to.tokens = *std::move(tokens);
  to.locks.reserve(static_cast<std::size_t>(from.locks_size()));
  for (const auto& entry : from.locks()) {
    auto held = take(entry);
    if (!held) return std::nullopt;
    to.locks.push_back(*std::move(held));
  }
  for (const auto& database : from.wal_databases())
    to.wal_databases.push_back(wire::take(database));
  to.last = from.last();
  to.asks_again = from.asks_again();
  return to;
}

std::optional<ClientMessage> take(const pb::Break& from) {
  if (from.session() == 0) return std::nullopt;
  Break to{.session = {from.session()}, .file = {}};
  if (from.has_file()) to.file = wire::take(from.file());
  return to;
}

}  // namespace

std::optional<ClientMessage> from_pb(const pb::ClientMessage& from) {
  switch (from.message_case()) {
    case pb::ClientMessage::kHello:
      return take(from.hello());
    case pb::ClientMessage::kRequest:
      return take(from.request());
    case pb::ClientMessage::kRenew:
      return Renew{.tick = from.renew().tick(), .losses_seen = {from.renew().losses_seen()}};
    case pb::ClientMessage::kGoodbye:
      return Goodbye{};
    case pb::ClientMessage::kListSessions:
      return ListSessions{};
    case pb::ClientMessage::kListLocks:
      return ListLocks{};
    case pb::ClientMessage::kReclaim:
      return take(from.reclaim());
    case pb::ClientMessage::kBreak:
      return take(from.break_());
    case pb::ClientMessage::kAskWho:
      return AskWho{from.ask_who().question(), from.ask_who().fileid()};
    case pb::ClientMessage::kToldWho:
      return take_who(from.told_who());
    case pb::ClientMessage::MESSAGE_NOT_SET:
      break;
  }
  return std::nullopt;
}

}  // namespace holdfast::wire
