// Uncommitted against an array of bytes.

#include "fs/io/uncommitted.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace holdfast::fs {
namespace {

constexpr std::size_t kSize = 64;

struct Model {
  struct Byte {
    std::uint8_t value;
    WriteVerifier verifier;
    Uncommitted::Generation generation;
    enum { kUnsent, kVerifier, kStable } proof = kVerifier;
    bool alone = false;
  };
  std::array<std::optional<Byte>, kSize> bytes;
};

void expect_same(const Uncommitted& kept, const Model& model, Uncommitted::Generation now) {
  kept.check_invariants();
  std::uint64_t count = 0;
  for (const auto& byte : model.bytes)
    count += byte.has_value() ? 1 : 0;
  RC_ASSERT(kept.bytes() == count);
  for (Uncommitted::Generation upto = 0; upto <= now; ++upto) {
    std::array<std::optional<std::uint8_t>, kSize> seen;
    std::uint64_t from = 0;
    while (auto piece = kept.next(upto, from)) {
      RC_ASSERT(piece->offset >= from);
      RC_ASSERT(!piece->data.empty());
      for (std::size_t i = 0; i < piece->data.size(); ++i)
        seen[piece->offset + i] = piece->data.bytes()[i];
      from = piece->offset + piece->data.size();
    }
    for (std::size_t i = 0; i < kSize; ++i) {
      const auto& byte = model.bytes[i];
      const bool expected = byte && byte->generation <= upto;
      RC_ASSERT(seen[i].has_value() == expected);
      if (expected) RC_ASSERT(*seen[i] == byte->value);
    }
  }
  std::array<bool, kSize> unsent{};
  for (auto piece = kept.next_unsent(now, 0); piece;) {
    for (std::size_t i = 0; i < piece->data.size(); ++i)
      unsent[piece->offset + i] = true;
    piece = kept.next_unsent(now, piece->offset + piece->data.size());
  }
  std::array<std::optional<std::uint8_t>, kSize> alone;
  kept.visit_alone(1, kSize - 1, [&](std::uint64_t offset, std::span<const std::uint8_t> data) {
    for (std::size_t i = 0; i < data.size(); ++i)
      alone[offset + i] = data[i];
  });
  std::uint64_t alone_end = 0;
  for (std::size_t i = 0; i < kSize; ++i) {
    const auto& byte = model.bytes[i];
    RC_ASSERT(unsent[i] == (byte && byte->proof == Model::Byte::kUnsent));
    if (byte && byte->alone) alone_end = i + 1;
    const bool shown = byte && byte->alone && i >= 1 && i < kSize - 1;
    RC_ASSERT(alone[i].has_value() == shown);
    if (shown) RC_ASSERT(*alone[i] == byte->value);
  }
  RC_ASSERT(kept.alone_end() == alone_end);
}

/// What answered() says, byte by byte.
void model_answer(Model& model, Uncommitted::Generation of, std::size_t start, std::size_t end,
                  const WriteResult& result) {
  for (std::size_t i = start; i < end; ++i) {
    auto& byte = model.bytes[i];
    if (!byte || byte->generation != of) continue;
    if (result.committed == Stability::kFileSync) {
      byte.reset();
    } else if (byte->proof == Model::Byte::kUnsent) {
      byte->proof = Model::Byte::kVerifier;
      byte->verifier = result.verifier;
    }
  }
}

/// Pieces that somebody sends: what they hold stays as it was.
class OnTheirWay {
 public:
  void take(const std::optional<Uncommitted::Piece>& piece) {
    if (!piece) return;
    const auto bytes = piece->data.bytes();
    pieces_.emplace_back(piece->data, std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
  }
  void expect_unchanged() const {
    for (const auto& [piece, before] : pieces_)
      RC_ASSERT(std::equal(before.begin(), before.end(), piece.bytes().begin()));
  }

 private:
  std::vector<std::pair<Chunk, std::vector<std::uint8_t>>> pieces_;
};

RC_GTEST_PROP(Uncommitted, KeepsW3ExactlyWhatIsNotProved, ()) {
  Uncommitted kept;
  Model model;
  OnTheirWay on_their_way;
  const int steps = *rc::gen::inRange(1, 60);
  for (int step = 0; step < steps; ++step) {
    const auto start = *rc::gen::inRange<std::size_t>(0, kSize);
    const auto end = *rc::gen::inRange<std::size_t>(start, kSize + 1);
    const auto verifier = *rc::gen::inRange<WriteVerifier>(1, 4);
    const auto upto = *rc::gen::inRange<Uncommitted::Generation>(0, kept.generation() + 1);
    switch (*rc::gen::inRange(0, 10)) {
      case 0:
      case 1:
      case 2: {
        std::vector<std::uint8_t> data;
        for (std::size_t i = start; i < end; ++i)
          data.push_back(static_cast<std::uint8_t>(step * 64 + static_cast<int>(i)));
        kept.put(start, data, verifier);
        for (std::size_t i = start; i < end; ++i)
          model.bytes[i] = {data[i - start], verifier, kept.generation()};
        break;
      }
      case 3:
        kept.erase(start, end);
        for (std::size_t i = start; i < end; ++i)
          model.bytes[i].reset();
        break;
      case 4:
        kept.close();
        break;
      case 9: {
        auto expected = kept.generation();
        for (const auto& byte : model.bytes) {
          if (byte && byte->proof == Model::Byte::kUnsent)
            expected = std::min(expected, byte->generation - 1);
        }
        RC_ASSERT(kept.close_sent() == expected);
        break;
      }
      case 5:
        kept.prove(upto, verifier);
        for (auto& byte : model.bytes) {
          if (byte && byte->generation <= upto && byte->verifier == verifier &&
              byte->proof == Model::Byte::kVerifier)
            byte.reset();
        }
        break;
      case 6:
        kept.distrust(upto);
        for (auto& byte : model.bytes) {
          if (byte && byte->generation <= upto && byte->proof == Model::Byte::kVerifier)
            byte->proof = Model::Byte::kStable;
        }
        break;
      case 7: {
        DirtyBytes dirty;
        const std::vector<std::uint8_t> data(end - start, static_cast<std::uint8_t>(step));
        dirty.put(start, data);
        const auto of = kept.add_unsent(dirty.take());
        for (std::size_t i = start; i < end; ++i)
          model.bytes[i] = {data[i - start], 0, of, Model::Byte::kUnsent, true};
        break;
      }
      case 8: {
        WriteResult result;
        result.committed = verifier == 3 ? Stability::kFileSync : Stability::kUnstable;
        result.verifier = verifier;
        kept.answered(upto, start, end - start, result);
        model_answer(model, upto, start, end, result);
        break;
      }
    }
    expect_same(kept, model, kept.generation());
    on_their_way.expect_unchanged();
    on_their_way.take(kept.next(kept.generation(), start));
  }
}

TEST(Uncommitted, JoinsNeighboursOfOneGeneration) {
  Uncommitted kept;
  const std::vector<std::uint8_t> data(100, 1);
  for (std::uint64_t i = 0; i < 10; ++i)
    kept.put(i * 100, data, 7);
  EXPECT_EQ(kept.next(1, 0)->data.size(), 1000U);
  kept.close();
  kept.put(1000, data, 7);
  EXPECT_EQ(kept.next(2, 0)->data.size(), 1000U);
}

}  // namespace
}  // namespace holdfast::fs
