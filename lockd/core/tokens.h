#pragma once
/// All tokens of all files: who has what, who asks, who is recalled. docs/tokens.md tells the rules
/// (T1 to T9 are kept here), and asks the lock table what T2 needs to know.
///
/// Knows nothing of leases, connections or repeated requests: Coordinator hands it each request
/// once and ends sessions. Whatever a call decides beyond its own result (answers, recalls) is
/// appended to the news, in the order of the decisions.
///
/// Invariants (check_invariants()):
///  K1  Tokens of one file are compatible (T1).
///  K2  The lock table has nothing of others in a file with EX, and nothing exclusive and nobody
///      waiting in one with PR (T2).
///  K3  Nobody's turn has come who could be answered: something is recalled, or the volume's token
///      is in the way (no wake-up is lost).
///  K4  Holders, queues, counters, recalls and the sessions' indexes agree; no file is idle.
///  K5  While others of its volume have tokens, a live holder of the volume's token is recalled.

#include "lockd/core/locks.h"
#include "lockd/core/token_objects.h"
#include "lockd/core/token_options.h"

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast::lockd {

class Tokens {
 public:
  /// `locks` and `probe` outlive this.
  Tokens(const Limits& limits, const TokenOptions& options, HashSalt salt, Locks& locks,
         Probe& probe)
      : limits_(limits),
        options_(options),
        locks_(locks),
        probe_(probe),
        files_(0, FileIdHash{SaltedHash(salt)}) {}
  Tokens(const Tokens&) = delete;
  Tokens& operator=(const Tokens&) = delete;
  /// Every session has been ended with end_session() before.
  ~Tokens() = default;

  /// To be told to a session: the answer of a request that waited, or a recall.
  struct News {
    SessionId session;
    std::variant<Reply, Recall> what;
  };
  /// Since the last call.
  [[nodiscard]] std::vector<News> take_news() { return std::exchange(news_, {}); }

  /// A session exists from now on; until end_session() it counts for its volume's token.
  void open_session(SessionTokens& session);
  /// Gives away everything of the session; its requests are not answered.
  void end_session(SessionTokens& session, Instant now);
  /// As end_session(), but the session goes on, empty.
  void clear_session(SessionTokens& session, Instant now);

  // Requests. Nothing: its answer is among the news, now or later.
  [[nodiscard]] std::optional<Outcome> request(SessionTokens& session, RequestNumber number,
                                               const TokenRequest& request, Instant now);
  /// `answers`: of lock requests that this ends.
  [[nodiscard]] Outcome push(SessionTokens& session, const PushLocks& push, Instant now,
                             Answers& answers);
  [[nodiscard]] std::optional<Outcome> release(SessionTokens& session, RequestNumber number,
                                               const TokenRelease& release, Instant now);
  /// `lost`: what the session has lost and may not know yet.
  [[nodiscard]] Outcome assert_implied(SessionTokens& session, RequestNumber number,
                                       const TokenAssert& assertion, const std::set<FileKey>& lost,
                                       Instant now);
  /// The request `target` waits for a token: it does so no more, and is answered.
  void cancel(SessionTokens& session, RequestNumber target, Instant now);

  // Who decides locks (T2).
  enum class LockUse : std::uint8_t { kLock, kWalIndex };
  /// Lockd may decide about locks, or the wal-index, of this session in `file`.
  [[nodiscard]] bool decided_here(const SessionTokens& session, const FileId& file,
                                  LockUse use) const;
  /// EX of `file`, or of the volume with nothing said about the file.
  [[nodiscard]] bool exclusive(const SessionTokens& session, const FileId& file) const;

  // Absent sessions and losses; as in Locks.
  [[nodiscard]] std::vector<std::pair<RequestNumber, TokenRequest>> make_absent(
      SessionTokens& session, Instant now);
  void make_present(SessionTokens& session, Instant now);
  /// What others want of absent sessions, since the last call.
  [[nodiscard]] std::set<Locks::Wanted> take_wanted() { return std::exchange(wanted_, {}); }
  [[nodiscard]] bool has_file(const SessionTokens& session, const FileId& file) const;
  /// The volume's token is not lost with a file, but does not cover it any more.
  void lose_file(SessionTokens& session, const FileId& file, Instant now);
  /// After a restart, before anything is granted. False: it cannot have it.
  [[nodiscard]] bool reclaim(SessionTokens& session, const HeldToken& held, Instant now);
  /// A lock that is reclaimed does not contradict what others reclaimed of tokens.
  [[nodiscard]] bool lock_fits(SessionTokens& session, const FileId& file, LockMode mode);

  // Recalls are state (T7).
  /// Says all recalls of the session again: it is back on a new connection.
  void say_again(SessionTokens& session, Instant now);
  /// Says again what is due; returns who has not answered for recall_max, each once.
  [[nodiscard]] std::set<Locks::Wanted> tick(Instant now);
  /// Until now releases were put off: nobody is overdue yet.
  void end_grace(Instant now);
  [[nodiscard]] Instant next_due() const;

  [[nodiscard]] bool empty() const { return files_.empty(); }
  [[nodiscard]] std::size_t count() const { return count_; }  ///< held, by all sessions
  [[nodiscard]] std::size_t file_count() const { return files_.size(); }
  void check_invariants(const std::vector<const SessionTokens*>& sessions) const;

 private:
  class Check;
  /// Of a volume with sessions.
  struct Volume {
    std::size_t sessions = 0;
    std::size_t tokens = 0;    ///< of files, without the volume's own
    Token* cover = nullptr;    ///< the volume's own
    std::set<FileId> blocked;  ///< with a request whose turn has come, but for the cover
    std::set<FileKey> bare;    ///< what the cover does not cover: its holder lost it
  };

  // tokens.cc
  [[nodiscard]] Outcome request_volume(SessionTokens& session, RequestNumber number,
                                       const TokenRequest& request, Instant now);
  void review_wal(SessionTokens& session);

  // tokens_serve.cc
  void serve(const FileId& id, Instant now);
  [[nodiscard]] bool answer_first(TokenFile& file, Instant now);
  void serve_blocked(Volume& volume, Instant now);
  [[nodiscard]] bool finish_releases(TokenFile& file, Instant now);
  [[nodiscard]] bool covered(TokenFile& file, const TokenWaiter& waiter, Instant now);
  [[nodiscard]] TokenMode aim(TokenFile& file, const TokenWaiter& waiter, Instant now);
  [[nodiscard]] bool make_way(TokenFile& file, TokenWaiter& waiter, TokenMode& wanted, Instant now);
  void grant(TokenFile& file, TokenMode mode, Instant now);
  void recall(Token& token, TokenMode wanted, Instant now);
  void recall_cover(Volume& volume, Instant now);
  void say(Token& token, Instant now);
  void end_recall(Token& token);
  void end_recalls(TokenFile& file);
  void end_release(Token& token, const Outcome& outcome);
  [[nodiscard]] FileId withdraw(SessionTokens& session, RequestNumber number);
  void reply(const SessionTokens& session, RequestNumber number, const Outcome& outcome);

  // tokens_table.cc
  [[nodiscard]] TokenFile* find(const FileId& id);
  [[nodiscard]] const TokenFile* find(const FileId& id) const;
  [[nodiscard]] TokenFile& find_or_make(const FileId& id);
  [[nodiscard]] static Token* find(SessionTokens& session, TokenFile* file);
  [[nodiscard]] static const Token* find(const SessionTokens& session, const TokenFile* file);
  [[nodiscard]] static Dispute& dispute_of(TokenFile& file);
  [[nodiscard]] static std::vector<FileId> files_of(const SessionTokens& session, bool recalled);
  [[nodiscard]] Volume& volume_of(const SessionTokens& session);
  [[nodiscard]] const Token* cover_over(const SessionTokens& session, const FileId& file) const;
  /// The limit that `more` tokens would pass.
  [[nodiscard]] std::optional<Limit> full(const SessionTokens& session, std::size_t more) const;
  Outcome refuse(Limit limit, const SessionTokens& session);
  Token& put(SessionTokens& session, TokenFile& file, TokenMode mode, RequestNumber number,
             Instant now);
  void drop(Token& token);
  void tidy(const FileId& id, Instant now);
  void forget_calm(Instant now);

  [[nodiscard]] bool fits(const SessionTokens& session, const FileId& file, TokenMode mode) const;

  Limits limits_;
  TokenOptions options_;
  Locks& locks_;
  Probe& probe_;
  std::unordered_map<FileId, TokenFile, FileIdHash> files_;
  std::map<VolumeId, Volume> volumes_;
  std::size_t count_ = 0;  ///< tokens of all sessions
  std::uint64_t last_seq_ = 0;
  std::map<std::pair<Instant, std::uint64_t>, Token*> recalls_;  ///< by Attention::again, seq
  std::multimap<Instant, FileId> calming_;  ///< files whose Dispute may be forgotten then
  std::set<Locks::Wanted> wanted_;
  std::vector<News> news_;
};

}  // namespace holdfast::lockd
