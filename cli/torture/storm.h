#pragma once
/// `--storm N`: processes that keep tokens moving while a mode is at work. Through every directory
/// they use the mode's own files and the directories around them, each use in conflict with what
/// other mounts may have kept, and change nothing that the mode judges.
///
/// They come in gusts, all at once, with pauses in which a file is kept again; and mostly the
/// workers of one directory only go on meanwhile (Arena::await_turn). Where all use a file all the
/// time nobody keeps anything of it, and nothing would move.
///
/// Thread: the owner's.

#include "cli/torture/arena.h"
#include "fs/counters/reading.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::torture {

/// What a mode's judgement bears beyond looks, new times and neighbours in the directory.
struct StormLimits {
  std::string_view files{};        ///< how the names of the mode's own files begin
  bool locks = false;              ///< of bytes far behind those that the mode locks
  bool permissions = false;        ///< 0600 and 0640
  std::string_view writable = {};  ///< files whose names begin so, behind kStormByte; empty: none
};

inline constexpr std::int64_t kStormByte = std::int64_t{1} << 20;
inline constexpr std::int64_t kStormLock = std::int64_t{1} << 40;

class Storm {
 public:
  /// Begins it; with `--storm 0` nothing happens. `arena` outlives it.
  Storm(Arena& arena, const StormLimits& limits);
  ~Storm() { stop(); }
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

  /// Ends it. Who does not end is reported.
  void stop();
  /// What it did, and how many tokens the mounts gave up meanwhile, for whatever reason; nothing
  /// without a storm.
  [[nodiscard]] std::optional<std::string> note() const;

 private:
  struct Moves {
    std::uint64_t tokens = 0;  ///< given up
    std::uint64_t locks = 0;   ///< of these, such that took locks along
  };
  [[nodiscard]] Moves moves() const;

  Arena& arena_;
  std::vector<pid_t> pids_;
  std::vector<fs::counters::Reading> mounts_;  ///< none if one of the directories is no such mount
  Moves before_;
};

/// What process `number` of the storm does until Shared::storm_over; the exit code.
[[nodiscard]] int blow(Arena& arena, const StormLimits& limits, unsigned number);

}  // namespace holdfast::torture
