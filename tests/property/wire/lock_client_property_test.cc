// A mount's lock calls from the kernel's request to lockd and back, pure: LockBook, ClientCore and
// Coordinator with a slow, breakable line in between. Whatever signals, closes, reused owner ids
// and reconnects do, mount and lockd agree about who holds what once nothing is on its way.
#include "fs/core/lock_book.h"
#include "fs/lock/client_core.h"
#include "lockd/core/coordinator.h"

#include <array>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace holdfast {
namespace {

using fs::CallId;
using fs::Certainty;
using fs::ClientCore;
using fs::ClientEffects;
using fs::LockBook;
using fs::LockOwner;
using lockd::ConnectionId;

constexpr FileKey kFile{.fileid = 1, .handle_hash = 1};
constexpr std::uint64_t kBytes = 12;
constexpr Instant kNow{};
constexpr int kPlaces = 3;     // of open file descriptions; the kernel reuses their addresses
constexpr int kProcesses = 2;  // POSIX owners
constexpr SessionId kRival{1000};

ByteRange bytes(std::uint64_t start, std::uint64_t end) {
  return *ByteRange::make(start, end);
}

/// lockd, and the line to it.
class Line {
 public:
  Line() { absorb(lockd_.hello(Hello{}, {kRival, {}, {}}, ConnectionId{++connection_}, kNow)); }
  void send(ClientMessage message) { up_.push_back(std::move(message)); }
  void cut() {
    up_.clear();
    down_.clear();
    greeted_ = false;
  }
  [[nodiscard]] bool idle() const { return up_.empty() && down_.empty(); }
  /// One message reaches lockd.
  void carry_up() {
    if (up_.empty()) return;
    const ClientMessage message = std::move(up_.front());
    up_.pop_front();
    if (const auto* hello = std::get_if<Hello>(&message)) {
      absorb(lockd_.hello(*hello, {mount_, {}, {}}, ConnectionId{++connection_}, kNow));
    } else if (const auto* request = std::get_if<Request>(&message)) {
      absorb(lockd_.request(mount_, *request, kNow));
    }
    lockd_.check_invariants();
  }
  std::optional<ServerMessage> carry_down() {
    if (down_.empty()) return std::nullopt;
    ServerMessage message = std::move(down_.front());
    down_.pop_front();
    return message;
  }
  /// A request of the rival, without a line.
  void rival(Command command) {
    ++rival_last_;
    absorb(lockd_.request(kRival, {{rival_last_}, {rival_last_ - 1}, std::move(command)}, kNow));
    lockd_.check_invariants();
  }
  [[nodiscard]] std::vector<LockInfo> of_mount() const {
    std::vector<LockInfo> held;
    for (const auto& lock : lockd_.list_locks(kNow, 1000).locks)
      if (lock.session == mount_ && lock.state == LockState::kHeld) held.push_back(lock);
    return held;
  }

 private:
  void absorb(const lockd::Effects& effects) {
    for (const auto& effect : effects) {
      RC_ASSERT(!std::holds_alternative<lockd::EndSession>(effect));
      if (const auto* greet = std::get_if<lockd::Greet>(&effect)) {
        RC_ASSERT(std::holds_alternative<Welcome>(greet->answer));
        if (connection_ == 1) continue;  // the rival's
        greeted_ = true;
        down_.emplace_back(std::get<Welcome>(greet->answer));
      } else if (!greeted_) {
        continue;
      } else if (const auto* reply = std::get_if<lockd::SendReply>(&effect)) {
        if (reply->session == mount_) down_.emplace_back(reply->reply);
      } else if (const auto* sent = std::get_if<lockd::Send>(&effect)) {
        if (sent->session == mount_) down_.push_back(sent->message);
      }
    }
  }

  lockd::Coordinator lockd_{
      lockd::Options{},
      {.epoch = Epoch{1}, .empty = false, .lease_ttl_max = {}, .sessions = {}},
      kNow};
  std::uint64_t connection_ = 0;
  const SessionId mount_{1};
  std::uint64_t rival_last_ = 0;
  bool greeted_ = false;  // replies go to a connection that belongs to the session
  std::deque<ClientMessage> up_;
  std::deque<ServerMessage> down_;
};

/// What fs/fuse/op_locks.cc and op_close.cc do, without storage and pages.
class Mount {
 public:
  Mount() {
    for (auto& place : places_)
      place = HandleId{++last_handle_};
    connect();
    settle();
  }

