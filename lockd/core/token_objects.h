#pragma once
/// The objects of the token table and how they hang together. Plain data; the rules are in Tokens.
///
///   SessionTokens ──owns──> Token ──in──> TokenFile ──owns──> Dispute ──owns──> TokenWaiter
///        └── by number ─────────────────────────────────────────────────────────────┘
///
/// SessionTokens is the clean-up index, as SessionLocks is for locks. A million tokens are normal,
/// so Token and TokenFile are kept small; whatever only files have that several mounts want hangs
/// on Dispute, and on Attention for each of their tokens.

#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"
#include "lockd/core/contention.h"
#include "lockd/core/lock_objects.h"

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

namespace holdfast::lockd {

struct SessionTokens;
struct TokenFile;

/// Whoever has it decides locks itself.
[[nodiscard]] constexpr bool decides_locks(TokenMode mode) {
  return mode == TokenMode::kRead || mode == TokenMode::kExclusive;
}

/// What is wanted of a token, or has been answered and not taken effect yet.
struct Attention {
  bool recalled = false;  ///< and not answered
  bool overdue = false;   ///< recall_max is over; said once
  TokenMode wanted = TokenMode::kNone;
  Instant since;
  Instant again;          ///< when the recall is repeated; max: of an absent session
  std::uint64_t seq = 0;  ///< with `again`: its place among all recalls
  /// From PR to CW: carried out, and answered, once nobody else keeps anything.
  std::optional<RequestNumber> release;
};

/// What a session has of a file. Lives while it has anything.
struct Token {
  SessionTokens* session = nullptr;
  TokenFile* file = nullptr;
  RequestNumber number;   ///< names it; 0 after a reclaim
  Token* next = nullptr;  ///< in the file, in the order they came
  Token* prev = nullptr;
  std::unique_ptr<Attention> attention;  ///< null most of the time
  TokenMode mode = TokenMode::kNone;

  [[nodiscard]] bool recalled() const { return attention != nullptr && attention->recalled; }
  [[nodiscard]] bool releasing() const { return attention != nullptr && attention->release; }
  /// What it is, or will be without anybody's doing.
  [[nodiscard]] TokenMode going_to_be() const { return releasing() ? TokenMode::kShared : mode; }
};

struct TokenWaiter {
  SessionTokens* session = nullptr;
  RequestNumber number;
  TokenUse use = TokenUse::kRead;
  bool begun = false;   ///< its turn has come
  bool taking = false;  ///< counted: something is taken from somebody for it
};

struct Dispute {
  std::list<TokenWaiter> queue;  ///< in order of arrival; the first one's turn is now
  std::uint32_t recalled = 0;    ///< tokens with Attention::recalled
  std::uint32_t releasing = 0;   ///< tokens with Attention::release
  Contention contention;
  bool calming = false;  ///< in Tokens' list of those that may be forgotten
};

struct TokenFile {
  const FileId* id = nullptr;  ///< its key in the table
  Token* first = nullptr;
  Token* last = nullptr;
  std::unique_ptr<Dispute> dispute;  ///< null most of the time
};

/// Everything that one session has of tokens, or waits for.
struct SessionTokens {
  struct Waiting {
    TokenFile* file = nullptr;
    std::list<TokenWaiter>::iterator place;
  };

  SessionLocks* locks = nullptr;  ///< of the same session
  std::unordered_map<TokenFile*, Token> held;
  std::map<RequestNumber, Waiting> waiting;
  bool absent = false;  ///< its lease is over: it keeps what it has and is granted nothing

  [[nodiscard]] SessionId id() const { return locks->id; }
  [[nodiscard]] const VolumeId& volume() const { return locks->volume; }
};

}  // namespace holdfast::lockd
