// Random programs of a whole coordinator: waiting, cancelling, closing, dying, resending; judged by
// WaitModel after each step.
//
//  exclusion   no grant conflicts with what others hold
//  order       no grant passes an earlier waiter it conflicts with, but for the known exceptions
//  liveness    nobody waits who could be granted
//  deadlock    EDEADLK exactly when a graph search without shortcuts finds a cycle; fairness closes
//  none once        a repeated number changes nothing and gets the answer of the first

#include "tests/property/lockd/wait_model.h"
#include "tests/unit/lockd/driver.h"

#include <random>

namespace holdfast::lockd::test {
namespace {

struct Mix {
  bool posix_only = false;
  std::chrono::milliseconds patience{1'000'000'000};  ///< so that it hides no deadlock
};

Options options_of(const Mix& mix) {
  Options options = plain_options();
  options.fairness_patience = mix.patience;
  return options;
}

class Program {
 public:
  Program(std::uint64_t seed, Mix mix)
      : random_(seed), mix_(mix), core_(options_of(mix), nothing_before(), Instant{}) {
    for (int i = 0; i < 3; ++i)
      open();
  }

  void step() {
    if (clients_.size() < 2 || (clients_.size() < 4 && pick(20) == 0)) open();
    const auto at = std::next(clients_.begin(), static_cast<std::ptrdiff_t>(pick(clients_.size())));
    const SessionId session = at->first;
    const ModelOwner owner{session, LockSpace::kRange, OwnerId{1 + pick(3)}};
    const FileKey file{1 + pick(2), 0};
    const HandleId handle{1 + pick(2)};
    overtakes_ = core_.probe().overtakes;
    switch (pick(64)) {
      case 0:
        end(visible(core_.goodbye(session, now_)), session);
        break;
      case 1:
        pass_time();
        break;
      case 2:
      case 3:
        resend(session);
        break;
      case 4:
      case 5:
        send(owner, ReleaseHandleRequest{file, handle});
        break;
      case 6:
      case 7:
      case 8:
        send(owner, ReleaseOwnerRequest{file, owner.owner});
        break;
      case 9:
      case 10:
      case 11:
        if (!model_.waiters.empty()) {
          const ModelWaiter& w = model_.waiters[pick(model_.waiters.size())];
          send({w.owner.session, LockSpace::kRange, {}}, CancelRequest{w.number});
        }
        break;
      case 12:
        if (renewed(core_.renew(session, {}, now_))) at->second.lease = now_ + 10s;
        break;
      default:
        lock_or_unlock(owner, file, handle);
    }
    judge();
  }

  /// Owners that wait for nothing let go of everything, until nothing changes. Whoever is left over
  /// is deadlocked.
  void drain() {
    for (bool again = true; again && !testing::Test::HasFatalFailure();) {
      again = false;
      const auto held = model_.held;
      for (const auto& [place, owners] : held)
        for (const auto& [owner, cells] : owners) {
          const bool stuck = std::any_of(model_.waiters.begin(), model_.waiters.end(),
                                         [&](const auto& w) { return w.owner == owner; });
          if (cells.empty() || stuck) continue;
          send(owner, unlock(owner.owner, ByteRange::whole_file(), place.first, place.second));
          judge();
          again = true;
        }
    }
    if (mix_.posix_only) {
      ASSERT_TRUE(model_.waiters.empty()) << "a deadlock was not found";
    }
    for (const ModelWaiter& w : model_.waiters) {
      // Without EDEADLK, owners may be stuck as on Linux; but then some holder is to blame.
      const bool deadlock =
          std::any_of(model_.waiters.begin(), model_.waiters.end(), [&](const ModelWaiter& other) {
            return !model_.holders(other.owner, other.request).empty();
          });
      ASSERT_TRUE(deadlock) << w.number.value << " waits for nobody";
    }
  }
  [[nodiscard]] const Probe& probe() const { return core_.probe(); }

 private:
  /// Some renew in time, the others' leases end.
  void pass_time() {
    for (auto& [session, client] : clients_)
      if (pick(4) != 0 && renewed(core_.renew(session, {}, now_))) client.lease = now_ + 10s;
    now_ += 6s;
    end(visible(core_.tick(now_)), {});
  }

  struct Client {
    Instant lease;
    std::uint64_t last = 0;
    std::uint64_t acknowledged = 0;
    std::map<std::uint64_t, Command> sent;
    std::map<std::uint64_t, Outcome> answers;
  };