  struct Wish {
    LockSpace space;
    bool posix;
    int place;
    int process;
    LockMode mode;
    ByteRange range;
    Wait wait;
  };
  [[nodiscard]] OwnerId owner_of(const Wish& wish) const {
    const bool process = wish.posix && wish.space == LockSpace::kRange;
    return OwnerId{static_cast<std::uint64_t>(process ? 100 + wish.process : wish.place)};
  }
  void lock(const Wish& wish) {
    LockRequest request;
    request.file = kFile;
    request.space = wish.space;
    request.owner = owner_of(wish);
    request.handle = places_[at(wish.place)];
    request.mode = wish.mode;
    request.range = wish.space == LockSpace::kFlock ? ByteRange::whole_file() : wish.range;
    book_.begin_request({request.space, request.owner});
    submit_lock({.request = request, .wait = wish.wait});
  }
  void unlock(const Wish& wish) {
    const LockOwner owner{wish.space, owner_of(wish)};
    if (!book_.may_hold(owner)) return;
    const auto range = wish.space == LockSpace::kFlock ? ByteRange::whole_file() : wish.range;
    book_.clear(owner, range);
    submit(UnlockRequest{kFile, owner.space, owner.owner, range});
  }
  /// FLUSH by a process, and RELEASE if no call runs through the place; its next open has another
  /// handle and the same owner id.
  void close(int place, int process) {
    const OwnerId owner{static_cast<std::uint64_t>(100 + process)};
    if (book_.may_hold({LockSpace::kRange, owner})) {
      book_.drop_owner(owner);
      submit(ReleaseOwnerRequest{kFile, owner});
    }
    HandleId& handle = places_[at(place)];
    for (const auto& [id, call] : calls_)
      if (call.request.handle == handle) return;
    if (book_.holds_through(handle)) {
      book_.drop_handle(handle);
      submit(ReleaseHandleRequest{kFile, handle});
    }
    handle = HandleId{++last_handle_};
  }
  void interrupt(std::size_t which) {
    if (calls_.empty()) return;
    auto it = calls_.begin();
    std::advance(it, static_cast<long>(which % calls_.size()));
    it->second.interrupted = true;
    const CallId id = it->first;
    take(core_.interrupt(id));
  }
  void interrupt_all() {
    for (std::size_t i = calls_.size(); i > 0; --i)
      interrupt(i - 1);
  }
  void cut() {
    cut_ = true;
    line_.cut();
    core_.disconnected();
    connect();
  }
  void carry_up() { line_.carry_up(); }
  void carry_down() {
    if (const auto message = line_.carry_down()) take(core_.received(*message, kNow));
  }
  /// A caller wakes up, in the order of the answers.
  void wake() {
    if (ended_.empty()) return;
    const auto [id, outcome] = std::move(ended_.front());
    ended_.pop_front();
    const auto found = calls_.find(id);
    if (found == calls_.end()) return;
    Call call = std::move(found->second);
    calls_.erase(found);
    woken(std::move(call), outcome);
  }
  void settle() {
    while (!line_.idle() || !ended_.empty()) {
      line_.carry_up();
      carry_down();
      wake();
    }
  }
  Line& line() { return line_; }
  [[nodiscard]] bool has_calls() const { return !calls_.empty(); }
  [[nodiscard]] std::size_t open_calls() const { return core_.open_calls(); }

  /// Nothing is on its way: mount and lockd must agree.
  void compare() const {
    std::map<LockOwner, std::map<std::uint64_t, LockMode>> there;
    for (const auto& lock : line_.of_mount())
      for (std::uint64_t i = 0; i < kBytes; ++i)
        if (lock.range.overlaps(bytes(i, i + 1))) there[{lock.space, lock.owner}][i] = lock.mode;
    std::set<LockOwner> owners;
    for (const auto space : {LockSpace::kRange, LockSpace::kFlock})
      for (const std::uint64_t owner : {0, 1, 2, 100, 101})
        owners.insert({space, OwnerId{owner}});
    for (const auto& owner : owners) {
      const auto& held = there[owner];
      for (std::uint64_t i = 0; i < kBytes; ++i) {
        const auto one = held.find(i);
        const auto byte = bytes(i, i + 1);
        const bool exclusive = one != held.end() && one->second == LockMode::kExclusive;
        RC_ASSERT(one == held.end() || book_.holds_any(owner, byte));
        // Kept replies come in number order, not in lockd's: which of two overlapping grants to two
        // threads of one owner came last is not known after a reconnect.
        RC_ASSERT(!exclusive || cut_ || book_.holds_exclusive(owner, byte));
        RC_ASSERT(one != held.end() || !book_.covers(owner, byte));
      }
    }
  }

 private:
  struct Call {
    LockRequest request;
    Wait wait = Wait::kNo;
    bool interrupted = false;
  };
  static std::size_t at(int index) { return static_cast<std::size_t>(index); }

