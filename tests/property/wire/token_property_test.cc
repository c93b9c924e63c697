// Locks decided by a mount under its token are those that lockd would have decided, also when the
// token moves in between; and tokens of many mounts never contradict each other and never stand
// still.
#include "token_world.h"

#include <algorithm>

namespace holdfast {
namespace {

using fs::CallId;
using fs::Urgency;

constexpr FileKey kFile{.fileid = 1, .handle_hash = 1};
constexpr FileKey kDatabase{.fileid = 2, .handle_hash = 2};
constexpr FileKey kIndex{.fileid = 2, .handle_hash = 3};

// Later lockd would let waiters overtake, and the reference's clock stands still.
constexpr Instant kPatience{std::chrono::seconds(5)};

std::uint64_t below(std::mt19937_64& random, std::uint64_t bound) {
  return random() % bound;
}

ByteRange some_range(std::mt19937_64& random, std::uint64_t base) {
  const std::uint64_t start = below(random, 10);
  return *ByteRange::make(base + start, base + start + 1 + below(random, 4));
}

// One command of a program: few owners, handles and bytes, so that all meet.
Command some_command(std::mt19937_64& random) {
  const FileKey files[] = {kFile, kDatabase, kIndex};
  const FileKey file = files[below(random, 3)];
  const std::uint64_t base = file == kDatabase ? 0x4000'0000 : 0;
  const OwnerId owner{1 + below(random, 3)};
  const HandleId handle{10 * file.handle_hash + 1 + below(random, 3)};
  const auto space = below(random, 4) == 0 ? LockSpace::kFlock : LockSpace::kRange;
  const ByteRange range =
      space == LockSpace::kFlock ? ByteRange::whole_file() : some_range(random, base);
  const auto mode = below(random, 2) == 0 ? LockMode::kShared : LockMode::kExclusive;
  switch (below(random, 10)) {
    case 0:
    case 1:
      return UnlockRequest{file, space, owner, range};
    case 2:
      return QueryRequest{file, space, owner, mode, range};
    case 3:
      return ReleaseOwnerRequest{file, owner};
    case 4:
      return ReleaseHandleRequest{file, handle};
    case 5:
      return ClaimWalRequest{kDatabase};
    default:
      break;
  }
  LockRequest lock;
  lock.file = file;
  lock.space = space;
  lock.owner = owner;
  lock.handle = handle;
  lock.kind = below(random, 2) == 0 ? OwnerKind::kPosix : OwnerKind::kUnchecked;
  lock.mode = mode;
  lock.range = range;
  lock.wait = below(random, 3) == 0 ? Wait::kYes : Wait::kNo;
  lock.pid = static_cast<std::uint32_t>(owner.value);
  if (file == kIndex) lock.wal_database = kDatabase;
  return lock;
}

/// lockd alone, with one session.
class Reference {
 public:
  Reference() { take(lockd_.hello(Hello{}, {SessionId{1}, {}, {}}, lockd::ConnectionId{1}, now_)); }
  RequestNumber submit(Command command, Instant now) {
    ++last_;
    take(lockd_.request(SessionId{1}, {{last_}, {0}, std::move(command)}, now));
    return RequestNumber{last_};
  }
  [[nodiscard]] std::optional<Outcome> outcome(RequestNumber number) const {
    const auto at = done_.find(number);
    return at == done_.end() ? std::nullopt : std::optional(at->second);
  }

 private:
  void take(const lockd::Effects& effects) {
    for (const auto& effect : effects) {
      const auto* reply = std::get_if<lockd::SendReply>(&effect);
      if (reply != nullptr) done_.emplace(reply->reply.number, reply->reply.outcome);
    }
  }

