#pragma once
/// Hashing of keys that clients choose. Whoever knows the function can choose keys that collide and
/// make each look-up of everybody linear; so it is keyed, with a salt that nobody outside this
/// process knows. SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012; the
/// variant of the hash tables of Rust and Python), over 64-bit words.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace holdfast::lockd {

/// From the shell: the core has no randomness. Tests and the simulator leave it at zero.
struct HashSalt {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
};

class SaltedHash {
 public:
  explicit SaltedHash(HashSalt salt)
      : v0_(salt.first ^ 0x736f6d6570736575ULL),
        v1_(salt.second ^ 0x646f72616e646f6dULL),
        v2_(salt.first ^ 0x6c7967656e657261ULL),
        v3_(salt.second ^ 0x7465646279746573ULL) {}

  [[nodiscard]] std::size_t of(std::initializer_list<std::uint64_t> words) const noexcept {
    SaltedHash state = *this;
    for (const std::uint64_t word : words)
      state.add(word);
    state.add(std::uint64_t{words.size()} << 59U);  // the length in bytes, in the top byte
    state.v2_ ^= 0xff;
    for (int i = 0; i < 3; ++i)
      state.round();
    return state.v0_ ^ state.v1_ ^ state.v2_ ^ state.v3_;
  }

 private:
  void add(std::uint64_t word) noexcept {
    v3_ ^= word;
    round();
    v0_ ^= word;
  }
  void round() noexcept {
    v0_ += v1_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v3_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v2_ = std::rotl(v2_, 32);
  }

  std::uint64_t v0_;
  std::uint64_t v1_;
  std::uint64_t v2_;
  std::uint64_t v3_;
};

}  // namespace holdfast::lockd