  void lock_or_unlock(ModelOwner owner, FileKey file, HandleId handle) {
    const bool is_flock = !mix_.posix_only && pick(6) == 0;
    if (is_flock) owner.space = LockSpace::kFlock;
    const std::uint64_t start = pick(WaitModel::kBytes);
    const auto range =
        is_flock
            ? ByteRange::whole_file()
            : bytes(start, start + 1 + pick(std::min<std::uint64_t>(3, WaitModel::kBytes - start)));
    if (pick(5) < 2) {
      send(owner, unlock(owner.owner, range, file, owner.space));
      return;
    }
    // The searches without shortcuts are slow, and long queues are no different.
    const bool may_wait = model_.waiters.size() < 7 && pick(3) != 0;
    LockRequest request =
        lock(owner.owner, pick(2) == 0 ? kS : kX, range, may_wait ? Wait::kYes : Wait::kNo, file);
    request.space = owner.space;
    request.handle = handle;
    if (is_flock || (!mix_.posix_only && owner.owner.value == 3))
      request.kind = OwnerKind::kUnchecked;
    else if (!mix_.posix_only && owner.owner.value == 2 && pick(2) == 0)
      request.kind = OwnerKind::kGivesWay;
    send(owner, request);
  }

  void open() {
    const SessionId session{++last_session_};
    overtakes_ = core_.probe().overtakes;
    const auto effects =
        core_.hello(Driver::hello_of(), {session, {}, {}}, ConnectionId{session.value}, now_);
    ASSERT_TRUE(std::holds_alternative<Welcome>(greeting(effects)));
    clients_[session].lease = now_ + 10s;
    end(visible(effects), {});
  }

  void send(const ModelOwner& owner, Command command) {
    Client& client = clients_.at(owner.session);
    const RequestNumber number{++client.last};
    while (client.acknowledged + 1 < client.last && pick(2) == 0 &&
           client.answers.count(client.acknowledged + 1) != 0)
      ++client.acknowledged;
    client.sent[number.value] = command;
    client.lease = now_ + 10s;
    overtakes_ = core_.probe().overtakes;
    const auto effects =
        visible(core_.request(owner.session, {number, {client.acknowledged}, command}, now_));
    std::size_t next = 0;
    if (!effects.empty()) {
      const auto* own = std::get_if<SendReply>(&effects[0]);
      if (own != nullptr && own->session == owner.session && own->reply.number == number &&
          !let_past(owner, command, own->reply.outcome)) {
        client.answers[number.value] = own->reply.outcome;
        answered(owner, number, command, own->reply.outcome);
        next = 1;
      }
    }
    if (next == 0) {
      ASSERT_TRUE(std::holds_alternative<LockRequest>(command)) << "only locks wait";
      waiting(owner, number, std::get<LockRequest>(command));
    }
    mark_overtakers();
    for (; next < effects.size(); ++next)
      follow(effects[next]);
  }

  /// It had to wait, closed a cycle of fairness, and was granted at once as the way out.
  [[nodiscard]] bool let_past(const ModelOwner& owner, const Command& command,
                              const Outcome& outcome) const {
    const auto* request = std::get_if<LockRequest>(&command);
    return request != nullptr && request->wait == Wait::kYes && granted(outcome) &&
           core_.probe().overtakes != overtakes_ && !model_.holds_in(owner, request->file) &&
           !model_.ahead(owner, *request, model_.waiters.size()).empty();
  }

  void resend(SessionId session) {
    Client& client = clients_.at(session);
    if (client.last == 0) return;
    const std::uint64_t number = 1 + pick(client.last);
    client.lease = now_ + 10s;
    const auto effects = visible(core_.request(
        session, {{number}, {pick(client.acknowledged + 1)}, client.sent[number]}, now_));
    if (number <= client.acknowledged) {
      ASSERT_EQ(effects.size(), 1U);
      ASSERT_TRUE(refused(std::get<SendReply>(effects[0]).reply.outcome, LockErrc::kBadRequest));
    } else if (client.answers.count(number) == 0) {
      ASSERT_TRUE(effects.empty()) << "it waits, and once is enough";
    } else {
      ASSERT_EQ(effects.size(), 1U);
      const Reply& reply = std::get<SendReply>(effects[0]).reply;
      ASSERT_EQ(reply.number.value, number);
      ASSERT_EQ(reply.outcome.index(), client.answers[number].index());
      if (const auto* grant = std::get_if<Granted>(&reply.outcome)) {
        ASSERT_EQ(grant->token, std::get<Granted>(client.answers[number]).token);
      }
    }
  }

