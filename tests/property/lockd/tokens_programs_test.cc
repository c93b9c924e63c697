// Random programs of several mounts with tokens, whose messages arrive late, whose leases end, and
// whose lockd is restarted; judged after each step:
//
//  T1        no two mounts that are entitled believe to have incompatible tokens of one file
//  T2, T4    no two of them have conflicting locks, whoever decided these
//  order     requests for one file are answered in the order of their arrival
//  progress  once all answer their recalls, every request is answered
//  none left when all are gone, a newcomer gets everything

#include "tests/property/lockd/tokens_mount.h"

#include <memory>
#include <random>

namespace holdfast::lockd::test {
namespace {

constexpr std::uint64_t kFiles = 3;

class Program {
 public:
  Program(std::uint64_t seed, Tally& tally) : random_(seed), tally_(tally) {
    start(nothing_before());
    open();
    open();
  }
  ~Program() { tally_.recalls += core_->probe().recalls; }

  void step() {
    if (mounts_.size() < 2 || (mounts_.size() < 4 && pick(30) == 0)) open();
    Mount& mount =
        std::next(mounts_.begin(), static_cast<std::ptrdiff_t>(pick(mounts_.size())))->second;
    const FileKey file{1 + pick(kFiles), 0};
    const std::uint64_t what = pick(100);
    if (what < 40) {
      deliver(mount);
    } else if (what == 40) {
      goodbye(mount);
    } else if (what < 45) {
      pass_time();
    } else if (what == 45 && pick(4) == 0) {
      restart();
    } else if (!mount.talks(now_)) {
      if (pick(8) == 0) resume(mount);
    } else if (what < 60) {
      ask(mount, pick(8) == 0 ? kVolumeKey : file);
    } else if (what < 72) {
      lock(mount, file);
    } else if (what < 78) {
      unlock(mount, file);
    } else if (what < 80) {
      cancel(mount);
    } else if (what < 83) {
      come_down(mount, file, TokenMode::kExclusive);
    } else {
      answer_recall(mount);
    }
    judge();
  }

  /// All do what they should, until nothing is left to do.
  void drain() {
    for (int round = 0; round < 200 && !testing::Test::HasFatalFailure(); ++round) {
      now_ += 500ms;
      absorb(core_->tick(now_));
      for (const SessionId id : ids()) {
        const auto at = mounts_.find(id);
        if (at == mounts_.end()) continue;
        Mount& mount = at->second;
        if (!mount.talks(now_)) resume(mount);
        if (!mounts_.contains(id) || !mount.talks(now_)) continue;
        renew(mount);
        while (!mount.inbox.empty())
          deliver(mount);
        const auto locks = mount.locks;
        for (const HeldLock& held : locks)
          if (!decides_locks(mount.mode(held.file))) unlock(mount, held.file);
        while (answer_recall(mount)) {
        }
        judge();
      }
    }
    for (const auto& [id, mount] : mounts_)
      ASSERT_TRUE(mount.unanswered.empty())
          << "session " << id.value << " waits for request " << mount.unanswered.begin()->first;
  }
  void end() {
    for (const SessionId id : ids())
      if (mounts_.contains(id)) goodbye(mounts_.at(id));
    now_ += 48h;
    absorb(core_->tick(now_));
    ASSERT_TRUE(core_->list_locks(now_, 10).locks.empty());
    open();
    Mount& mount = mounts_.begin()->second;
    ASSERT_EQ(mounts_.size(), 1U);
    send(mount, TokenRequest{.file = kVolumeKey, .use = TokenUse::kWrite});
    deliver(mount);
    ASSERT_EQ(mount.mode(kVolumeKey), TokenMode::kExclusive) << "somebody is left";
    core_->check_invariants();
  }

 private:
  // ---- What mounts do

