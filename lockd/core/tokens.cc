#include "lockd/core/tokens.h"

#include "holdfast/base/assert.h"

#include <algorithm>

namespace holdfast::lockd {
namespace {

/// A release comes down, or says that the file is in use (CW to CW).
bool may_release(TokenMode held, TokenMode keep) {
  switch (held) {
    case TokenMode::kExclusive:
      return keep != TokenMode::kExclusive;
    case TokenMode::kRead:
    case TokenMode::kShared:
      return keep == TokenMode::kNone || keep == TokenMode::kShared;
    case TokenMode::kNone:
      break;
  }
  return false;
}

/// An assertion does not come down: that is what a release is for.
bool may_assert(TokenMode held, TokenMode asserted) {
  return held == TokenMode::kNone || held == asserted || asserted == TokenMode::kExclusive;
}

}  // namespace

std::optional<Outcome> Tokens::request(SessionTokens& session, RequestNumber number,
                                       const TokenRequest& request, Instant now) {
  forget_calm(now);
  if (request.file == kVolumeKey) return request_volume(session, number, request, now);
  const FileId id{session.volume(), request.file};
  TokenFile& file = find_or_make(id);
  const auto refused = [&](Limit limit) {
    tidy(id, now);
    return refuse(limit, session);
  };
  if (find(session, &file) == nullptr)
    if (const auto limit = full(session, session.waiting.size() + 1)) return refused(*limit);
  Dispute& dispute = dispute_of(file);
  if (dispute.queue.size() >= limits_.token_waiters_per_file_max)
    return refused(Limit::kTokenWaitersOfFile);
  if (session.waiting.size() >= value_of(Limit::kTokenWaitersOfSession, limits_))
    return refused(Limit::kTokenWaitersOfSession);
  dispute.contention.used_by(session.id(), now, options_.contention);
  dispute.queue.push_back({.session = &session, .number = number, .use = request.use});
  session.waiting.emplace(number, SessionTokens::Waiting{&file, std::prev(dispute.queue.end())});
  serve(id, now);
  return std::nullopt;
}

Outcome Tokens::request_volume(SessionTokens& session, RequestNumber number,
                               const TokenRequest& request, Instant now) {
  const FileId id{session.volume(), kVolumeKey};
  const bool has = find(session, find(id)) != nullptr;
  const bool alone = volume_of(session).sessions == 1;
  if (!has && (!alone || request.use == TokenUse::kThrough || full(session, 1)))
    return TokenGranted{.mode = TokenMode::kNone, .ask_again = options_.contention.ask_again_max};
  put(session, find_or_make(id), TokenMode::kExclusive, number, now);
  ++probe_.token_grants;
  return TokenGranted{.mode = TokenMode::kExclusive, .ask_again = {}};
}

Outcome Tokens::push(SessionTokens& session, const PushLocks& push, Instant now, Answers& answers) {
  const FileId id{session.volume(), push.file};
  const Token* token = find(session, find(id));
  if (token == nullptr || token->number != push.token) return Done{};
  if (!decides_locks(token->mode)) return Refused{LockErrc::kBadRequest};
  for (const HeldLock& held : push.locks) {
    // Under PR nobody has an exclusive lock.
    const bool fits = held.file == push.file &&
                      (token->mode == TokenMode::kExclusive || held.mode == LockMode::kShared);
    if (!fits) return Refused{LockErrc::kBadRequest};
  }
  for (const HeldLock& held : push.locks)
    if (const auto refused = locks_.push(*session.locks, held, now, answers)) return *refused;
  return Done{};
}

std::optional<Outcome> Tokens::release(SessionTokens& session, RequestNumber number,
                                       const TokenRelease& release, Instant now) {
  const FileId id{session.volume(), release.file};
  TokenFile* file = find(id);
  Token* token = find(session, file);
  if (token == nullptr || token->number != release.token) return Done{};
  TokenMode keep = release.keep;
  if (id.key == kVolumeKey && keep != TokenMode::kExclusive) keep = TokenMode::kNone;
  if (!may_release(token->mode, keep)) return Refused{LockErrc::kBadRequest};
  if (keep == TokenMode::kShared && token->recalled() &&
      token->attention->wanted != TokenMode::kShared)
    file->dispute->contention.in_use(session.id(), now, options_.contention);
  if (token->recalled()) probe_.recall_times.add(now - token->attention->since);
  end_recall(*token);
  end_release(*token, Done{});  // one that came before, and is overtaken
  if (keep == TokenMode::kShared && token->mode == TokenMode::kRead && file->first != file->last) {
    if (token->attention == nullptr) token->attention = std::make_unique<Attention>();
    token->attention->release = number;
    ++dispute_of(*file).releasing;
    serve(id, now);
    return std::nullopt;
  }
  if (keep == TokenMode::kNone) {
    drop(*token);
  } else {
    token->mode = keep;
    if (keep == TokenMode::kRead) locks_.forget(*session.locks, id, false, now);
  }
  review_wal(session);
  if (id.key == kVolumeKey) serve_blocked(volume_of(session), now);
  serve(id, now);
  return Done{};
}

Outcome Tokens::assert_implied(SessionTokens& session, RequestNumber number,
                               const TokenAssert& assertion, const std::set<FileKey>& lost,
                               Instant now) {
  const Token* cover = find(session, find({session.volume(), assertion.cover}));
  if (cover == nullptr || cover->number != assertion.token) return Done{};
  if (cover->mode != TokenMode::kExclusive) return Refused{LockErrc::kBadRequest};
  const bool of_volume = assertion.cover == kVolumeKey;
  std::size_t fresh = 0;
  for (const HeldToken& held : assertion.tokens) {
    if (lost.contains(held.file)) continue;
    const FileId id{session.volume(), held.file};
    const Token* own = find(session, find(id));
    const bool bare = of_volume && volume_of(session).bare.contains(held.file);
    if (held.file == kVolumeKey || held.file == assertion.cover || bare ||
        held.mode == TokenMode::kNone ||
        !may_assert(own == nullptr ? TokenMode::kNone : own->mode, held.mode) ||
        !fits(session, id, held.mode))
      return Refused{LockErrc::kBadRequest};
    fresh += own == nullptr ? 1 : 0;
  }
  if (const auto limit = full(session, session.waiting.size() + fresh))
    return refuse(*limit, session);
  for (const HeldToken& held : assertion.tokens) {
    if (lost.contains(held.file)) continue;
    const FileId id{session.volume(), held.file};
    TokenFile& file = find_or_make(id);
    const Token* own = find(session, &file);
    if (own != nullptr && !may_assert(own->mode, held.mode)) continue;  // said twice
    put(session, file, held.mode, number, now);
    if (decides_locks(held.mode))
      locks_.forget(*session.locks, id, held.mode == TokenMode::kExclusive, now);
  }
  return Done{};
}

void Tokens::cancel(SessionTokens& session, RequestNumber target, Instant now) {
  if (!session.waiting.contains(target)) return;
  ++probe_.cancels;
  const FileId id = withdraw(session, target);
  reply(session, target, Refused{LockErrc::kInterrupted});
  serve(id, now);
}

// ---- Who decides locks

bool Tokens::decided_here(const SessionTokens& session, const FileId& id, LockUse use) const {
  if (files_.empty()) return true;
  if (cover_over(session, id) != nullptr) return false;
  const TokenFile* file = find(id);
  if (file == nullptr || file->first == nullptr) return true;
  // Tokens of one file are all of one mode (K1).
  const Token* own = find(session, file);
  if (own == nullptr) return !decides_locks(file->first->mode);
  return own->mode == TokenMode::kShared ||
         (own->mode == TokenMode::kExclusive && use == LockUse::kWalIndex);
}

bool Tokens::exclusive(const SessionTokens& session, const FileId& id) const {
  const TokenFile* file = find(id);
  if (const Token* own = find(session, file)) return own->mode == TokenMode::kExclusive;
  const auto volume = volumes_.find(id.volume);
  return volume != volumes_.end() && volume->second.cover != nullptr &&
         volume->second.cover->session == &session && !volume->second.bare.contains(id.key);
}

/// Where the wal-index is owned only because EX of the database is held, and that is over.
void Tokens::review_wal(SessionTokens& session) {
  const std::set<FileId> databases = session.locks->wal_databases;
  for (const FileId& database : databases)
    if (!exclusive(session, database)) locks_.end_wal_under_token(*session.locks, database);
}

}  // namespace holdfast::lockd