  /// The request was answered at once.
  void answered(const ModelOwner& owner, RequestNumber number, const Command& command,
                const Outcome& outcome) {
    if (const auto* request = std::get_if<LockRequest>(&command)) {
      answered(owner, *request, outcome);
    } else if (const auto* freed = std::get_if<UnlockRequest>(&command)) {
      const bool all = freed->space == LockSpace::kFlock;
      model_.clear(owner, freed->file, all ? 0 : freed->range.start(),
                   all ? 0 : freed->range.end() - 1);
    } else if (const auto* closed = std::get_if<ReleaseOwnerRequest>(&command)) {
      model_.clear(owner, closed->file, 0, WaitModel::kBytes);
    } else if (const auto* released = std::get_if<ReleaseHandleRequest>(&command)) {
      model_.clear_handle(owner.session, released->file, released->handle);
      for (const ModelWaiter& w : model_.waiters)
        if (w.owner.session == owner.session && w.request.file == released->file &&
            w.request.handle == released->handle)
          cancelled_.insert({owner.session, w.number});
    } else if (const auto* cancel = std::get_if<CancelRequest>(&command)) {
      if (model_.find(owner.session, cancel->target) < model_.waiters.size())
        cancelled_.insert({owner.session, cancel->target});
    }
    ASSERT_GT(number.value, 0U);
  }

  void answered(const ModelOwner& owner, const LockRequest& request, const Outcome& outcome) {
    const bool holds = model_.holds_in(owner, request.file);
    const bool same_flock =
        request.space == LockSpace::kFlock && holds &&
        model_.held[{request.file, request.space}][owner][0].mode == request.mode;
    const bool held_off = !model_.holders(owner, request).empty();
    const bool out_of_turn = !holds && !model_.ahead(owner, request, model_.waiters.size()).empty();
    if (granted(outcome)) {
      ASSERT_FALSE(held_off) << "exclusion";
      ASSERT_FALSE(out_of_turn && !same_flock) << "order";
      grant(owner, request, outcome);
    } else if (refused(outcome, LockErrc::kDeadlock)) {
      ASSERT_EQ(request.wait, Wait::kYes);
      ASSERT_TRUE(held_off && model_.posix_deadlock(owner, request)) << "a false EDEADLK";
    } else {
      ASSERT_TRUE(refused(outcome, LockErrc::kWouldBlock));
      ASSERT_TRUE(request.wait == Wait::kNo || gives_way(owner, request));
      ASSERT_TRUE(held_off || out_of_turn) << "refused without need";
      // flock(2): a conversion that fails has lost the original lock.
      if (request.space == LockSpace::kFlock) model_.clear(owner, request.file, 0, 0);
    }
  }

  /// The request was not answered: it waits.
  void waiting(const ModelOwner& owner, RequestNumber number, const LockRequest& request) {
    ASSERT_EQ(request.wait, Wait::kYes);
    const bool holds = model_.holds_in(owner, request.file);
    ASSERT_TRUE(!model_.holders(owner, request).empty() ||
                (!holds && !model_.ahead(owner, request, model_.waiters.size()).empty()))
        << "waits without need";
    ASSERT_FALSE(model_.posix_deadlock(owner, request)) << "a deadlock was not reported";
    ASSERT_FALSE(gives_way(owner, request)) << "waits while its owner is waited for";
    const bool is_flock = request.space == LockSpace::kFlock;
    if (is_flock) model_.clear(owner, request.file, 0, 0);
    model_.waiters.push_back({owner, number, request, holds && !is_flock, false});
  }

  [[nodiscard]] bool gives_way(const ModelOwner& owner, const LockRequest& request) const {
    return request.kind == OwnerKind::kGivesWay && model_.waited_for(owner);
  }

  void grant(const ModelOwner& owner, const LockRequest& request, const Outcome& outcome) {
    const FencingToken token = std::get<Granted>(outcome).token;
    ASSERT_GT(token, token_);
    token_ = token;
    model_.set(owner, request);
  }

  /// What was decided about a waiter.
  void follow(const Effect& effect) {
    if (const auto* gone = std::get_if<EndSession>(&effect)) {
      model_.forget(gone->session);
      ASSERT_EQ(clients_.erase(gone->session), 1U);
      return;
    }
    const auto& [session, reply] = std::get<SendReply>(effect);
    const std::size_t i = model_.find(session, reply.number);
    ASSERT_LT(i, model_.waiters.size()) << "an answer nobody waits for";
    const ModelWaiter w = model_.waiters[i];
    clients_.at(session).answers[reply.number.value] = reply.outcome;
    if (granted(reply.outcome)) {
      ASSERT_TRUE(model_.holders(w.owner, w.request).empty()) << "exclusion";
      ASSERT_TRUE(w.may_overtake || w.let_overtake || model_.ahead(w.owner, w.request, i).empty())
          << "order";
      model_.waiters.erase(model_.waiters.begin() + static_cast<std::ptrdiff_t>(i));
      grant(w.owner, w.request, reply.outcome);
      mark_overtakers();
      return;
    }
    if (refused(reply.outcome, LockErrc::kInterrupted)) {
      ASSERT_EQ(cancelled_.erase({session, reply.number}), 1U) << "cancelled by nobody";
    } else if (refused(reply.outcome, LockErrc::kWouldBlock)) {
      ASSERT_TRUE(gives_way(w.owner, w.request)) << "refused without need";
    } else {
      ASSERT_TRUE(refused(reply.outcome, LockErrc::kDeadlock));
      ASSERT_TRUE(model_.posix_deadlock(w.owner, w.request)) << "a false EDEADLK";
    }
    model_.waiters.erase(model_.waiters.begin() + static_cast<std::ptrdiff_t>(i));
  }