  void ask(Mount& mount, FileKey file) {
    if (mount.waits(file) || mount.releases(file) || mount.waits(kVolumeKey)) return;
    if (file == kVolumeKey && !mount.unanswered.empty()) return;
    if (mount.tokens.contains(kVolumeKey) && !mount.bare.contains(file)) return;
    // A mount takes the volume before anything else.
    if (file == kVolumeKey && !(mount.tokens.empty() && mount.locks.empty())) return;
    static constexpr TokenUse kUses[] = {TokenUse::kRead, TokenUse::kRead, TokenUse::kWrite,
                                         TokenUse::kThrough};
    send(mount,
         TokenRequest{.file = file, .use = file == kVolumeKey ? TokenUse::kWrite : kUses[pick(4)]});
  }

  void lock(Mount& mount, FileKey file) {
    HeldLock wanted;
    wanted.file = file;
    wanted.owner = OwnerId{1 + pick(2)};
    wanted.handle = HandleId{wanted.owner.value};
    wanted.mode = pick(2) == 0 ? kS : kX;
    wanted.range = byte(pick(3));
    const TokenMode mode = mount.mode(file);
    if (mount.releases(file)) return;
    if (decides_locks(mode)) {
      if (mount.conflicts(wanted) || (mode == TokenMode::kRead && wanted.mode == kX)) return;
      mount.add(wanted);
      return;
    }
    // One that waits, sometimes; not beside a request for the token: the answer may be EX.
    if (mode != TokenMode::kShared || mount.waits(file) || mount.locking(file)) return;
    LockRequest request = test::lock(wanted.owner, wanted.mode, wanted.range,
                                     pick(3) == 0 ? Wait::kYes : Wait::kNo, file);
    request.handle = wanted.handle;
    for (HeldLock& held : mount.locks)  // who weakens a lock has less from then on
      if (held.file == file && held.owner == wanted.owner && held.range == wanted.range &&
          wanted.mode == kS)
        held.mode = kS;
    send(mount, request);
  }

  void unlock(Mount& mount, FileKey file) {
    const auto locks = mount.locks_of(file);
    if (locks.empty() || mount.releases(file)) return;
    const HeldLock& held = locks[pick(locks.size())];
    if (!decides_locks(mount.mode(file))) {
      if (mount.asks_for(held)) return;
      send(mount, UnlockRequest{.file = file, .owner = held.owner, .range = held.range});
    }
    std::erase_if(mount.locks, [&](const HeldLock& one) {
      return one.file == file && one.owner == held.owner && one.range == held.range;
    });
  }

  void cancel(Mount& mount) {
    if (mount.unanswered.empty()) return;
    const auto at = std::next(mount.unanswered.begin(),
                              static_cast<std::ptrdiff_t>(pick(mount.unanswered.size())));
    send(mount, CancelRequest{RequestNumber{at->first}});
  }

  /// Answers one recall whose token is here.
  bool answer_recall(Mount& mount) {
    for (const auto& [file, recall] : std::map(mount.recalls)) {
      const auto at = mount.tokens.find(file);
      if (at == mount.tokens.end() || at->second.number != recall.token) continue;
      if (mount.releases(file)) continue;
      mount.recalls.erase(file);
      come_down(mount, file, recall.wanted);
      return true;
    }
    return false;
  }

  void come_down(Mount& mount, FileKey file, TokenMode wanted) {
    const auto at = mount.tokens.find(file);
    if (at == mount.tokens.end() || mount.releases(file)) return;
    if (file == kVolumeKey) return give_up_volume(mount);
    const Believed has = at->second;
    std::vector<TokenMode> choices;
    const bool locks = !mount.locks_of(file).empty();
    const bool locks_here = decides_locks(has.mode) ? locks : locks || mount.locking(file);
    if (!locks_here) choices.push_back(TokenMode::kNone);
    if (wanted == TokenMode::kRead && has.mode == TokenMode::kExclusive &&
        !mount.has_exclusive(file))
      choices.push_back(TokenMode::kRead);
    if (locks_here || pick(2) == 0 || choices.empty()) choices.push_back(TokenMode::kShared);
    const TokenMode keep = choices[pick(choices.size())];
    if (keep == TokenMode::kShared && decides_locks(has.mode) && locks) {
      send(mount, PushLocks{.file = file, .token = has.number, .locks = mount.locks_of(file)});
      ++tally_.pushes;
    }
    if (keep == TokenMode::kNone) {
      mount.tokens.erase(file);
    } else if (keep == TokenMode::kShared && has.mode == TokenMode::kRead) {
      mount.tokens.erase(file);  // neither, until it is answered
    } else {
      mount.tokens[file].mode = keep;
    }
    send(mount, TokenRelease{.file = file, .token = has.number, .keep = keep});
  }