  Instant now_{std::chrono::seconds(1)};
  lockd::Coordinator lockd_{
      lockd::Options{},
      {.epoch = Epoch{1}, .empty = false, .lease_ttl_max = {}, .sessions = {}},
      now_};
  std::uint64_t last_ = 0;
  std::map<RequestNumber, Outcome> done_;
};

RC_GTEST_PROP(TokenProperty, LocksAreDecidedAsByLockd, ()) {
  std::mt19937_64 random(*rc::gen::arbitrary<std::uint64_t>());
  TokenWorld world(2);
  Reference reference;
  TokenWorld::Mount& mount = world.mount(0);
  TokenWorld::Mount& rival = world.mount(1);
  world.settle();
  std::vector<std::pair<CallId, RequestNumber>> calls;
  const int steps = static_cast<int>(20 + below(random, 120));
  for (int step = 0; step < steps; ++step) {
    const bool migrates = below(random, 6) == 0;
    if (migrates) {
      // Somebody else wants to read or write the file, and leaves it again.
      const FileKey files[] = {kFile, kDatabase, kIndex};
      const auto use = below(random, 2) == 0 ? TokenUse::kRead : TokenUse::kWrite;
      rival.in_use = below(random, 3) == 0;
      mount.in_use = below(random, 2) == 0;
      world.pin(rival, files[below(random, 3)], use, Urgency::kMayWait);
      world.settle();
      world.unpin(rival);
      world.settle();
    } else if (below(random, 6) == 0 && world.now < kPatience) {
      world.pass(std::chrono::milliseconds(1 + below(random, 600)));
      world.settle();
    } else {
      const Command command = some_command(random);
      const CallId call = world.submit(mount, command);
      world.settle();
      calls.emplace_back(call, reference.submit(command, Instant(std::chrono::seconds(1))));
    }
    for (const auto& [call, number] : calls) {
      const auto expected = reference.outcome(number);
      const auto at = mount.done.find(call);
      RC_ASSERT(expected.has_value() == (at != mount.done.end()));
      if (expected) RC_ASSERT(same_outcome(*expected, at->second));
    }
  }
}

RC_GTEST_PROP(TokenProperty, TokensAgreeAndEverybodyGoesOn, ()) {
  std::mt19937_64 random(*rc::gen::arbitrary<std::uint64_t>());
  TokenWorld world(3);
  for (const FileKey& file : {kFile, kDatabase, kIndex, kVolumeKey})
    world.watch(file);
  std::set<std::pair<TokenWorld::Mount*, CallId>> locks;
  const int steps = static_cast<int>(50 + below(random, 400));
  for (int step = 0; step < steps; ++step) {
    TokenWorld::Mount& mount = world.mount(below(random, world.size()));
    const FileKey files[] = {kFile, kDatabase, kIndex};
    const FileKey file = files[below(random, 3)];
    const auto use = static_cast<TokenUse>(below(random, 3));
    const auto urgency = below(random, 2) == 0 ? Urgency::kMayWait : Urgency::kKernelWaits;
    switch (below(random, 12)) {
      case 0:
        world.pin(mount, file, use, urgency);
        break;
      case 1:
      case 2:
        world.unpin(mount);
        break;
      case 3:
        locks.emplace(&mount, world.submit(mount, some_command(random)));
        break;
      case 4:
        mount.in_use = below(random, 2) == 0;
        break;
      case 5:
        if (below(random, 4) == 0) world.pass(std::chrono::milliseconds(below(random, 700)));
        break;
      case 6:
        world.drain(mount);
        break;
      case 7:
      case 8:
      case 9:
        world.carry_up(mount);
        break;
      default:
        world.carry_down(mount);
        break;
    }
    world.check();
  }
  // Whoever holds something gives it back, whoever waits goes on.
  for (int round = 0; round < 400; ++round) {
    world.settle();
    for (std::size_t i = 0; i < world.size(); ++i) {
      while (!world.mount(i).pinned.empty())
        world.unpin(world.mount(i));
      if (round % 10 != 0) continue;
      for (const FileKey& file : {kFile, kDatabase, kIndex}) {
        for (std::uint64_t owner = 1; owner <= 3; ++owner) {
          for (const auto space : {LockSpace::kRange, LockSpace::kFlock}) {
            static_cast<void>(
                world.submit(world.mount(i),
                             UnlockRequest{file, space, OwnerId{owner}, ByteRange::whole_file()}));
          }
        }
      }
    }
    world.pass(std::chrono::milliseconds(100));
  }
  for (std::size_t i = 0; i < world.size(); ++i)
    RC_ASSERT(world.mount(i).waiting.empty());
  for (const auto& [mount, call] : locks)
    RC_ASSERT(mount->done.contains(call));
}

}  // namespace
}  // namespace holdfast
