// What a mount keeps is never older than the storage, whatever overlaps: looks and changes of its
// own that take time, and changes of others while the token is away. With changes behind its back,
// made without a token, it is never older than whoever asks allows, and what was read before one of
// them is found out.
#include "fs/cache/kept_files.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

constexpr std::size_t kFiles = 3;  // file 0 is the directory
constexpr std::size_t kNames = 3;
constexpr FileKey kDirectory{1, 0};

FileKey file(std::size_t i) {
  return {i + 1, 0};
}
FileHandle handle(std::size_t i) {
  FileHandle out;
  out.bytes.push_back(static_cast<std::uint8_t>(i));
  return out;
}
std::string name(std::size_t i) {
  return std::string(1, static_cast<char>('a' + i));
}

using Child = std::optional<std::size_t>;

/// The storage: each file has a version (its size), each name a child or none; with what it was
/// before, and since when.
struct Storage {
  std::array<std::uint64_t, kFiles> version{};
  std::array<Child, kNames> child{};
  std::array<std::vector<std::pair<int, std::uint64_t>>, kFiles> versions{};
  std::array<std::vector<std::pair<int, Child>>, kNames> children{};

  void note(int now) {
    for (std::size_t i = 0; i < kFiles; ++i)
      note(versions[i], version[i], now);
    for (std::size_t i = 0; i < kNames; ++i)
      note(children[i], child[i], now);
  }
  template <class T>
  static void note(std::vector<std::pair<int, T>>& history, const T& value, int now) {
    if (history.empty() || history.back().second != value) history.emplace_back(now, value);
  }
  /// It was so at some moment from `oldest` on.
  template <class T>
  static bool was(const std::vector<std::pair<int, T>>& history, const T& value, int oldest) {
    for (std::size_t i = 0; i < history.size(); ++i) {
      const bool ended = i + 1 < history.size() && history[i + 1].first < oldest;
      if (history[i].second == value && !ended) return true;
    }
    return false;
  }
};

/// Whether somebody without a token changes files.
enum class Behind { kNobody, kSomebody };

/// A call under way: it happens at the storage at some moment between its begin and its end.
struct UnderWay {
  enum class Kind { kLook, kLookup, kChange, kSetName } kind = Kind::kLook;
  std::size_t which = 0;  // file or name
  KeptFiles::Look look;
  KeptFiles::Change begun;
  bool happened = false;
  std::uint64_t seen = 0;
  Child seen_child;
  Child new_child;
};

class World {
 public:
  // Changes of its own hide others, and so does a token that moves: half of the worlds have none of
  // the former and little of the latter.
  World(unsigned seed, Behind behind)
      : random_(seed), behind_(behind), changes_itself_(seed % 2 == 0), kept_(4) {
    storage_.note(now_);
  }

  void step() {
    ++now_;
    act();
    storage_.note(now_);
  }

  std::uint64_t hits = 0, absent_hits = 0, found_out = 0;

 private:
  void act() {
    switch (pick(behind_ == Behind::kSomebody ? 10 : 8)) {
      case 8:
        return change_behind();
      case 9:
        return read();
      case 0:
      case 1:
        return begin();
      case 2:
      case 3:
        return happen();
      case 4:
      case 5:
        return end();
      case 6:
        return move_token();
      default:
        return judge();
    }
  }

  std::size_t pick(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }

  void begin() {
    if (generation_ == 0 || calls_.size() > 4) return;
    UnderWay call;
    call.kind = static_cast<UnderWay::Kind>(pick(changes_itself_ ? 4 : 2));
    call.which = pick(3);
    switch (call.kind) {
      case UnderWay::Kind::kLook:
        call.look = kept_.begin_look(file(call.which), generation_, at(now_));
        break;
      case UnderWay::Kind::kLookup:
        call.look = kept_.begin_look(kDirectory, generation_, at(now_));
        break;
      case UnderWay::Kind::kChange:
        call.begun = kept_.begin_change(file(call.which), at(now_));
        changed_by_us_[call.which] = true;
        break;
      case UnderWay::Kind::kSetName:
        for (const UnderWay& other :
             calls_) {  // one change of a name at a time, as the kernel does
          if (other.kind == call.kind && other.which == call.which) return;
        }
        call.begun = kept_.begin_change(kDirectory, at(now_));
        changed_by_us_[0] = true;
        kept_.name_is_unknown(kDirectory, name(call.which));
        if (pick(2) == 0) call.new_child = pick(kFiles);
        break;
    }
    calls_.push_back(call);
  }