  void give_up_volume(Mount& mount) {
    const Believed cover = mount.tokens.at(kVolumeKey);
    std::vector<HeldToken> asserted;
    for (std::uint64_t i = 1; i <= kFiles; ++i) {
      const FileKey file{i, 0};
      if (mount.tokens.contains(file) || mount.bare.contains(file)) continue;
      if (!mount.locks_of(file).empty() || pick(2) == 0)
        asserted.push_back({file, TokenMode::kExclusive});
    }
    const RequestNumber number{mount.last + 1};
    if (!asserted.empty()) {
      send(mount, TokenAssert{.cover = kVolumeKey, .token = cover.number, .tokens = asserted});
      for (const HeldToken& held : asserted)
        mount.tokens[held.file] = {held.mode, number};
    }
    mount.tokens.erase(kVolumeKey);
    mount.bare.clear();
    send(mount, TokenRelease{.file = kVolumeKey, .token = cover.number, .keep = TokenMode::kNone});
  }

  void goodbye(Mount& mount) {
    const SessionId id = mount.session;
    mount.lease = now_;  // it stops first
    absorb(core_->goodbye(id, now_));
    mounts_.erase(id);
    forget_order(id);
  }

  void renew(Mount& mount) {
    const auto effects =
        core_->renew(mount.session, {.tick = 0, .losses_seen = mount.losses_seen}, now_);
    if (renewed(effects)) mount.lease = now_ + 10s;
    absorb(effects);
  }

  void pass_time() {
    for (const SessionId id : ids())
      if (mounts_.contains(id) && mounts_.at(id).talks(now_) && pick(5) != 0) renew(mounts_.at(id));
    now_ += 4s;
    for (auto& [id, mount] : mounts_)
      if (now_ >= mount.lease) suspend(mount);
    absorb(core_->tick(now_));
  }
  void suspend(Mount& mount) {
    mount.away = true;
    mount.inbox.clear();  // with its connection; kept replies come again
    forget_order(mount.session);
  }

  void resume(Mount& mount) {
    Hello hello = Driver::hello_of();
    hello.write_life = 1s;
    hello.resume = ResumeSession{mount.session, {}, mount.losses_seen};
    const SessionId id = mount.session;
    const auto effects =
        core_->hello(hello, {SessionId{999}, {}, {}}, ConnectionId{++connections_}, now_);
    const auto answer = greeting(effects);
    if (const auto* refused = std::get_if<HelloRefused>(&answer)) {
      absorb(effects);
      if (refused->errc == LockErrc::kSessionLost) {
        mounts_.erase(id);
        forget_order(id);
      }
      return;
    }
    const auto& welcome = std::get<Welcome>(answer);
    for (const FileLoss& loss : welcome.losses)
      lose(mount, loss);
    mount.away = false;
    mount.lease = now_ + 10s;
    mount.inbox.clear();
    if (welcome.reclaim) mount.last = 0;
    absorb(effects);
    if (welcome.reclaim) reclaim(mount);
  }

  void lose(Mount& mount, const FileLoss& loss) {
    if (loss.number <= mount.losses_seen) return;
    mount.losses_seen = loss.number;
    mount.lose(loss.file);
    ++tally_.losses;
  }

