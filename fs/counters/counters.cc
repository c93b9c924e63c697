#include "fs/counters/counters.h"

#include <algorithm>
#include <new>
#include <utility>

#include <fmt/format.h>

namespace holdfast::fs::counters {

std::string file_of(std::string_view directory, std::string_view connection) {
  return published::path_of(directory, kKind, connection);
}

std::set<std::string> published_in(const std::string& directory) {
  return published::connections_in(directory, kKind);
}

Counters::Counters(std::string directory)
    : file_(std::move(directory), kKind), page_(::new (file_.memory()) Page) {
  page_->head = file_.head();
}

Counter Counters::counter(std::string_view name) {
  auto* const value = cell(name);
  return value == nullptr ? Counter() : Counter(*value);
}

Gauge Counters::gauge(std::string_view name) {
  auto* const value = cell(fmt::format("{}{}", kGauge, name));
  return value == nullptr ? Gauge() : Gauge(*value);
}

Timing Counters::timing(std::string_view name) {
  Timing out;
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i)
    out.buckets_[i] = counter(fmt::format("{}{}.{:02}", kTiming, name, i));
  out.sum_us_ = counter(fmt::format("{}{}{}", kTiming, name, kTimingSum));
  return out;
}

std::atomic<std::uint64_t>* Counters::cell(std::string_view name) {
  name = name.substr(0, std::tuple_size_v<decltype(Cell::name)> - 1);
  const std::uint32_t used = page_->used.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < used; ++i)
    if (page_->cells[i].name.data() == name) return &page_->cells[i].value;
  if (used == kCountersMax) return nullptr;
  Cell& fresh = page_->cells[used];
  std::copy(name.begin(), name.end(), fresh.name.begin());
  page_->used.store(used + 1, std::memory_order_release);
  return &fresh.value;
}

std::string Counters::text() const {
  std::string out;
  for (std::uint32_t i = 0; i < page_->used.load(std::memory_order_relaxed); ++i) {
    const auto value = page_->cells[i].value.load(std::memory_order_relaxed);
    const std::string_view name = page_->cells[i].name.data();
    if (value == 0 || name.starts_with(kGauge) || name.starts_with(kTiming)) continue;
    out += fmt::format("{}{}={}", out.empty() ? "" : " ", name, value);
  }
  return out;
}

}  // namespace holdfast::fs::counters
