#pragma once
/// What this mount may do with each file, and how it gives that up: the mount's half of
/// docs/tokens.md (T1-T11). Pure: no I/O, clock, thread. ClientCore owns one, tells it what lockd
/// says and sends what it wants sent; the rules on locks are there.
///
/// Pins: an operation that relies on a token pins it, with try_pin() or acquire(), and unpins it at
/// its end. A token goes down only when nothing pins it. Pins outlive a loss: the operation still
/// ends with unpin().
///
/// A file's token is
///   steady       used freely
///   asked for    a TokenRequest is wanted or unanswered; what is held is used meanwhile
///   coming down  Drain was said; only urgent operations are admitted (T10), each of which makes
///                another round necessary. While a round is drained they must be: it waits for the
///                pages they hold. In the last one it does not, and they wait as well
/// Asked for and coming down are independent of each other: somebody else's request may be before
/// ours at lockd.
///
/// Implied tokens (T8) have no name at lockd; `cover` says what implies them.
///
/// Thread: the loop's. Memory: an entry per file with a token, pins or waiting calls; above
/// Limits::tokens_max the least recently used idle ones are given up. More than that are here only
/// while more are in use, or were in the last kInUsePause.
/// Order of results: by key or by arrival, never by address: the simulator replays.

#include "fs/token/types.h"
#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"

#include <chrono>
#include <cstddef>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast::fs {

/// Rounds of one descent, and urgent operations after which the next round but one is the last.
inline constexpr unsigned kDrainRoundsMax = 8;
inline constexpr unsigned kUrgentPinsMax = 1'024;
/// When to ask again for more than CW if lockd did not say.
inline constexpr Duration kAskAgainUsual = std::chrono::milliseconds(250);
/// The same for the volume's token, after it was recalled.
inline constexpr Duration kVolumeAskAgain = std::chrono::seconds(10);
/// Tokens that are given up at a time because there are too many.
inline constexpr std::size_t kEvictionsMax = 64;
/// One that was to be given up for that, and turned out to be in use, stays for so long: what was
/// kept under it is dropped each time, for nothing.
inline constexpr Duration kInUsePause = std::chrono::seconds(60);

struct TokenLimits {
  std::size_t tokens_max = 200'000;
  /// -o cache=none: everything is asked for as kThrough, the volume not at all.
  bool through = false;
};

using TokenEffects = std::vector<std::variant<Drain, TokenPinned, TokenRefused>>;

class TokenAgent {
 public:
  explicit TokenAgent(TokenLimits limits) : limits_(limits) {}

  // ---- Operations
  /// The mode, if what is held suffices for `use` and is not coming down (or the kernel waits):
  /// then it is pinned. Under CW everything is admitted, to be read and written through.
  [[nodiscard]] std::optional<TokenMode> try_pin(const FileKey& file, TokenUse use, Urgency urgency,
                                                 Instant now);
  /// As try_pin(), but waits: TokenPinned{call} or TokenRefused{call} follows, from admit().
  void acquire(CallId call, const FileKey& file, TokenUse use, Urgency urgency);
  /// The call does not wait any more. False: it is not waiting.
  bool cancel(CallId call);
  [[nodiscard]] std::vector<CallId> cancel_all();
  [[nodiscard]] std::size_t waiting() const { return acquires_.size(); }
  void unpin(const FileKey& file, TokenEffects& effects);
  /// `file` was created in `directory` under its EX.
  void created(const FileKey& directory, const FileKey& file);