  void reclaim(Mount& mount) {
    Reclaim message;
    message.last = true;
    std::vector<Command> again;
    for (const auto& [number, command] : std::exchange(mount.unanswered, {})) {
      if (std::holds_alternative<TokenRequest>(command)) again.push_back(command);
      // Of an unlock nobody knows: it frees once more. A lock is not asked for again here.
      if (std::holds_alternative<UnlockRequest>(command)) again.push_back(command);
    }
    mount.recalls.clear();
    mount.void_answers.clear();
    for (auto& [file, token] : mount.tokens) {
      token.number = {};
      message.tokens.push_back({file, token.mode});
    }
    for (const HeldLock& held : mount.locks)
      if (!decides_locks(mount.mode(held.file))) message.locks.push_back(held);
    const SessionId id = mount.session;
    const auto effects = core_->reclaim(id, message, now_);
    for (const Send& sent : all_of<Send>(effects))
      if (const auto* reclaimed = std::get_if<Reclaimed>(&sent.message)) {
        for (const FileLoss& loss : reclaimed->losses)
          EXPECT_LE(loss.number, mount.losses_seen) << "what it reclaims is its own";
      }
    absorb(effects);
    for (const Command& command : again)
      send(mount, command);
  }

  void restart() {
    ++tally_.restarts;
    tally_.recalls += core_->probe().recalls;
    start(store_.recovered(Epoch{++epoch_}));
    arrivals_.clear();
    for (auto& [id, mount] : mounts_) {
      mount.inbox.clear();
      mount.away = true;
      forget_order(id);
    }
    for (const SessionId id : ids())
      if (now_ < mounts_.at(id).lease && pick(4) != 0) resume(mounts_.at(id));
  }

  // ---- What passes between them and lockd

  void start(Recovered recovered) {
    core_.reset();
    core_ = std::make_unique<Coordinator>(real_options(), std::move(recovered), now_);
  }

  void open() {
    const SessionId id{++last_session_};
    Hello hello = Driver::hello_of();
    hello.write_life = 1s;
    const auto effects = core_->hello(hello, {id, {}, {}}, ConnectionId{++connections_}, now_);
    ASSERT_TRUE(std::holds_alternative<Welcome>(greeting(effects)));
    mounts_[id].session = id;
    mounts_[id].lease = now_ + 10s;
    absorb(effects);
  }

  void send(Mount& mount, Command command) {
    const RequestNumber number{++mount.last};
    mount.unanswered[number.value] = command;
    if (const auto* request = std::get_if<TokenRequest>(&command))
      arrivals_[request->file].push_back({mount.session, number});
    const auto effects =
        core_->request(mount.session, {number, mount.acknowledged(), command}, now_);
    if (std::any_of(effects.begin(), effects.end(), [&](const Effect& effect) {
          return std::holds_alternative<Disconnect>(effect);
        }))
      suspend(mount);
    absorb(effects);
  }

  void absorb(const Effects& effects) {
    for (const Effect& effect : effects) {
      if (const auto* record = std::get_if<Record>(&effect)) {
        store_.apply(*record);
      } else if (const auto* reply = std::get_if<SendReply>(&effect)) {
        answered(*reply);
      } else if (const auto* sent = std::get_if<Send>(&effect)) {
        const auto* recall = std::get_if<Recall>(&sent->message);
        const auto at = mounts_.find(sent->session);
        if (recall != nullptr && at != mounts_.end() && !at->second.away)
          at->second.inbox.emplace_back(*recall);
      } else if (const auto* gone = std::get_if<EndSession>(&effect)) {
        const auto at = mounts_.find(gone->session);
        if (at == mounts_.end()) continue;
        EXPECT_FALSE(at->second.entitled(now_)) << "a mount that is entitled was ended";
        at->second.away = true;
        forget_order(gone->session);
      }
    }
  }

  void answered(const SendReply& sent) {
    const auto at = mounts_.find(sent.session);
    if (at == mounts_.end()) return;
    if (std::holds_alternative<TokenGranted>(sent.reply.outcome)) ++tally_.grants;
    for (auto& [file, order] : arrivals_) {
      const auto place =
          std::find(order.begin(), order.end(), std::pair{sent.session, sent.reply.number});
      if (place == order.end()) continue;
      if (std::holds_alternative<TokenGranted>(sent.reply.outcome)) {
        EXPECT_EQ(place, order.begin()) << "out of turn";
      }
      order.erase(place);
    }
    if (!at->second.away) at->second.inbox.emplace_back(sent.reply);
  }
  void forget_order(SessionId session) {
    for (auto& [file, order] : arrivals_)
      std::erase_if(order, [&](const auto& one) { return one.first == session; });
  }