  void end(const Effects& effects, SessionId expected) {
    if (expected != SessionId{}) {
      ASSERT_TRUE(!effects.empty() && std::holds_alternative<EndSession>(effects[0]));
    }
    for (const auto& [session, client] : clients_) {
      const bool ended = std::any_of(effects.begin(), effects.end(), [&](const Effect& effect) {
        const auto* gone = std::get_if<EndSession>(&effect);
        return gone != nullptr && gone->session == session;
      });
      ASSERT_EQ(ended, session == expected || client.lease <= now_);
    }
    // Whoever's lease is over waits no more, also before it is given away what it held.
    for (const auto& [session, client] : clients_)
      if (client.lease <= now_)
        std::erase_if(model_.waiters, [&, gone = session](const ModelWaiter& waiter) {
          return waiter.owner.session == gone;
        });
    for (const Effect& effect : effects) {
      if (testing::Test::HasFatalFailure()) return;
      follow(effect);
    }
  }

  /// If somebody was let overtake in this step, then somebody whom fairness blocked on a cycle.
  void mark_overtakers() {
    if (core_.probe().overtakes == overtakes_) return;
    for (const std::size_t i : model_.fairness_cycles(false))
      model_.waiters[i].let_overtake = true;
  }

  void judge() {
    core_.check_invariants();
    ASSERT_TRUE(cancelled_.empty()) << "a cancelled waiter was not told";
    for (std::size_t i = 0; i < model_.waiters.size(); ++i) {
      const ModelWaiter& w = model_.waiters[i];
      ASSERT_TRUE(model_.blocked(i)) << "nobody waits who could be granted";
      ASSERT_FALSE(model_.posix_deadlock(w.owner, w.request)) << "a cycle was not reported";
    }
    ASSERT_TRUE(model_.fairness_cycles(true).empty()) << "fairness closed a cycle";
    std::size_t waiters = 0;
    for (const SessionInfo& info : core_.list_sessions(now_).sessions)
      waiters += info.waiters;
    ASSERT_EQ(waiters, model_.waiters.size());
  }

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  std::mt19937_64 random_;
  Mix mix_;
  Coordinator core_;
  Instant now_{};
  WaitModel model_;
  std::map<SessionId, Client> clients_;
  std::uint64_t last_session_ = 0;
  std::uint64_t overtakes_ = 0;
  FencingToken token_{};
  std::set<std::pair<SessionId, RequestNumber>> cancelled_;
};

Probe run(std::uint64_t seeds, int steps, Mix mix) {
  Probe sum;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Program program(seed, mix);
    for (int i = 0; i < steps; ++i) {
      SCOPED_TRACE(testing::Message() << "step " << i);
      program.step();
      if (testing::Test::HasFatalFailure()) return sum;
    }
    program.drain();
    if (testing::Test::HasFatalFailure()) return sum;
    sum.grants += program.probe().grants;
    sum.deadlocks += program.probe().deadlocks;
    sum.overtakes += program.probe().overtakes;
    sum.expiries += program.probe().expiries;
    sum.cancels += program.probe().cancels;
  }
  return sum;
}

void expect_variety(const Probe& sum) {
  EXPECT_GT(sum.grants, 1'000U);
  EXPECT_GT(sum.expiries, 10U);
  EXPECT_GT(sum.cancels, 100U);
  EXPECT_GT(sum.overtakes, 10U);
  EXPECT_GT(sum.deadlocks, 10U);
}

TEST(Programs, OfPosixOwnersNeverDeadlock) {
  expect_variety(run(120, 200, {.posix_only = true}));
}

TEST(Programs, OfAllKindsOfOwnersKeepOrderAndExclusion) {
  expect_variety(run(120, 200, {.posix_only = false}));
}

}  // namespace
}  // namespace holdfast::lockd::test
