// Tokens among the sessions: recalls that are said and said again, and who decides which locks.

#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"
#include "lockd/core/coordinator_state.h"

#include <set>
#include <utility>

namespace holdfast::lockd {

void Coordinator::State::tell(Effects& effects) {
  for (Tokens::News& news : tokens.take_news()) {
    Session* session = sessions.find(news.session);
    HOLDFAST_ASSERT(session != nullptr, "who has ended is told nothing");
    if (const auto* answer = std::get_if<Reply>(&news.what)) {
      reply(*session, answer->number, answer->outcome, effects);
    } else {
      effects.push_back(Send{news.session, std::get<Recall>(news.what)});
    }
  }
}

bool Coordinator::State::decided_here(const Session& session, const FileKey& file,
                                      Tokens::LockUse use) const {
  return tokens.decided_here(session.tokens, {session.locks.volume, file}, use);
}

Outcome Coordinator::State::assert_implied(Session& session, RequestNumber number,
                                           const TokenAssert& assertion, Instant now) {
  std::set<FileKey> lost;
  for (const FileLoss& loss : session.record.losses)
    lost.insert(loss.file);
  return tokens.assert_implied(session.tokens, number, assertion, lost, now);
}

void Coordinator::State::repeat_recalls(Instant now, Effects& effects) {
  for (const Locks::Wanted& overdue : tokens.tick(now))
    if (Session* session = sessions.find(overdue.session); session != nullptr && !grace)
      break_overdue(*session, overdue.file.key, effects);
  tell(effects);
}

/// T9: it lives and does not do what it is there for. As if an administrator had broken the file.
void Coordinator::State::break_overdue(Session& session, const FileKey& file, Effects& effects) {
  ++probe.recalls_unmet;
  if (session.record.breaks.everything || !session.record.breaks.files.insert(file).second) return;
  effects.push_back(Record{{PutSession{session.record}}});
}

bool Coordinator::State::has_file(const Session& session, const FileId& file) const {
  return locks.has_file(session.locks, file) || tokens.has_file(session.tokens, file);
}

// ---- After a restart

bool Coordinator::State::take_back_token(Session& session, const HeldToken& held, Instant now) {
  if (mutated(Mutation::kTokensForgottenAtRestart)) return true;
  if (session.lost(held.file) && !mutated(Mutation::kReclaimAfterLoss)) return true;
  return tokens.reclaim(session.tokens, held, now);
}

bool Coordinator::State::take_back_lock(Session& session, const HeldLock& held, Instant now,
                                        Answers& answers) {
  if (session.lost(held.file) && !mutated(Mutation::kReclaimAfterLoss)) return true;
  return tokens.lock_fits(session.tokens, {session.locks.volume, held.file}, held.mode) &&
         locks.reclaim(session.locks, held, now, answers);
}

// ---- Invariants

void Coordinator::State::check_tokens() {
  std::vector<const SessionTokens*> known;
  sessions.for_each([&](const Session& session) {
    known.push_back(&session.tokens);
    HOLDFAST_ASSERT(session.tokens.locks == &session.locks, "tokens and locks of one session");
    HOLDFAST_ASSERT(session.tokens.absent == session.locks.absent, "absent in both");
    HOLDFAST_ASSERT(session.phase == Phase::kLive || session.tokens.waiting.empty(),
                    "only live sessions wait for tokens");
  });
  tokens.check_invariants(known);
}

}  // namespace holdfast::lockd