  void deliver(Mount& mount) {
    if (mount.inbox.empty() || !mount.talks(now_)) return;
    const auto message = std::move(mount.inbox.front());
    mount.inbox.pop_front();
    if (const auto* recall = std::get_if<Recall>(&message)) {
      mount.recalls[recall->file] = *recall;
      return;
    }
    const Reply& reply = std::get<Reply>(message);
    const auto at = mount.unanswered.find(reply.number.value);
    if (at == mount.unanswered.end()) return;  // seen before
    const Command command = at->second;
    mount.unanswered.erase(at);
    if (mount.void_answers.erase(reply.number.value) > 0) return;
    if (const auto* request = std::get_if<TokenRequest>(&command)) {
      if (const auto* granted = std::get_if<TokenGranted>(&reply.outcome);
          granted != nullptr && granted->mode != TokenMode::kNone) {
        mount.tokens[request->file] = {granted->mode, reply.number};
        tally_.covers += request->file == kVolumeKey ? 1 : 0;
      }
    } else if (const auto* release = std::get_if<TokenRelease>(&command)) {
      ASSERT_TRUE(std::holds_alternative<Done>(reply.outcome));
      if (release->keep == TokenMode::kShared && !mount.tokens.contains(release->file) &&
          release->file != kVolumeKey && !mount.bare.contains(release->file))
        mount.tokens[release->file] = {TokenMode::kShared, release->token};
    } else if (std::holds_alternative<PushLocks>(command) ||
               std::holds_alternative<TokenAssert>(command)) {
      ASSERT_TRUE(std::holds_alternative<Done>(reply.outcome)) << "its locks and tokens move";
    } else if (const auto* lock = std::get_if<LockRequest>(&command)) {
      if (granted(reply.outcome))
        mount.add({.file = lock->file,
                   .owner = lock->owner,
                   .handle = lock->handle,
                   .mode = lock->mode,
                   .range = lock->range,
                   .pid = 0,
                   .wal_database = {}});
    }
  }
  // ---- Judgement

  void judge() {
    core_->check_invariants();
    for (const auto& [one, a] : mounts_)
      for (const auto& [other, b] : mounts_) {
        if (one >= other || !a.entitled(now_) || !b.entitled(now_)) continue;
        judge_tokens(a, b, kFiles);
        judge_locks(a, b);
      }
  }

  [[nodiscard]] std::vector<SessionId> ids() const {
    std::vector<SessionId> all;
    for (const auto& [id, mount] : mounts_)
      all.push_back(id);
    return all;
  }
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  std::mt19937_64 random_;
  Tally& tally_;
  std::unique_ptr<Coordinator> core_;
  StoreModel store_;
  Instant now_{};
  std::map<SessionId, Mount> mounts_;
  std::map<FileKey, std::vector<std::pair<SessionId, RequestNumber>>> arrivals_;
  std::uint64_t last_session_ = 0;
  std::uint64_t connections_ = 0;
  std::uint64_t epoch_ = 7;
};

TEST(TokenPrograms, KeepTokensCompatibleInOrderAndGoing) {
  Tally tally;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Program program(seed, tally);
    for (int i = 0; i < 300; ++i) {
      SCOPED_TRACE(testing::Message() << "step " << i);
      program.step();
      if (testing::Test::HasFailure()) return;
    }
    program.drain();
    if (testing::Test::HasFailure()) return;
    program.end();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(tally.grants, 5'000U);
  EXPECT_GT(tally.recalls, 2'000U);
  EXPECT_GT(tally.losses, 50U);
  EXPECT_GT(tally.restarts, 50U);
  EXPECT_GT(tally.pushes, 100U);
  EXPECT_GT(tally.covers, 50U);
}

}  // namespace
}  // namespace holdfast::lockd::test