  // ---- Coming down
  /// The shell has done what Drain{file, keep, round} said. `in_use`: it is open here, so CW is
  /// better than nothing.
  void drained(const FileKey& file, std::uint64_t round, bool in_use, TokenEffects& effects);
  /// For a reason of our own: `wanted` as in Recall. A lock that must wait, or is exclusive under
  /// PR: kShared.
  void come_down(const FileKey& file, TokenMode wanted, TokenEffects& effects);
  /// What the core knows of a file's locks when its token is to go down.
  struct Locks {
    bool any = false;        ///< held, waited for, or asked for
    bool exclusive = false;  ///< held, or a wal-index
  };
  /// The kernel has forgotten the inode, nothing is kept of it: an implied token goes, another one
  /// is the first to make room.
  void forgotten(const FileKey& file, Locks locks);
  /// Nothing pins these and they are drained: what they are released to depends on the locks.
  [[nodiscard]] const std::set<FileKey>& ready() const { return ready_; }
  /// What remains of a ready one. Nothing: a further round is necessary (said in `effects`), or it
  /// stays as it is after all.
  [[nodiscard]] std::optional<TokenMode> keep(const FileKey& file, Locks locks,
                                              TokenEffects& effects);
  /// The release was sent: `keep` is what remains.
  void released(const FileKey& file, TokenMode keep, Instant now);

  // ---- Asking
  /// Tokens to be asked for. The core may let one wait until its locks are settled.
  [[nodiscard]] const std::set<FileKey>& wanted() const { return wanted_; }
  [[nodiscard]] TokenUse wanted_use(const FileKey& file) const;
  /// A lock needs a token, at least for `use`; nobody is told when it is there.
  void want(const FileKey& file, TokenUse use);
  /// Under CW: it is time to ask for more.
  void consider(const FileKey& file, TokenUse use, Instant now);
  /// Not now after all; the next pin asks again.
  void do_not_ask(const FileKey& file);
  /// The TokenRequest is queued; numbered() when it leaves.
  void asked(const FileKey& file);
  void numbered(const FileKey& file, RequestNumber number);

  // ---- What lockd says
  /// The answer of the request that is unanswered for `file`. False: it is not to be believed, the
  /// file was lost meanwhile: to be released.
  [[nodiscard]] bool granted(const FileKey& file, RequestNumber number, const TokenGranted& grant,
                             Instant now);
  /// Who waited for the grant has been served: a recall that overtook it counts from now on.
  void settled(const FileKey& file, TokenEffects& effects);
  /// The request was refused: it is asked again later, by tick().
  void refused(const FileKey& file, Instant now);
  /// It was cancelled to make room, and is wanted as before.
  void cancelled(const FileKey& file);
  /// lockd has answered the release that gave PR up for CW: nobody else has PR any more.
  void unpark(const FileKey& file, RequestNumber token);
  void tick(Instant now);
  [[nodiscard]] Instant next_deadline() const;
  void recalled(const Recall& recall, TokenEffects& effects);
  /// Given away, with what it implied: returned are all that are lost with it.
  [[nodiscard]] std::set<FileKey> lost(const FileKey& file);
  /// The session is over. Who waits goes on waiting, in the next one. True if anything was held.
  bool lost_all();
  /// lockd lost its memory: names are void, unanswered requests will be asked again.
  void forget_numbers();
  /// For Reclaim: all tokens that lockd knows of.
  [[nodiscard]] std::vector<HeldToken> tokens() const;

  // ---- Covers
  /// Tokens implied by `cover`, in the order of their keys.
  [[nodiscard]] std::vector<HeldToken> implied_by(const FileKey& cover) const;
  /// They have a name of their own now: that of the TokenAssert.
  void asserted(const std::vector<HeldToken>& tokens, RequestNumber number);
  /// The volume's token is worth asking for.
  void want_volume(Instant now);

  // ---- Looking
  /// What locks are decided by now; EX and PR hold until released(). Implied tokens are found.
  [[nodiscard]] TokenMode mode(const FileKey& file);
  /// The same for a file that is known already.
  [[nodiscard]] TokenMode known_mode(const FileKey& file) const;
  [[nodiscard]] RequestNumber name(const FileKey& file) const;
  /// It is held, and not only implied.
  [[nodiscard]] bool known_to_lockd(const FileKey& file) const;
  [[nodiscard]] std::optional<FileKey> cover(const FileKey& file) const;
  [[nodiscard]] bool asking(const FileKey& file) const;
  [[nodiscard]] bool coming_down(const FileKey& file) const;
  /// Another number whenever the mode was below PR in between; 0 = it is now, or is about to be.
  [[nodiscard]] std::uint64_t generation(const FileKey& file) const;
  /// Calls that may go on: TokenPinned for each. Only while the mount is entitled (T11).
  void admit(Instant now, TokenEffects& effects);
  [[nodiscard]] bool may_admit() const { return !admissible_.empty(); }
  [[nodiscard]] std::size_t size() const { return files_.size(); }
  void check_invariants() const;

