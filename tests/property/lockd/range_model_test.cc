// The lock table against an array of bytes: every answer, and every byte, of random programs of
// locks that do not wait.

#include "tests/unit/lockd/driver.h"

#include <array>
#include <random>

namespace holdfast::lockd::test {
namespace {

constexpr std::size_t kBytes = 24;
constexpr std::size_t kSessions = 2;
constexpr std::size_t kOwnersEach = 2;
constexpr std::size_t kOwners = kSessions * kOwnersEach;

/// What each owner has on each byte.
class Model {
 public:
  struct Cell {
    bool held = false;
    LockMode mode = kS;
    HandleId handle;
    friend bool operator==(const Cell&, const Cell&) = default;
  };
  using Row = std::array<Cell, kBytes>;

  [[nodiscard]] bool conflicts(std::size_t self, LockMode mode, ByteRange range) const {
    for (std::size_t owner = 0; owner < kOwners; ++owner)
      if (owner != self && first(owner, mode, range)) return true;
    return false;
  }
  /// The lowest byte of `owner` that is in the way.
  [[nodiscard]] std::optional<std::size_t> first(std::size_t owner, LockMode mode,
                                                 ByteRange range) const {
    for (std::size_t at = range.start(); at < range.end(); ++at) {
      const Cell& cell = rows[owner][at];
      if (cell.held && (mode == kX || cell.mode == kX)) return at;
    }
    return std::nullopt;
  }
  void set(std::size_t owner, ByteRange range, Cell cell) {
    const bool absent = !present(owner);
    for (std::size_t at = range.start(); at < range.end(); ++at)
      rows[owner][at] = cell;
    if (absent && present(owner)) arrival[owner] = ++arrivals;
  }
  void release(std::size_t owner, HandleId handle) {
    for (Cell& cell : rows[owner])
      if (cell.held && cell.handle == handle) cell = {};
  }
  [[nodiscard]] bool present(std::size_t owner) const {
    for (const Cell& cell : rows[owner])
      if (cell.held) return true;
    return false;
  }
  /// Whom F_GETLK shows: the owner that came first to the file.
  [[nodiscard]] std::optional<std::size_t> shown(std::size_t self, LockMode mode,
                                                 ByteRange range) const {
    std::optional<std::size_t> found;
    for (std::size_t owner = 0; owner < kOwners; ++owner)
      if (owner != self && first(owner, mode, range) &&
          (!found || arrival[owner] < arrival[*found]))
        found = owner;
    return found;
  }

  std::array<Row, kOwners> rows{};
  std::array<std::uint64_t, kOwners> arrival{};
  std::uint64_t arrivals = 0;
};

class Program {
 public:
  explicit Program(std::uint64_t seed) : random_(seed) {
    for (auto& session : sessions_)
      session = open();
  }

  void step() {
    ++steps_;
    const std::size_t self = pick(kOwners);
    const std::uint64_t start = pick(kBytes);
    const auto range = bytes(start, start + 1 + pick(kBytes - start));
    const LockMode mode = pick(2) == 0 ? kS : kX;
    const HandleId handle{1 + pick(2)};
    switch (pick(12)) {
      case 0:
        query(self, mode, range);
        break;
      case 1:
        ask(self, ReleaseHandleRequest{kFile, handle});
        // The handle is the session's: all its owners are concerned.
        for (std::size_t owner = 0; owner < kOwners; ++owner)
          if (owner / kOwnersEach == self / kOwnersEach) model_.release(owner, handle);
        break;
      case 2:
        ask(self, ReleaseOwnerRequest{kFile, id(self)});
        model_.set(self, bytes(0, kBytes), {});
        break;
      case 3:
      case 4:
      case 5:
      case 6:
        ASSERT_TRUE(done(ask(self, unlock(id(self), range))));
        model_.set(self, range, {});
        break;
      default:
        acquire(self, mode, range, handle);
    }
    if (steps_ % 4 == 0) core_.check_invariants();
    if (steps_ % 64 == 0) compare();
  }

 private:
  void acquire(std::size_t self, LockMode mode, ByteRange range, HandleId handle) {
    const auto outcome = ask(self, through(handle, lock(id(self), mode, range)));
    if (model_.conflicts(self, mode, range)) {
      ASSERT_TRUE(refused(outcome, LockErrc::kWouldBlock));
    } else {
      ASSERT_TRUE(granted(outcome));
      ASSERT_GT(std::get<Granted>(*outcome).token, token_);
      token_ = std::get<Granted>(*outcome).token;
      model_.set(self, range, {true, mode, handle});
    }
  }

  void query(std::size_t self, LockMode mode, ByteRange range) {
    const auto found = conflict(ask(self, test::query(id(self), mode, range)));
    const auto owner = model_.shown(self, mode, range);
    ASSERT_EQ(found.has_value(), owner.has_value());
    if (!found) return;
    const std::size_t at = *model_.first(*owner, mode, range);
    ASSERT_TRUE(found->range.overlaps(byte(at)));
    ASSERT_EQ(found->mode, model_.rows[*owner][at].mode);
    ASSERT_EQ(found->pid, id(*owner).value);
    ASSERT_EQ(found->same_session, *owner / kOwnersEach == self / kOwnersEach);
  }

  void compare() {
    std::array<std::array<bool, kBytes>, kOwners> shared{};
    std::array<std::array<bool, kBytes>, kOwners> exclusive{};
    for (const LockInfo& info : core_.list_locks(Instant{}, 10'000).locks) {
      const std::size_t owner = info.owner.value - 1;
      for (std::size_t at = info.range.start(); at < info.range.end(); ++at)
        (info.mode == kS ? shared : exclusive)[owner][at] = true;
    }
    for (std::size_t owner = 0; owner < kOwners; ++owner)
      for (std::size_t at = 0; at < kBytes; ++at) {
        const Model::Cell& cell = model_.rows[owner][at];
        ASSERT_EQ(shared[owner][at], cell.held && cell.mode == kS) << owner << ' ' << at;
        ASSERT_EQ(exclusive[owner][at], cell.held && cell.mode == kX) << owner << ' ' << at;
      }
  }

  SessionId open() {
    const SessionId session{++last_session_};
    EXPECT_TRUE(std::holds_alternative<Welcome>(greeting(core_.hello(
        Driver::hello_of(), {session, {}, {}}, ConnectionId{session.value}, Instant{}))));
    return session;
  }
  static OwnerId id(std::size_t owner) { return {owner + 1}; }
  std::optional<Outcome> ask(std::size_t owner, Command command) {
    const std::size_t session = owner / kOwnersEach;
    const RequestNumber number{++numbers_[session]};
    const auto effects = core_.request(sessions_[session],
                                       {number, {number.value - 1}, std::move(command)}, Instant{});
    if (effects.size() != 1) return std::nullopt;
    return std::get<SendReply>(effects[0]).reply.outcome;
  }
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  std::mt19937_64 random_;
  Coordinator core_{plain_options(), nothing_before(), Instant{}};
  Model model_;
  std::array<SessionId, kSessions> sessions_;
  std::array<std::uint64_t, kSessions> numbers_{};
  std::uint64_t last_session_ = 0;
  std::uint64_t steps_ = 0;
  FencingToken token_{};
};

TEST(RangeModel, AMillionOperationsAnswerAsAnArrayOfBytesWould) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Program program(seed);
    for (int i = 0; i < 10'000; ++i) {
      program.step();
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace holdfast::lockd::test
