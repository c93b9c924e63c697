#pragma once
/// A mount's live state, published as a file that other programs map (page.h, reading.h).
///
/// Thread: the loop's.

#include "fs/published/file.h"
#include "fs/state/page.h"
#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"

#include <cstdint>
#include <list>
#include <set>
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
  [[nodiscard]] Result<void> publish(std::string_view connection) {
    return file_.publish(connection);
  }

  /// To be filled in.
  [[nodiscard]] Page& page() { return *page_; }

  // ---- Requests of the kernel
  struct Request {
    std::uint64_t unique = 0;  ///< its number
    std::uint32_t opcode = 0;
    std::uint64_t node = 0;
    std::uint32_t pid = 0;
  };
  /// Returns where it is shown, for end(); null: there are too many to be shown.
  [[nodiscard]] RequestCell* begin(const Request& request, Instant now);
  void end(RequestCell* shown);

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
  void tell_oldest_call();

  published::File file_;
  Page* page_;                   // in the file
  std::list<Call::Open> calls_;  // oldest first
};

/// Where the state stands.
[[nodiscard]] std::string file_of(std::string_view directory, std::string_view connection);
/// Connections of which there is a file in `directory`, dead ones too.
[[nodiscard]] std::set<std::string> published_in(const std::string& directory);

}  // namespace holdfast::fs::state