  void happen_to(UnderWay& call) {
    if (std::exchange(call.happened, true)) return;
    switch (call.kind) {
      case UnderWay::Kind::kLook:
        call.seen = storage_.version[call.which];
        break;
      case UnderWay::Kind::kLookup:
        call.seen_child = storage_.child[call.which];
        break;
      case UnderWay::Kind::kChange:
        call.seen = ++storage_.version[call.which];
        break;
      case UnderWay::Kind::kSetName:
        storage_.child[call.which] = call.new_child;
        ++storage_.version[0];
        break;
    }
  }
  void happen() {
    if (!calls_.empty()) happen_to(calls_[pick(calls_.size())]);
  }

  void end() {
    if (calls_.empty()) return;
    const std::size_t i = pick(calls_.size());
    UnderWay call = calls_[i];
    happen_to(call);
    calls_.erase(calls_.begin() + static_cast<std::ptrdiff_t>(i));
    Attributes attributes;
    attributes.size = call.seen;
    switch (call.kind) {
      case UnderWay::Kind::kLook:
        if (!kept_.keep(call.look, attributes)) return;
        ++found_out;
        EXPECT_TRUE(behind_ == Behind::kSomebody || call.look.generation != generation_);
        pages_[call.which].reset();
        return;
      case UnderWay::Kind::kLookup:
        if (call.seen_child)
          return kept_.keep_name(call.look, name(call.which), handle(*call.seen_child));
        return kept_.keep_absent(call.look, name(call.which));
      case UnderWay::Kind::kChange:
        return kept_.end_change(call.begun, generation_, attributes);
      case UnderWay::Kind::kSetName:
        if (call.new_child) {
          kept_.name_is(kDirectory, generation_, name(call.which), handle(*call.new_child));
        } else {
          kept_.name_is_absent(kDirectory, generation_, name(call.which));
        }
        return kept_.end_change(call.begun, generation_);
    }
  }

  // Looks may be under way when the token is lost; changes have ended or ended badly before.
  void move_token() {
    if (!changes_itself_ && generation_ != 0 && pick(8) != 0) return;
    if (generation_ == 0) {
      generation_ = ++last_generation_;
      changed_by_us_ = {};
      pages_ = {};
      return;
    }
    const auto changes = [](const UnderWay& call) {
      return call.kind == UnderWay::Kind::kChange || call.kind == UnderWay::Kind::kSetName;
    };
    if (std::any_of(calls_.begin(), calls_.end(), changes)) return;
    generation_ = 0;
    if (pick(2) == 0) {
      for (std::size_t i = 0; i < kFiles; ++i)
        kept_.drop(file(i));
    }  // else the next generation has another number, which must suffice
    for (std::uint64_t& version : storage_.version)
      version += pick(2);
    for (auto& child : storage_.child) {
      if (pick(2) == 0) child = pick(2) == 0 ? std::optional(pick(kFiles)) : std::nullopt;
    }
  }

  void change_behind() {
    const std::size_t which = pick(kFiles);
    ++storage_.version[which];
    if (which == 0) storage_.child[pick(kNames)] = pick(2) == 0 ? Child(pick(kFiles)) : Child();
  }

  // The kernel asks for attributes first, so they are known.
  void read() {
    const std::size_t i = pick(kFiles);
    if (kept_.attributes(file(i), generation_, Instant{})) pages_[i] = storage_.version[i];
  }

  static Instant at(int now) { return Instant(Duration(now)); }

