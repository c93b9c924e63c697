// What a mount keeps is never older than the storage, whatever overlaps: looks and changes of its
// own that take time, and changes of others while the token is away.
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

/// The storage: each file has a version (its size), each name a child or none.
struct Storage {
  std::array<std::uint64_t, kFiles> version{};
  std::array<std::optional<std::size_t>, kNames> child{};
};

/// A call under way: it happens at the storage at some moment between its begin and its end.
struct UnderWay {
  enum class Kind { kLook, kLookup, kChange, kSetName } kind = Kind::kLook;
  std::size_t which = 0;  // file or name
  KeptFiles::Look look;
  std::uint64_t begun = 0;
  bool happened = false;
  std::uint64_t seen = 0;
  std::optional<std::size_t> seen_child;
  std::optional<std::size_t> new_child;
};

class World {
 public:
  explicit World(unsigned seed) : random_(seed), kept_(4) {}

  void step() {
    switch (pick(8)) {
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

  std::uint64_t hits = 0, absent_hits = 0;

 private:
  std::size_t pick(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }

  void begin() {
    if (generation_ == 0 || calls_.size() > 4) return;
    UnderWay call;
    call.kind = static_cast<UnderWay::Kind>(pick(4));
    call.which = pick(3);
    switch (call.kind) {
      case UnderWay::Kind::kLook:
        call.look = kept_.begin_look(file(call.which), generation_);
        break;
      case UnderWay::Kind::kLookup:
        call.look = kept_.begin_look(kDirectory, generation_);
        break;
      case UnderWay::Kind::kChange:
        call.begun = kept_.begin_change(file(call.which));
        break;
      case UnderWay::Kind::kSetName:
        for (const UnderWay& other :
             calls_) {  // one change of a name at a time, as the kernel does
          if (other.kind == call.kind && other.which == call.which) return;
        }
        call.begun = kept_.begin_change(kDirectory);
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
        return kept_.keep(call.look, attributes);
      case UnderWay::Kind::kLookup:
        if (call.seen_child)
          return kept_.keep_name(call.look, name(call.which), handle(*call.seen_child));
        return kept_.keep_absent(call.look, name(call.which));
      case UnderWay::Kind::kChange:
        return kept_.end_change(file(call.which), call.begun, generation_, attributes);
      case UnderWay::Kind::kSetName:
        if (call.new_child) {
          kept_.name_is(kDirectory, generation_, name(call.which), handle(*call.new_child));
        } else {
          kept_.name_is_absent(kDirectory, generation_, name(call.which));
        }
        return kept_.end_change(kDirectory, call.begun, generation_);
    }
  }

  // Looks may be under way when the token is lost; changes have ended or ended badly before.
  void move_token() {
    if (generation_ == 0) {
      generation_ = ++last_generation_;
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

  void judge() {
    for (std::size_t i = 0; i < kFiles; ++i) {
      const auto attributes = kept_.attributes(file(i), generation_);
      if (!attributes) continue;
      ++hits;
      EXPECT_NE(generation_, 0U);
      EXPECT_EQ(attributes->size, storage_.version[i]) << "file " << i;
    }
    for (std::size_t i = 0; i < kNames; ++i) {
      const auto found = kept_.name(kDirectory, generation_, name(i));
      if (found.state == KeptFiles::Name::State::kUnknown) continue;
      EXPECT_NE(generation_, 0U);
      if (found.state == KeptFiles::Name::State::kAbsent) {
        ++absent_hits;
        EXPECT_FALSE(storage_.child[i]) << "name " << i;
      } else {
        ++hits;
        ASSERT_TRUE(storage_.child[i]) << "name " << i;
        EXPECT_EQ(found.child, handle(*storage_.child[i])) << "name " << i;
      }
    }
  }

  std::mt19937 random_;
  KeptFiles kept_;
  Storage storage_;
  std::vector<UnderWay> calls_;
  std::uint64_t generation_ = 0;
  std::uint64_t last_generation_ = 0;
};

TEST(KeptFilesProperty, WhatIsKeptIsWhatTheStorageHas) {
  std::uint64_t hits = 0, absent_hits = 0;
  for (unsigned seed = 0; seed < 400 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    for (int i = 0; i < 500 && !::testing::Test::HasFailure(); ++i)
      world.step();
    hits += world.hits;
    absent_hits += world.absent_hits;
  }
  EXPECT_GT(hits, 1000U) << "it keeps something";
  EXPECT_GT(absent_hits, 100U);
}

TEST(KeptFiles, TheOneUnusedForLongestGoesFirst) {
  KeptFiles kept(2);
  Attributes attributes;
  for (std::size_t i = 0; i < 2; ++i)
    kept.keep(kept.begin_look(file(i), 1), attributes);
  EXPECT_TRUE(kept.attributes(file(0), 1));
  kept.keep(kept.begin_look(file(2), 1), attributes);
  EXPECT_EQ(kept.size(), 2U);
  EXPECT_TRUE(kept.attributes(file(0), 1));
  EXPECT_FALSE(kept.attributes(file(1), 1));
}

TEST(KeptFiles, PermissionsAreKeptByCallerAndBits) {
  KeptFiles kept;
  const Credentials alice{1, 1, {}}, bob{2, 2, {}};
  const auto look = kept.begin_look(file(0), 1);
  kept.keep_access(look, alice, 6, 4);
  EXPECT_EQ(kept.access(file(0), 1, alice, 4), 4U);
  EXPECT_EQ(kept.access(file(0), 1, alice, 2), 0U);
  EXPECT_FALSE(kept.access(file(0), 1, alice, 1)) << "was not asked for";
  EXPECT_FALSE(kept.access(file(0), 1, bob, 4));
  EXPECT_FALSE(kept.access(file(0), 2, alice, 4)) << "of another generation";
  (void)kept.begin_change(file(0));
  EXPECT_FALSE(kept.access(file(0), 1, alice, 4)) << "it may be a chmod";
}

}  // namespace
}  // namespace holdfast::fs
