// Finding, adding and dropping tokens, so that all indexes agree.

#include "holdfast/base/assert.h"
#include "lockd/core/tokens.h"

#include <algorithm>

namespace holdfast::lockd {

TokenFile* Tokens::find(const FileId& id) {
  const auto at = files_.find(id);
  return at == files_.end() ? nullptr : &at->second;
}

const TokenFile* Tokens::find(const FileId& id) const {
  const auto at = files_.find(id);
  return at == files_.end() ? nullptr : &at->second;
}

TokenFile& Tokens::find_or_make(const FileId& id) {
  const auto [at, fresh] = files_.try_emplace(id);
  if (fresh) at->second.id = &at->first;
  return at->second;
}

Token* Tokens::find(SessionTokens& session, TokenFile* file) {
  const auto at = session.held.find(file);
  return at == session.held.end() ? nullptr : &at->second;
}

const Token* Tokens::find(const SessionTokens& session, const TokenFile* file) {
  // The table is by address only, and the key of a map is not const behind its pointer.
  const auto at = session.held.find(const_cast<TokenFile*>(file));
  return at == session.held.end() ? nullptr : &at->second;
}

Dispute& Tokens::dispute_of(TokenFile& file) {
  if (file.dispute == nullptr) file.dispute = std::make_unique<Dispute>();
  return *file.dispute;
}

/// In an order that does not depend on addresses.
std::vector<FileId> Tokens::files_of(const SessionTokens& session, bool recalled) {
  std::vector<FileId> files;
  for (const auto& [file, token] : session.held)
    if (!recalled || token.recalled()) files.push_back(*file->id);
  std::sort(files.begin(), files.end());
  return files;
}

Tokens::Volume& Tokens::volume_of(const SessionTokens& session) {
  return volumes_.at(session.volume());
}

/// Another session's token of the volume, if it covers `file`; or null.
const Token* Tokens::cover_over(const SessionTokens& session, const FileId& file) const {
  const auto at = volumes_.find(file.volume);
  if (at == volumes_.end()) return nullptr;
  const Token* cover = at->second.cover;
  if (cover == nullptr || cover->session == &session || at->second.bare.contains(file.key))
    return nullptr;
  return cover;
}

std::optional<Limit> Tokens::full(const SessionTokens& session, std::size_t more) const {
  if (session.held.size() + more > limits_.tokens_per_session_max) return Limit::kTokensOfSession;
  if (volumes_.at(session.volume()).tokens + more > limits_.tokens_per_volume_max)
    return Limit::kTokensOfVolume;
  if (count_ + more > limits_.tokens_max) return Limit::kTokens;
  return std::nullopt;
}

Outcome Tokens::refuse(Limit limit, const SessionTokens& session) {
  probe_.limit_hits.add(limit, session.id());
  return refused_by(limit, limits_);
}

Token& Tokens::put(SessionTokens& session, TokenFile& file, TokenMode mode, RequestNumber number,
                   Instant now) {
  const auto [at, fresh] = session.held.try_emplace(&file);
  Token& token = at->second;
  token.mode = mode;
  token.number = number;
  if (!fresh) {
    if (token.recalled() && !session.absent) say(token, now);  // by its new name
    return token;
  }
  token.session = &session;
  token.file = &file;
  token.prev = file.last;
  (file.last == nullptr ? file.first : file.last->next) = &token;
  file.last = &token;
  ++count_;
  Volume& volume = volume_of(session);
  if (file.id->key == kVolumeKey) {
    volume.cover = &token;
  } else {
    ++volume.tokens;
  }
  return token;
}

void Tokens::drop(Token& token) {
  end_recall(token);
  end_release(token, Refused{LockErrc::kLockLost});
  TokenFile& file = *token.file;
  (token.prev == nullptr ? file.first : token.prev->next) = token.next;
  (token.next == nullptr ? file.last : token.next->prev) = token.prev;
  --count_;
  Volume& volume = volume_of(*token.session);
  if (file.id->key == kVolumeKey) {
    volume.cover = nullptr;
    volume.bare.clear();
  } else {
    --volume.tokens;
  }
  token.session->held.erase(token.file);
}

/// Nothing that is idle is kept, and a Dispute only as long as it matters.
void Tokens::tidy(const FileId& id, Instant now) {
  TokenFile* file = find(id);
  if (file == nullptr) return;
  Dispute* dispute = file->dispute.get();
  const bool queue = dispute != nullptr && !dispute->queue.empty();
  if (!queue) {
    if (const auto volume = volumes_.find(id.volume); volume != volumes_.end())
      volume->second.blocked.erase(id);
    if (file->first == nullptr) {
      files_.erase(FileId(id));
      return;
    }
  }
  if (dispute == nullptr || queue || dispute->recalled + dispute->releasing > 0) return;
  const Instant until = dispute->contention.forgotten_at(options_.contention);
  if (until <= now) {
    file->dispute.reset();
  } else if (!std::exchange(dispute->calming, true)) {
    calming_.emplace(until, id);
  }
}

void Tokens::forget_calm(Instant now) {
  while (!calming_.empty() && calming_.begin()->first <= now) {
    const FileId id = calming_.begin()->second;
    calming_.erase(calming_.begin());
    TokenFile* file = find(id);
    if (file == nullptr || file->dispute == nullptr) continue;
    file->dispute->calming = false;
    tidy(id, now);
  }
}

}  // namespace holdfast::lockd