 private:
  struct Waiting {
    CallId call;
    TokenUse use;
    Urgency urgency;
  };
  struct Descent {
    TokenMode wanted = TokenMode::kNone;
    TokenMode level = TokenMode::kNone;  // what the last Drain said may be kept
    std::uint64_t round = 0;             // the last one said; 0 = none yet
    unsigned rounds = 0;
    bool drained = false;  // the last round is done
    bool used = false;     // since the last round began
    bool in_use = false;   // says the shell
    bool strict = false;   // PR cannot be kept, whatever is wanted
    bool last = false;     // of the rounds: nothing urgent is admitted any more
    bool evicted = false;  // only because there are too many
    unsigned urgent = 0;   // operations admitted
  };
  struct Ask {
    TokenUse use = TokenUse::kRead;
    std::optional<RequestNumber> number{};  // nothing: has not left yet
    bool queued = false;                    // by the core
    bool lost = false;                      // the grant is not to be believed
  };
  struct File {
    TokenMode mode = TokenMode::kNone;
    /// CW that PR was given up for, unanswered: others may have PR still. Nothing may be done under
    /// it, but lockd knows of it, and of the locks.
    bool parked = false;
    RequestNumber token;
    std::optional<FileKey> cover;
    std::uint64_t generation = 0;
    unsigned pins = 0;
    std::optional<Ask> ask;
    std::optional<Recall> early;  // of the token that is asked for
    std::optional<Descent> down;
    std::vector<Waiting> waiting;  // mostly empty, and a deque never is: it takes 576 bytes
    Instant ask_again{};
    Instant in_use_until{};  // as far as making room goes
    std::list<FileKey>::iterator age;
  };

  [[nodiscard]] static TokenMode usable(const File& file);
  [[nodiscard]] static bool stays_read(const File& file);
  [[nodiscard]] static bool admits(const File& file, TokenUse use, Urgency urgency);
  [[nodiscard]] const File* find(const FileKey& key) const;
  File* find(const FileKey& key);
  File& touch(const FileKey& key);
  void imply(const FileKey& key, File& file, const FileKey& cover);
  void uncover(const FileKey& key, File& file);
  void tidy(const FileKey& key);
  void pin(const FileKey& key, File& file, Urgency urgency);
  void ask(const FileKey& key, File& file, TokenUse use);
  void set_mode(File& file, TokenMode mode);
  void strip(const FileKey& key, File& file);
  void descend(const FileKey& key, File& file, TokenMode wanted, TokenEffects& effects);
  [[nodiscard]] static bool kernel_waits(const File& file);
  void unblock(const FileKey& key, File& file, TokenEffects& effects);
  void say_round(const FileKey& key, File& file, TokenEffects& effects);
  void look(const FileKey& key, File& file, TokenEffects& effects);
  void end_descent(const FileKey& key, File& file);
  void stay(const FileKey& key, File& file);
  void evict(TokenEffects& effects);

  TokenLimits limits_;
  std::map<FileKey, File> files_;
  std::map<FileKey, std::set<FileKey>> implied_;  // by cover
  std::set<FileKey> uncovered_;                   // lost while the volume's token was held
  std::set<FileKey> ready_;
  std::set<FileKey> wanted_;
  std::set<FileKey> admissible_;                   // may have calls to admit
  std::list<FileKey> ages_;                        // the least recently used first
  std::map<CallId, FileKey> acquires_;             // that wait
  std::set<std::pair<Instant, FileKey>> retries_;  // refused
  std::uint64_t last_round_ = 0;
  std::uint64_t last_generation_ = 0;
  std::size_t evictions_ = 0;
  Instant now_{};  // as far as we were told
};

}  // namespace holdfast::fs
