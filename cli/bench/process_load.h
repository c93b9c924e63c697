#pragma once
/// What another process uses, from /proc.

#include <chrono>
#include <cstdint>
#include <optional>

#include <sys/types.h>

namespace holdfast::bench {

/// CPU time of all its threads so far. Nothing if it is not there.
[[nodiscard]] std::optional<std::chrono::nanoseconds> cpu_time(pid_t pid);
/// Bytes of memory resident. Nothing if it is not there.
[[nodiscard]] std::optional<std::uint64_t> resident_size(pid_t pid);
/// How many descriptors it has open. Nothing if it is not there.
[[nodiscard]] std::optional<std::size_t> open_descriptors(pid_t pid);

}  // namespace holdfast::bench
