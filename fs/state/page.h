#pragma once
/// The memory in which a mount's live state lies (ADR 18). Written by the mount, read by any
/// program of the same machine, also while the mount hangs or after it was killed: no lock, no
/// pointer, no allocator, fixed size and places, each number whole by itself. Times are
/// CLOCK_BOOTTIME in milliseconds; 0 = never, or not.
///
/// A process that takes over from a dead mount finds here what it was; nothing here is secret,
/// since every user of the machine may read it: the session's secret is not.

#include "fs/published/file.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace holdfast::fs::state {

/// Requests of the kernel that are shown one by one; of more there is only the number.
inline constexpr std::size_t kRequestsMax = 256;

/// A request of the kernel without an answer.
struct RequestCell {
  std::atomic<std::uint64_t> unique = 0;  ///< its number; 0 = free. Written last, freed first
  std::atomic<std::uint64_t> since = 0;
  std::atomic<std::uint64_t> node = 0;
  std::atomic<std::uint32_t> opcode = 0;  ///< linux/fuse.h
  std::atomic<std::uint32_t> pid = 0;     ///< thread that asks; 0 = the kernel
};

struct Page {
  published::Head head;
  std::uint64_t started = 0;
  std::array<std::uint8_t, 16> volume{};
  // Texts end with a zero byte; written before the page is published.
  std::array<char, 1024> source{};
  std::array<char, 1024> mountpoint{};
  std::array<char, 1024> lockd{};  ///< addresses, "a:7680, b:7680"
  std::array<char, 256> node{};

  std::atomic<std::uint64_t> beat = 0;  ///< the loop ran; several times a second
  // The session at lockd.
  std::atomic<std::uint64_t> session = 0;
  std::atomic<std::uint64_t> epoch = 0;
  std::atomic<std::uint64_t> entitled_until = 0;  ///< before, everything may go on
  std::atomic<std::uint64_t> suspended_since = 0;
  std::atomic<std::uint64_t> connected_since = 0;
  std::atomic<std::uint64_t> disconnected_since = 0;
  std::atomic<std::uint64_t> lockd_error = 0;  ///< errno of the last attempt to connect
  std::atomic<std::uint64_t> locks = 0;
  std::atomic<std::uint64_t> tokens = 0;
  std::atomic<std::uint64_t> lockd_calls = 0;  ///< without an answer: waiting locks, mostly
  // Storage.
  std::atomic<std::uint64_t> storage_calls = 0;  ///< without an answer
  std::atomic<std::uint64_t> storage_oldest = 0;
  std::atomic<std::uint64_t> storage_procedure = 0;  ///< of the oldest: RFC 1813's number
  // The kernel.
  std::atomic<std::uint64_t> requests = 0;  ///< without an answer, those below included
  std::array<RequestCell, kRequestsMax> request{};
};

static_assert(sizeof(RequestCell) == 32 && sizeof(Page) == 11'680, "the layout is a promise");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

inline constexpr published::Kind kKind{
    .name = "state", .magic = "HFSTATE", .version = 1, .size = sizeof(Page)};

}  // namespace holdfast::fs::state
