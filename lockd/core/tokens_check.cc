// The invariants of the token table, looked at from outside: O(everything), for tests and debug
// builds.

#include "holdfast/base/assert.h"
#include "lockd/core/tokens.h"

namespace holdfast::lockd {

class Tokens::Check {
 public:
  explicit Check(const Tokens& tokens) : tokens_(tokens) {}

  void run(const std::vector<const SessionTokens*>& sessions) {
    std::map<VolumeId, std::size_t> volumes;
    for (const SessionTokens* session : sessions) {
      ++volumes[session->volume()];
      held_ += session->held.size();
      waiting_ += session->waiting.size();
      for (const auto& [file, token] : session->held)
        HOLDFAST_ASSERT(token.session == session && token.file == file, "K4: tokens are filed");
      for (const auto& [number, waiting] : session->waiting)
        HOLDFAST_ASSERT(waiting.place->session == session && waiting.place->number == number,
                        "K4: waiters are filed");
    }
    for (const auto& [id, file] : tokens_.files_)
      check_file(id, file);
    HOLDFAST_ASSERT(held_ == 0 && waiting_ == 0,
                    "K4: what sessions have, files have, and nobody else");
    HOLDFAST_ASSERT(count_ == tokens_.count_, "K4: all tokens are counted");
    HOLDFAST_ASSERT(recalls_ == tokens_.recalls_.size(), "K4: what is recalled is said again");
    HOLDFAST_ASSERT(volumes.size() == tokens_.volumes_.size(), "K4: volumes have sessions");
    for (const auto& [id, volume] : tokens_.volumes_)
      check_volume(id, volume, volumes[id]);
  }

 private:
  void check_file(const FileId& id, const TokenFile& file) {
    HOLDFAST_ASSERT(file.id == &id, "K4: files are filed");
    const Dispute* dispute = file.dispute.get();
    HOLDFAST_ASSERT(file.first != nullptr || (dispute != nullptr && !dispute->queue.empty()),
                    "K4: no file is idle");
    std::size_t recalled = 0;
    std::size_t releasing = 0;
    const Token* before = nullptr;
    for (const Token* token = file.first; token != nullptr; before = token, token = token->next) {
      HOLDFAST_ASSERT(token->file == &file && token->prev == before, "K4: holders are a list");
      HOLDFAST_ASSERT(token->mode != TokenMode::kNone, "K4: who has nothing holds nothing");
      HOLDFAST_ASSERT(before == nullptr || compatible(before->mode, token->mode),
                      "K1: tokens of one file are compatible");
      check_locks(id, *token);
      check_attention(*token);
      recalled += token->recalled() ? 1 : 0;
      releasing += token->releasing() ? 1 : 0;
      --held_;
      ++count_;
      ++tokens_of_[id.volume];
    }
    HOLDFAST_ASSERT(file.last == before, "K4: holders are a list");
    if (dispute == nullptr) {
      HOLDFAST_ASSERT(recalled + releasing == 0, "K4: what is disputed has a dispute");
      return;
    }
    HOLDFAST_ASSERT(recalled == dispute->recalled && releasing == dispute->releasing,
                    "K4: a dispute's counters");
    waiting_ -= dispute->queue.size();
    const auto& volume = tokens_.volumes_.at(id.volume);
    HOLDFAST_ASSERT(dispute->queue.empty() || recalled > 0 || volume.blocked.contains(id),
                    "K3: nobody's turn has come who could be answered");
    HOLDFAST_ASSERT(releasing == 0 || recalled > 0, "K3: a release waits for somebody");
    for (const TokenWaiter& waiter : dispute->queue)
      HOLDFAST_ASSERT(!waiter.session->absent, "K4: only those present wait");
  }

  void check_locks(const FileId& id, const Token& token) {
    if (token.mode == TokenMode::kShared || id.key == kVolumeKey) return;
    const Locks::FileUse use = tokens_.locks_.use_of(*token.session->locks, id);
    HOLDFAST_ASSERT(!use.waits, "K2: nobody waits for locks that a mount decides");
    // Of the database itself. Its `-shm` may be under an old token of somebody who does not use it:
    // a mount decides there only while the database is its own.
    HOLDFAST_ASSERT(!tokens_.locks_.wal_owners().elsewhere(id, *token.session->locks),
                    "K2: nobody else has the wal-index of a database under a token");
    if (token.mode == TokenMode::kExclusive)
      HOLDFAST_ASSERT(!use.others, "K2: under EX nobody else has locks here");
    else
      HOLDFAST_ASSERT(!use.exclusive, "K2: under PR there are no exclusive locks");
  }

  void check_attention(const Token& token) {
    if (token.attention == nullptr) return;
    const Attention& attention = *token.attention;
    HOLDFAST_ASSERT(attention.recalled || attention.release, "K4: nothing is kept of the past");
    HOLDFAST_ASSERT(!attention.release || token.mode == TokenMode::kRead,
                    "K4: only who comes down from PR waits with it");
    if (!attention.recalled) return;
    const auto at = tokens_.recalls_.find({attention.again, attention.seq});
    if (token.session->absent) {
      HOLDFAST_ASSERT(attention.again == Instant::max(), "K4: who is absent is told nothing");
      return;
    }
    HOLDFAST_ASSERT(at != tokens_.recalls_.end() && at->second == &token,
                    "K4: what is recalled is said again");
    ++recalls_;
  }

  void check_volume(const VolumeId& id, const Volume& volume, std::size_t sessions) {
    HOLDFAST_ASSERT(volume.sessions == sessions, "K4: a volume knows its sessions");
    const std::size_t cover = volume.cover == nullptr ? 0 : 1;
    HOLDFAST_ASSERT(volume.tokens + cover == tokens_of_[id], "K4: a volume's counter");
    for (const FileId& file : volume.blocked) {
      const TokenFile* blocked = tokens_.find(file);
      HOLDFAST_ASSERT(volume.cover != nullptr && blocked != nullptr &&
                          blocked->dispute != nullptr && !blocked->dispute->queue.empty(),
                      "K3: who is blocked waits for the volume's token");
    }
    if (volume.cover == nullptr) {
      HOLDFAST_ASSERT(volume.bare.empty(), "K4: nothing is kept of a former cover");
      return;
    }
    const SessionTokens& holder = *volume.cover->session;
    HOLDFAST_ASSERT(volume.cover->mode == TokenMode::kExclusive, "K1: the volume's is exclusive");
    const bool others = volume.tokens > holder.held.size() - 1 || !volume.blocked.empty();
    HOLDFAST_ASSERT(!others || holder.absent || volume.cover->recalled(),
                    "K5: others have something: the volume's token is recalled");
  }

  const Tokens& tokens_;
  std::size_t held_ = 0;
  std::size_t waiting_ = 0;
  std::size_t count_ = 0;
  std::size_t recalls_ = 0;
  std::map<VolumeId, std::size_t> tokens_of_;
};

void Tokens::check_invariants(const std::vector<const SessionTokens*>& sessions) const {
  Check(*this).run(sessions);
}

}  // namespace holdfast::lockd
