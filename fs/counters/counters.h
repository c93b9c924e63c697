#pragma once
/// What one mount counts: calls to the storage, requests to lockd and from the kernel, bytes; how
/// long they took, and what is under way.
/// Published as a file that other programs map (page.h, reading.h).
///
/// Thread: counter() and publish() from one thread; a Counter may be used from any.

#include "fs/counters/page.h"
#include "fs/published/file.h"
#include "holdfast/base/histogram.h"
#include "holdfast/base/result.h"

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace holdfast::fs::counters {

/// One of them. Default constructed it counts nowhere, so that parts work without a mount.
class Counter {
 public:
  Counter() = default;
  explicit Counter(std::atomic<std::uint64_t>& value) : value_(&value) {}
  void add(std::uint64_t more = 1) {
    if (value_ != nullptr) value_->fetch_add(more, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t>* value_ = nullptr;
};

/// A number that goes up and down. Default constructed it is nowhere.
class Gauge {
 public:
  Gauge() = default;
  explicit Gauge(std::atomic<std::uint64_t>& value) : value_(&value) {}
  void set(std::uint64_t to) {
    if (value_ != nullptr) value_->store(to, std::memory_order_relaxed);
  }
  void up() {
    if (value_ != nullptr) value_->fetch_add(1, std::memory_order_relaxed);
  }
  void down() {
    if (value_ != nullptr) value_->fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t>* value_ = nullptr;
};

/// How long something took, each time: a Histogram in the page.
class Timing {
 public:
  void add(Duration took) {
    buckets_[Histogram::bucket_of(took)].add();
    sum_us_.add(static_cast<std::uint64_t>(took.count() / 1000));
  }

 private:
  friend class Counters;
  std::array<Counter, Histogram::kBuckets> buckets_;
  Counter sum_us_;
};

class Counters {
 public:
  /// `directory` is where the file will stand; it must exist. If nothing can be written there, the
  /// mount counts for itself alone, and publish() tells why.
  explicit Counters(std::string directory);

  /// At zero at first; the same one for the same name. Names that are too long are cut; past
  /// kCountersMax it counts nowhere. Valid as long as this object.
  [[nodiscard]] Counter counter(std::string_view name);
  /// The same for the others; of a timing, names of up to 18 bytes.
  [[nodiscard]] Gauge gauge(std::string_view name);
  [[nodiscard]] Timing timing(std::string_view name);
  /// From now on readers find it, as the counters of this FUSE connection (the minor device number
  /// of the mount). What a dead mount left there goes.
  [[nodiscard]] Result<void> publish(std::string_view connection) {
    return file_.publish(connection);
  }
  /// "lockd.lock=12 nfs.READ=3": what was counted and is not zero, for the log.
  [[nodiscard]] std::string text() const;

 private:
  std::atomic<std::uint64_t>* cell(std::string_view name);

  published::File file_;
  Page* page_;  // in the file
};

/// Where the counters of that connection stand.
[[nodiscard]] std::string file_of(std::string_view directory, std::string_view connection);
/// Connections of which there is a file in `directory`, dead ones too.
[[nodiscard]] std::set<std::string> published_in(const std::string& directory);

}  // namespace holdfast::fs::counters
