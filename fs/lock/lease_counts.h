#pragma once
/// What became of the lease, for other programs: until when this mount may act, how often and how
/// long it could not, what it lost.
///
/// Thread: the loop's.

#include "fs/counters/counters.h"
#include "holdfast/base/clock.h"

#include <cstddef>
#include <optional>

namespace holdfast::fs {

class LeaseCounts {
 public:
  /// `counters` outlives this; null: nothing is counted.
  explicit LeaseCounts(counters::Counters* counters) {
    if (counters == nullptr) return;
    deadline_ = counters->gauge("lease.deadline_ns");
    suspended_since_ = counters->gauge("lease.suspended_ns");
    suspensions_ = counters->counter("lease.suspended");
    suspended_us_ = counters->counter("lease.suspended_us");
    sessions_lost_ = counters->counter("lease.sessions_lost");
    files_lost_ = counters->counter("lease.files_lost");
    connects_ = counters->counter("lockd.connects");
  }
  void connected() { connects_.add(); }
  /// Instants are told in nanoseconds of CLOCK_BOOTTIME: what is left of the lease is right also
  /// when this process hangs.
  void deadline(Instant at) { deadline_.set(ns(at)); }
  void suspended(Instant now) {
    suspensions_.add();
    suspended_since_.set(ns(now));
    since_ = now;
  }
  void resumed(Instant now) {
    suspended_since_.set(0);
    if (since_) suspended_us_.add(static_cast<std::uint64_t>((now - *since_).count() / 1000));
    since_.reset();
  }
  void session_lost() { sessions_lost_.add(); }
  void files_lost(std::size_t files) { files_lost_.add(files); }

 private:
  static std::uint64_t ns(Instant at) {
    return static_cast<std::uint64_t>(at.time_since_epoch().count());
  }

  counters::Gauge deadline_;
  counters::Gauge suspended_since_;
  std::optional<Instant> since_;
  counters::Counter suspensions_;
  counters::Counter suspended_us_;
  counters::Counter sessions_lost_;
  counters::Counter files_lost_;
  counters::Counter connects_;
};

}  // namespace holdfast::fs
