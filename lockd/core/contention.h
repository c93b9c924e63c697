#pragma once
/// Whether a file's tokens are worth taking from one another (docs/tokens.md, "Contention").
///
/// A file is contended once its token was taken often within a short time, or once somebody said
/// that the file is in use with it. While it is, nobody's token is taken any more to keep
/// something; it ends when whoever asks for more is the only one that has shown any use for a
/// while. Plain state, no timers: it is looked at when somebody asks.

#include "holdfast/base/clock.h"
#include "holdfast/lock/types.h"
#include "lockd/core/token_options.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>

namespace holdfast::lockd {

class Contention {
 public:
  using milliseconds = std::chrono::milliseconds;

  [[nodiscard]] bool contended() const { return contended_; }
  /// What TokenGranted says to those that wanted more.
  [[nodiscard]] milliseconds ask_again(const ContentionOptions& options) const {
    return ask_again_.count() == 0 ? options.ask_again_first : ask_again_;
  }

  /// `session` shows that it uses the file.
  void used_by(SessionId session, Instant now, const ContentionOptions& options) {
    if (session != last_by_) {
      other_at_ = last_at_;
      last_by_ = session;
      if (contended_) raise(now, options);
    }
    last_at_ = now;
  }
  /// `asking` wants more than CW: if nobody else has shown any use for long enough, the file is not
  /// contended any more.
  void look_at(SessionId asking, Instant now, const ContentionOptions& options) {
    if (!contended_) return;
    const Instant others_at = asking == last_by_ ? other_at_ : last_at_;
    if (now >= others_at + 2 * ask_again(options)) contended_ = false;
  }
  /// Somebody's token is about to be taken.
  void taken(Instant now, const ContentionOptions& options) {
    takings_[next_taking_++ % takings_.size()] = now;
    const std::size_t after = std::clamp<std::size_t>(options.contended_after, 1, takings_.size());
    if (next_taking_ < after) return;
    if (takings_[(next_taking_ - after) % takings_.size()] + options.window > now)
      contend(now, options);
  }
  /// `session` said that the file is in use with it (0: nobody in particular).
  void in_use(SessionId session, Instant now, const ContentionOptions& options) {
    contend(now, options);
    used_by(session, now, options);
  }
  /// Somebody got it to keep things, without a word from anybody else.
  void calm() {
    contended_ = false;
    ask_again_ = milliseconds{0};
  }
  /// Nothing of this matters from then on.
  [[nodiscard]] Instant forgotten_at(const ContentionOptions& options) const {
    Instant at = Instant::min();
    if (next_taking_ > 0) at = takings_[(next_taking_ - 1) % takings_.size()] + options.window;
    if (contended_ || ask_again_.count() > 0) at = std::max(at, last_at_ + 2 * ask_again(options));
    return at;
  }

 private:
  void contend(Instant now, const ContentionOptions& options) {
    if (contended_) return;
    contended_ = true;
    if (ask_again_.count() > 0) return raise(now, options);
    ask_again_ = options.ask_again_first;
    raised_at_ = now;
  }
  void raise(Instant now, const ContentionOptions& options) {
    if (now < raised_at_ + ask_again_) return;
    raised_at_ = now;
    ask_again_ = std::min(2 * ask_again_, options.ask_again_max);
  }

  bool contended_ = false;
  milliseconds ask_again_{0};
  Instant raised_at_{};
  SessionId last_by_;
  Instant last_at_ = Instant::min();   ///< of any session
  Instant other_at_ = Instant::min();  ///< of the latest one that was not last_by_
  std::size_t next_taking_ = 0;
  std::array<Instant, ContentionOptions::kTakingsMax> takings_{};
};

}  // namespace holdfast::lockd
