// How a request for a token is answered: whose turn it is, what it gets, who is recalled for it.

#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"
#include "lockd/core/tokens.h"

namespace holdfast::lockd {

/// Something has changed about the file: answers whatever can be answered, in order of arrival.
void Tokens::serve(const FileId& id, Instant now) {
  TokenFile* file = find(id);
  if (file == nullptr) return;
  while (answer_first(*file, now)) {
  }
  tidy(id, now);
}

void Tokens::serve_blocked(Volume& volume, Instant now) {
  const std::set<FileId> blocked = volume.blocked;
  for (const FileId& id : blocked)
    serve(id, now);
}

bool Tokens::answer_first(TokenFile& file, Instant now) {
  Dispute* dispute = file.dispute.get();
  if (dispute == nullptr) return false;
  if (dispute->recalled > 0 && !mutated(Mutation::kTokenGrantedBeforeRelease)) return false;
  if (!finish_releases(file, now) || dispute->queue.empty()) return false;
  TokenWaiter& waiter = dispute->queue.front();
  if (!std::exchange(waiter.begun, true) && waiter.use != TokenUse::kThrough)
    dispute->contention.look_at(waiter.session->id(), now, options_.contention);
  if (covered(file, waiter, now)) return false;
  TokenMode mode = aim(file, waiter, now);
  if (!make_way(file, waiter, mode, now)) return false;
  grant(file, mode, now);
  return true;
}

/// Who comes down from PR to CW writes from then on: that must not be before everybody else has
/// dropped what he kept. All that come down do so at the same instant.
bool Tokens::finish_releases(TokenFile& file, Instant now) {
  Dispute& dispute = *file.dispute;
  if (dispute.releasing == 0) return true;
  for (Token* token = file.first; token != nullptr; token = token->next)
    if (token->going_to_be() != TokenMode::kShared) recall(*token, TokenMode::kShared, now);
  if (dispute.recalled > 0) return false;
  for (Token* token = file.first; token != nullptr; token = token->next) {
    if (!token->releasing()) continue;
    token->mode = TokenMode::kShared;
    end_release(*token, Done{});
  }
  return true;
}

/// T8: a live holder of the volume's token is recalled first; an absent one loses this file.
bool Tokens::covered(TokenFile& file, const TokenWaiter& waiter, Instant now) {
  Volume& volume = volume_of(*waiter.session);
  const Token* cover = cover_over(*waiter.session, *file.id);
  if (cover == nullptr) {
    volume.blocked.erase(*file.id);
    // One that its holder had lost before can be had at once; the volume is its alone no more.
    const bool of_another = volume.cover != nullptr && volume.cover->session != waiter.session;
    if (of_another) recall_cover(volume, now);
    return false;
  }
  volume.blocked.insert(*file.id);
  if (cover->session->absent) {
    wanted_.insert({cover->session->id(), *file.id});
  } else {
    recall_cover(volume, now);
  }
  return true;
}

/// What the first request gets if all that are in the way come down as asked. docs/tokens.md, "What
/// is granted".
TokenMode Tokens::aim(TokenFile& file, const TokenWaiter& waiter, Instant now) {
  const Token* own = find(*waiter.session, &file);
  if (own != nullptr && own->mode == TokenMode::kExclusive) return TokenMode::kExclusive;
  if (waiter.use == TokenUse::kThrough) return TokenMode::kShared;
  Contention& contention = file.dispute->contention;
  // T2: what is in the lock table cannot be recalled, and says that the file is in use.
  const Locks::FileUse use = locks_.use_of(*waiter.session->locks, *file.id);
  if (use.others || use.waits || use.wal) {
    contention.in_use({}, now, options_.contention);
    return TokenMode::kShared;
  }
  bool others = false;
  bool others_read = true;
  for (const Token* token = file.first; token != nullptr; token = token->next) {
    if (token == own) continue;
    others = true;
    others_read = others_read && token->going_to_be() == TokenMode::kRead;
  }
  if (!others) return TokenMode::kExclusive;
  const bool read = waiter.use == TokenUse::kRead;
  if (read && others_read && !use.exclusive) return TokenMode::kRead;
  if (contention.contended()) return TokenMode::kShared;
  return read && !use.exclusive ? TokenMode::kRead : TokenMode::kExclusive;
}

/// Recalls what is in the way of `wanted`; true: nothing is. A grant only raises, so who holds PR
/// and is to get CW has to come down himself before: what he kept must be gone when others write.
bool Tokens::make_way(TokenFile& file, TokenWaiter& waiter, TokenMode& wanted, Instant now) {
  const auto in_the_way = [&](const Token& token) {
    return !compatible(token.going_to_be(), wanted) &&
           (token.session != waiter.session || wanted == TokenMode::kShared);
  };
  bool takes = false;
  for (const Token* token = file.first; token != nullptr; token = token->next)
    takes = takes || (in_the_way(*token) && token->mode != TokenMode::kShared);
  Dispute& dispute = *file.dispute;
  if (takes && !std::exchange(waiter.taking, true)) {
    dispute.contention.taken(now, options_.contention);
    if (dispute.contention.contended()) wanted = TokenMode::kShared;
  }
  for (Token* token = file.first; token != nullptr; token = token->next)
    if (in_the_way(*token)) recall(*token, wanted, now);
  return dispute.recalled == 0 || mutated(Mutation::kTokenGrantedBeforeRelease);
}

void Tokens::grant(TokenFile& file, TokenMode mode, Instant now) {
  Dispute& dispute = *file.dispute;
  const TokenWaiter waiter = dispute.queue.front();
  dispute.queue.pop_front();
  SessionTokens& session = *waiter.session;
  session.waiting.erase(waiter.number);
  HOLDFAST_ASSERT(!session.absent, "a grant finds its session alive");
  put(session, file, mode, waiter.number, now);
  TokenGranted granted{.mode = mode, .ask_again = {}};
  if (mode == TokenMode::kShared) {
    if (waiter.use != TokenUse::kThrough)
      granted.ask_again = dispute.contention.ask_again(options_.contention);
  } else {
    dispute.contention.calm();
    locks_.forget(*session.locks, *file.id, mode == TokenMode::kExclusive, now);
  }
  ++probe_.token_grants;
  reply(session, waiter.number, granted);
}

void Tokens::reply(const SessionTokens& session, RequestNumber number, const Outcome& outcome) {
  news_.push_back({session.id(), Reply{number, outcome}});
}

// ---- Recalls

void Tokens::recall(Token& token, TokenMode wanted, Instant now) {
  if (token.recalled()) return;
  if (token.attention == nullptr) token.attention = std::make_unique<Attention>();
  Attention& attention = *token.attention;
  attention.recalled = true;
  attention.overdue = false;
  attention.wanted = wanted;
  attention.since = now;
  attention.again = Instant::max();
  ++dispute_of(*token.file).recalled;
  ++probe_.recalls;
  if (token.session->absent) {
    wanted_.insert({token.session->id(), *token.file->id});
  } else {
    say(token, now);
  }
}

/// Everything under it is to be given up, or asserted.
void Tokens::recall_cover(Volume& volume, Instant now) {
  if (volume.cover->session->absent) return;  // when it is back
  recall(*volume.cover, TokenMode::kExclusive, now);
}

void Tokens::say(Token& token, Instant now) {
  Attention& attention = *token.attention;
  recalls_.erase({attention.again, attention.seq});
  attention.again = now + options_.recall_repeat;
  attention.seq = ++last_seq_;
  recalls_.emplace(std::pair{attention.again, attention.seq}, &token);
  news_.push_back(
      {token.session->id(),
       Recall{.file = token.file->id->key, .token = token.number, .wanted = attention.wanted}});
}

void Tokens::end_recall(Token& token) {
  if (!token.recalled()) return;
  recalls_.erase({token.attention->again, token.attention->seq});
  token.attention->recalled = false;
  --token.file->dispute->recalled;
  if (!token.attention->release) token.attention.reset();
}

void Tokens::end_recalls(TokenFile& file) {
  for (Token* token = file.first; token != nullptr; token = token->next)
    end_recall(*token);
}

void Tokens::end_release(Token& token, const Outcome& outcome) {
  if (!token.releasing()) return;
  reply(*token.session, *token.attention->release, outcome);
  token.attention->release.reset();
  --token.file->dispute->releasing;
  if (!token.attention->recalled) token.attention.reset();
}

/// The file is to be served after it.
FileId Tokens::withdraw(SessionTokens& session, RequestNumber number) {
  const auto at = session.waiting.find(number);
  TokenFile& file = *at->second.file;
  const bool first = at->second.place == file.dispute->queue.begin();
  file.dispute->queue.erase(at->second.place);
  session.waiting.erase(at);
  // What was recalled for it is not needed any more, or for somebody else and otherwise.
  if (first) end_recalls(file);
  return *file.id;
}

// ---- Time

std::set<Locks::Wanted> Tokens::tick(Instant now) {
  forget_calm(now);
  std::set<Locks::Wanted> overdue;
  while (!recalls_.empty() && recalls_.begin()->first.first <= now) {
    Token& token = *recalls_.begin()->second;
    if (now >= token.attention->since + options_.recall_max &&
        !std::exchange(token.attention->overdue, true))
      overdue.insert({token.session->id(), *token.file->id});
    say(token, now);
    if (mutated(Mutation::kRecallSaidOnce)) news_.pop_back();
  }
  return overdue;
}

void Tokens::end_grace(Instant now) {
  for (const auto& [when, token] : recalls_) {
    token->attention->since = now;
    token->attention->overdue = false;
  }
}

Instant Tokens::next_due() const {
  return recalls_.empty() ? Instant::max() : recalls_.begin()->first.first;
}

}  // namespace holdfast::lockd
