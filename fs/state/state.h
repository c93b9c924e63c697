#pragma once
/// A mount's live state, published as a file that other programs map (page.h, reading.h).
///
/// Thread: the loop's, but for Requests::end(), which is for any.

#include "fs/state/page.h"
#include "holdfast/base/result.h"
#include "holdfast/base/unique_fd.h"

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast::fs::state {

/// CLOCK_BOOTTIME in milliseconds, as the page has it.
[[nodiscard]] std::uint64_t now_ms();

class State {
 public:
  /// `directory` is where the file will stand; it must exist. If nothing can be written there, the
  /// state is for this process alone, and publish() tells why.
  explicit State(std::string directory);
  /// Takes the file away.
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  struct Identity {
    std::string source;
    std::string mountpoint;
    std::string lockd;
    std::string node;
    std::array<std::uint8_t, 16> volume{};
  };
  /// Texts that are too long are cut. Before publish().
  void identify(const Identity& identity);
  /// From now on readers find it, as that of this FUSE connection (the minor device number of the
  /// mount). What a dead mount left there goes.
  [[nodiscard]] Result<void> publish(std::string_view connection);

  /// To be filled in.
  [[nodiscard]] Page& page() { return *page_; }

  // ---- Requests of the kernel
  void begin(std::uint64_t unique, std::uint32_t opcode, std::uint64_t node, std::uint32_t pid);
  /// One that was not begun is no error.
  void end(std::uint64_t unique);

  // ---- Calls to the storage
  class Call {
   public:
    Call(State* state, std::uint32_t procedure);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    struct Open {
      std::uint64_t since;
      std::uint32_t procedure;
    };
    friend class State;
    State* state_;
    std::list<Open>::iterator at_{};
  };

 private:
  struct Mapped;
  ErrorCode begin_file();
  void tell_oldest_call();

  std::string directory_;
  std::string path_;
  ErrorCode failed_;
  UniqueFd file_;  // its flock(2) says that the writer lives
  std::unique_ptr<Mapped> mapped_;
  Page* page_ = nullptr;
  std::list<Call::Open> calls_;  // oldest first
};

/// Where the state stands.
[[nodiscard]] std::string file_of(std::string_view directory, std::string_view connection);

}  // namespace holdfast::fs::state
