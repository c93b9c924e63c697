// Sessions that come and go, what is lost with them, and how a restarted lockd learns of tokens.

#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"
#include "lockd/core/tokens.h"

#include <algorithm>

namespace holdfast::lockd {

void Tokens::open_session(SessionTokens& session) {
  ++volumes_[session.volume()].sessions;
}

void Tokens::end_session(SessionTokens& session, Instant now) {
  clear_session(session, now);
  const auto volume = volumes_.find(session.volume());
  if (--volume->second.sessions == 0) volumes_.erase(volume);
}

void Tokens::clear_session(SessionTokens& session, Instant now) {
  session.absent = false;
  std::set<FileId> served;
  while (!session.waiting.empty())
    served.insert(withdraw(session, session.waiting.begin()->first));
  Volume& volume = volume_of(session);
  const bool cover = volume.cover != nullptr && volume.cover->session == &session;
  for (const FileId& id : files_of(session, false)) {
    drop(*find(session, find(id)));
    served.insert(id);
  }
  std::erase_if(news_, [&](const News& news) { return news.session == session.id(); });
  for (const FileId& id : served)
    serve(id, now);
  if (cover) serve_blocked(volume, now);
}

std::vector<std::pair<RequestNumber, TokenRequest>> Tokens::make_absent(SessionTokens& session,
                                                                        Instant now) {
  session.absent = true;
  std::vector<std::pair<RequestNumber, TokenRequest>> requests;
  std::set<FileId> served;
  while (!session.waiting.empty()) {
    const auto& [number, waiting] = *session.waiting.begin();
    requests.emplace_back(number,
                          TokenRequest{.file = waiting.file->id->key, .use = waiting.place->use});
    served.insert(withdraw(session, requests.back().first));
  }
  for (const FileId& id : files_of(session, true)) {
    Token& token = *find(session, find(id));
    if (id.key == kVolumeKey) {
      end_recall(token);  // it is not lost with the files that others want
      continue;
    }
    recalls_.erase({token.attention->again, token.attention->seq});
    token.attention->again = Instant::max();
    wanted_.insert({session.id(), id});
  }
  for (const FileId& id : served)
    serve(id, now);
  Volume& volume = volume_of(session);
  if (volume.cover != nullptr && volume.cover->session == &session) serve_blocked(volume, now);
  return requests;
}

void Tokens::make_present(SessionTokens& session, Instant now) {
  session.absent = false;
  say_again(session, now);
  Volume& volume = volume_of(session);
  if (volume.cover == nullptr || volume.cover->session != &session) return;
  if (volume.tokens > session.held.size() - 1) recall_cover(volume, now);
}

void Tokens::say_again(SessionTokens& session, Instant now) {
  if (mutated(Mutation::kRecallSaidOnce)) return;
  for (const FileId& id : files_of(session, true))
    say(*find(session, find(id)), now);
}

bool Tokens::has_file(const SessionTokens& session, const FileId& file) const {
  return find(session, find(file)) != nullptr ||
         (file.key != kVolumeKey && exclusive(session, file));
}

void Tokens::lose_file(SessionTokens& session, const FileId& id, Instant now) {
  const bool cover = id.key == kVolumeKey;
  Volume& volume = volume_of(session);
  if (!cover && volume.cover != nullptr && volume.cover->session == &session)
    volume.bare.insert(id.key);
  if (Token* token = find(session, find(id))) drop(*token);
  review_wal(session);
  serve(id, now);
  if (cover) serve_blocked(volume, now);
}

// ---- Restart

/// Whether `session` may have `mode`, considering what others have.
bool Tokens::fits(const SessionTokens& session, const FileId& id, TokenMode mode) const {
  if (const TokenFile* file = find(id))
    for (const Token* token = file->first; token != nullptr; token = token->next)
      if (token->session != &session && !compatible(token->mode, mode)) return false;
  if (mode == TokenMode::kShared) return true;
  const Locks::FileUse use = locks_.use_of(*session.locks, id);
  if (use.waits || use.wal) return false;
  // Under PR, shared locks of others may be here: who comes down from it pushes them before.
  return mode == TokenMode::kExclusive ? !use.others : !use.exclusive;
}

// A token of the volume and others' tokens below it are no contradiction: its holder knows that it
// has lost those files, only this life of lockd does not.
bool Tokens::reclaim(SessionTokens& session, const HeldToken& held, Instant now) {
  if (held.mode == TokenMode::kNone) return true;
  const FileId id{session.volume(), held.file};
  if (const auto limit = full(session, 1)) {
    probe_.limit_hits.add(*limit, session.id());
    return false;
  }
  Volume& volume = volume_of(session);
  if (held.file == kVolumeKey) {
    const bool free = volume.cover == nullptr || volume.cover->session == &session;
    if (!free || held.mode != TokenMode::kExclusive) return false;
    if (volume.tokens > 0)
      for (const auto& [other, file] : files_)
        if (other.volume == id.volume && file.first != nullptr && file.first->session != &session)
          volume.bare.insert(other.key);
  } else {
    if (!fits(session, id, held.mode)) return false;
    if (cover_over(session, id) != nullptr) volume.bare.insert(id.key);
  }
  put(session, find_or_make(id), held.mode, RequestNumber{}, now);
  if (volume.cover != nullptr && volume.tokens > volume.cover->session->held.size() - 1)
    recall_cover(volume, now);
  return true;
}

bool Tokens::lock_fits(SessionTokens& session, const FileId& id, LockMode mode) {
  const TokenFile* file = find(id);
  if (const Token* own = find(session, file)) {
    if (decides_locks(own->mode)) return false;
  } else if (file != nullptr && file->first != nullptr && decides_locks(file->first->mode)) {
    // From PR to CW, and nobody knows whether it got there: a shared lock is in nobody's way.
    if (file->first->mode == TokenMode::kExclusive || mode == LockMode::kExclusive) return false;
  }
  if (cover_over(session, id) != nullptr) volume_of(session).bare.insert(id.key);
  return true;
}

}  // namespace holdfast::lockd