  void connect() { take(core_.connected(kNow)); }
  CallId submit(Command command) {
    ClientEffects effects;
    const CallId id = core_.submit(std::move(command), effects);
    take(std::move(effects));
    return id;
  }
  void submit_lock(Call call) {
    const CallId id = submit(call.request);
    calls_.emplace(id, std::move(call));
  }
  void take(ClientEffects effects) {
    for (auto& effect : effects) {
      if (auto* send = std::get_if<fs::SendMessage>(&effect)) line_.send(std::move(send->message));
      if (auto* end = std::get_if<fs::CompleteCall>(&effect))
        ended_.emplace_back(end->call, end->outcome);
      RC_ASSERT(!std::holds_alternative<fs::SessionLost>(effect));
      RC_ASSERT(!std::holds_alternative<fs::DropConnection>(effect));
    }
  }
  void woken(Call call, const Outcome& outcome) {
    const LockOwner owner{call.request.space, call.request.owner};
    const bool first_try = call.request.wait == Wait::kNo;
    if (const auto* refused = std::get_if<Refused>(&outcome)) {
      const bool taken = refused->errc == LockErrc::kWouldBlock;
      if (first_try && owner.space == LockSpace::kFlock) {
        if (taken) {
          book_.lost(owner);
        } else {
          book_.doubt(owner);
        }
      }
      if (taken && first_try && call.wait == Wait::kYes && !call.interrupted) {
        call.request.wait = Wait::kYes;
        if (owner.space == LockSpace::kFlock) book_.doubt(owner);
        return submit_lock(std::move(call));
      }
      (void)book_.end_request(owner);
      return;
    }
    RC_ASSERT(std::holds_alternative<Granted>(outcome));
    const Certainty certainty = book_.end_request(owner);
    book_.set(owner, call.request.handle, call.request.range, call.request.mode, certainty);
  }

  Line line_;
  bool cut_ = false;
  ClientCore core_{Hello{}, ClientCore::Limits{}};
  LockBook book_;
  std::array<HandleId, kPlaces> places_;
  std::uint64_t last_handle_ = 0;
  std::map<CallId, Call> calls_;
  std::deque<std::pair<CallId, Outcome>> ended_;
};

class Story {
 public:
  explicit Story(std::uint32_t seed) : random_(seed) {}

  void run(int steps) {
    for (int step = 0; step < steps; ++step)
      one();
    mount_.line().rival(ReleaseHandleRequest{kFile, {1}});
    mount_.interrupt_all();
    mount_.settle();
    RC_ASSERT(!mount_.has_calls());
    mount_.compare();
    for (int place = 0; place < kPlaces; ++place)
      for (int process = 0; process < kProcesses; ++process)
        mount_.close(place, process);
    mount_.settle();
    RC_ASSERT(mount_.line().of_mount().empty());
    RC_ASSERT(mount_.open_calls() == 0u);
  }

 private:
  int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }
  LockMode mode() { return below(2) == 0 ? LockMode::kShared : LockMode::kExclusive; }
  ByteRange range() {
    const auto start = static_cast<std::uint64_t>(below(static_cast<int>(kBytes)));
    return bytes(start,
                 start + 1 + static_cast<std::uint64_t>(below(static_cast<int>(kBytes - start))));
  }
  Mount::Wish wish() {
    return {.space = below(4) == 0 ? LockSpace::kFlock : LockSpace::kRange,
            .posix = below(2) == 0,
            .place = below(kPlaces),
            .process = below(kProcesses),
            .mode = mode(),
            .range = range(),
            .wait = below(2) == 0 ? Wait::kYes : Wait::kNo};
  }
  void rival() {
    const bool flock = below(4) == 0;
    const auto where = flock ? ByteRange::whole_file() : range();
    const auto space = flock ? LockSpace::kFlock : LockSpace::kRange;
    if (below(2) == 0) return mount_.line().rival(UnlockRequest{kFile, space, {1}, where});
    LockRequest request;
    request.file = kFile;
    request.space = space;
    request.owner = OwnerId{1};
    request.handle = HandleId{1};
    request.mode = mode();
    request.range = where;
    mount_.line().rival(request);
  }
  void one() {
    const int die = below(24);
    if (die < 4) return mount_.lock(wish());
    if (die < 6) return mount_.unlock(wish());
    if (die < 7) return mount_.close(below(kPlaces), below(kProcesses));
    if (die < 9) return mount_.interrupt(random_());
    if (die < 11) return rival();
    if (die < 15) return mount_.wake();
    if (die < 19) return mount_.carry_up();
    if (die < 23 || below(2) != 0) return mount_.carry_down();
    if (below(3) == 0) return mount_.cut();
    mount_.settle();
    mount_.compare();
  }

  std::mt19937 random_;
  Mount mount_;
};

RC_GTEST_PROP(LockClientProperty, MountAndLockdAgreeWhateverCrosses, (std::uint32_t seed)) {
  const int steps = *rc::gen::inRange(1, 400);
  for (std::uint32_t i = 0; i < 10; ++i)  // a hundred cases are few for what must cross
    Story(seed + i).run(steps);
}

}  // namespace
}  // namespace holdfast
