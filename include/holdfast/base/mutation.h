#pragma once
/// Planted mistakes: each takes one rule away that keeps locks safe. The simulator (tests/sim)
/// compiles the cores with HOLDFAST_MUTATIONS, switches one on at a time and must catch it
/// (docs/simulation.md). In every other build mutated() is constant and costs nothing.

#include <cstdint>

namespace holdfast {

enum class Mutation : std::uint8_t {
  kNone,
  /// The mount believes its lease to last longer than lockd does.
  kClientDeadlineLate,
  /// What an expired session loses is given away before that is on stable storage.
  kExpiryNotRecorded,
  /// E1 (RFC 8881 section 8.4.3): what was lost before a restart may be reclaimed after it.
  kReclaimAfterLoss,
  /// E2: a session that missed a grace period may reclaim in the next.
  kReclaimAfterMissedGrace,
  /// A request is granted to a session whose lease is over.
  kSessionNotCheckedAtGrant,
  /// A waiter stays in the queue when its session goes, and is granted to nobody.
  kWaiterOutlivesSession,
  /// Locks of a lost session are given away at once, not after the life of its last write.
  kNoLockDelay,
  /// The mount believes a grant that arrives after it lost the file or the session.
  kLateGrantHonoured,
  /// A lockd that is not the active one any more renews and grants.
  kDeposedLeaderRenews,
  /// The mount reclaims what an unanswered unlock may have freed already.
  kReclaimUnansweredUnlock,
  /// A session is recorded as quiet when its lease is over, before its last write has taken effect.
  kQuietTooEarly,
  /// A quiet session that is back is quiet in the store still.
  kQuietKept,
  /// What was lost is given to others before the loss is on stable storage.
  kGrantPassesLoss,
  /// A session is welcomed before it is on stable storage.
  kWelcomePassesRecord,
  /// The mount goes on with a lockd that is older than one it has seen.
  kOldEpochAccepted,
  /// A token is given up before what was written under it is on stable storage (T5).
  kReleaseBeforeFlush,
  /// The locks that a mount decided reach lockd after the token's release (T4).
  kLocksAfterToken,
  /// What was kept under a token stays in the kernel when the token goes.
  kInvalidateSkipped,
  /// Names that were absent are kept when a directory's token goes.
  kNegativeNamesKept,
  /// A token is granted while others are still to come down (docs/tokens.md, T1).
  kTokenGrantedBeforeRelease,
  /// Tokens that are reclaimed are forgotten (I7).
  kTokensForgottenAtRestart,
  /// A try that lingers waits on though somebody waits for its owner.
  kTriesWaitOn,
  /// A recall is said once, also if the connection is lost with it (T7).
  kRecallSaidOnce,
  /// What an operation does within waits for the next token (T10).
  kWithinWaits,
  /// No round of a descent is the last: each waits for pages that wait for it (T10).
  kNoLastRound,
  /// A page is read though its drop has only begun (T10).
  kReadBeforeDropped,
  /// A file leaves the directory that implies its token, and lockd hears nothing of it (T8).
  kCoverKept,
  /// A change that was on its way when its token was lost is sent again.
  kLostChangeSentAgain,
};

#ifdef HOLDFAST_MUTATIONS
inline Mutation planted_mutation = Mutation::kNone;
[[nodiscard]] inline bool mutated(Mutation mutation) {
  return planted_mutation == mutation;
}
#else
[[nodiscard]] constexpr bool mutated(Mutation) {
  return false;
}
#endif

}  // namespace holdfast