  // Without changes behind our back nothing is too old.
  void judge() {
    const bool alone = behind_ == Behind::kNobody;
    const int oldest = alone ? 0 : std::max(0, now_ - static_cast<int>(pick(20)));
    const int right_from = alone ? now_ : oldest;
    for (std::size_t i = 0; i < kFiles; ++i) {
      const auto attributes = kept_.attributes(file(i), generation_, at(oldest));
      if (!attributes) continue;
      ++hits;
      EXPECT_NE(generation_, 0U);
      EXPECT_TRUE(Storage::was(storage_.versions[i], attributes->size, right_from)) << "file " << i;
      const bool pages_count = pages_[i] && !changed_by_us_[i];
      EXPECT_TRUE(!pages_count || *pages_[i] >= attributes->size) << "file " << i;
    }
    (void)kept_.names_need_a_look(kDirectory, generation_, at(oldest), at(now_));
    for (std::size_t i = 0; i < kNames; ++i) {
      const auto found = kept_.name(kDirectory, generation_, name(i), at(oldest));
      if (found.state == KeptFiles::Name::State::kUnknown) continue;
      EXPECT_NE(generation_, 0U);
      const bool absent = found.state == KeptFiles::Name::State::kAbsent;
      ++(absent ? absent_hits : hits);
      bool right = false;
      for (std::size_t child = 0; child < kFiles; ++child) {
        right |= !absent && found.child == handle(child) &&
                 Storage::was(storage_.children[i], Child(child), right_from);
      }
      right |= absent && Storage::was(storage_.children[i], Child(), right_from);
      EXPECT_TRUE(right) << "name " << i;
    }
  }

  std::mt19937 random_;
  Behind behind_;
  bool changes_itself_;
  int now_ = 1;
  std::array<std::optional<std::uint64_t>, kFiles> pages_{};  // read and kept, of which version
  std::array<bool, kFiles> changed_by_us_{};                  // in this generation
  KeptFiles kept_;
  Storage storage_;
  std::vector<UnderWay> calls_;
  std::uint64_t generation_ = 0;
  std::uint64_t last_generation_ = 0;
};

struct Sum {
  std::uint64_t hits = 0, absent_hits = 0, found_out = 0;
};

Sum run_worlds(Behind behind) {
  Sum sum;
  for (unsigned seed = 0; seed < 2000 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, behind);
    for (int i = 0; i < 500 && !::testing::Test::HasFailure(); ++i)
      world.step();
    sum.hits += world.hits;
    sum.absent_hits += world.absent_hits;
    sum.found_out += world.found_out;
  }
  return sum;
}

TEST(KeptFilesProperty, WhatIsKeptIsWhatTheStorageHas) {
  const auto sum = run_worlds(Behind::kNobody);
  EXPECT_GT(sum.hits, 1000U) << "it keeps something";
  EXPECT_GT(sum.absent_hits, 100U);
}

TEST(KeptFilesProperty, WhatIsChangedBehindItsBackIsFoundOutInTime) {
  const auto sum = run_worlds(Behind::kSomebody);
  EXPECT_GT(sum.hits, 1000U);
  EXPECT_GT(sum.absent_hits, 100U);
  EXPECT_GT(sum.found_out, 100U);
}

TEST(KeptFiles, TheOneUnusedForLongestGoesFirst) {
  KeptFiles kept(2);
  Attributes attributes;
  for (std::size_t i = 0; i < 2; ++i)
    (void)kept.keep(kept.begin_look(file(i), 1, Instant{}), attributes);
  EXPECT_TRUE(kept.attributes(file(0), 1, Instant{}));
  (void)kept.keep(kept.begin_look(file(2), 1, Instant{}), attributes);
  EXPECT_EQ(kept.size(), 2U);
  EXPECT_TRUE(kept.attributes(file(0), 1, Instant{}));
  EXPECT_FALSE(kept.attributes(file(1), 1, Instant{}));
}

TEST(KeptFiles, PermissionsAreKeptByCallerAndBits) {
  KeptFiles kept;
  const Credentials alice{1, 1, {}}, bob{2, 2, {}};
  const auto look = kept.begin_look(file(0), 1, Instant{});
  kept.keep_access(look, alice, 6, 4);
  EXPECT_EQ(kept.access(file(0), 1, alice, 4), 4U);
  EXPECT_EQ(kept.access(file(0), 1, alice, 2), 0U);
  EXPECT_FALSE(kept.access(file(0), 1, alice, 1)) << "was not asked for";
  EXPECT_FALSE(kept.access(file(0), 1, bob, 4));
  EXPECT_FALSE(kept.access(file(0), 2, alice, 4)) << "of another generation";
  (void)kept.begin_change(file(0), Instant{});
  EXPECT_FALSE(kept.access(file(0), 1, alice, 4)) << "it may be a chmod";
}

}  // namespace
}  // namespace holdfast::fs
