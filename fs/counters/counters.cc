#include "fs/counters/counters.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <new>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

namespace holdfast::fs::counters {

std::string file_of(std::string_view directory, std::string_view connection) {
  return fmt::format("{}/counters-{}", directory, connection);
}

void Counters::Unmap::operator()(Page* page) const {
  ::munmap(page, sizeof(Page));
}

Counters::Counters(std::string directory) : directory_(std::move(directory)) {
  failed_ = begin();
  if (failed_) file_.reset();
  // Without a file: memory of our own.
  const int flags = file_ ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS;
  void* const at = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, flags, file_.get(), 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  page_.reset(::new (at) Page);
  std::copy(kMagic.begin(), kMagic.end(), page_->magic.begin());
  page_->version = kVersion;
  page_->pid = static_cast<std::uint32_t>(::getpid());
}

ErrorCode Counters::begin() {
  path_ = fmt::format("{}/counters-new-{}", directory_, ::getpid());
  ::unlink(path_.c_str());
  file_.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (file_ && ::flock(file_.get(), LOCK_EX | LOCK_NB) == 0 &&
      ::ftruncate(file_.get(), sizeof(Page)) == 0)
    return {};
  return errno_code(errno);
}

Counters::~Counters() {
  if (file_) ::unlink(path_.c_str());
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

Result<void> Counters::publish(std::string_view connection) {
  if (failed_) return failed_;
  std::string target = file_of(directory_, connection);
  if (::rename(path_.c_str(), target.c_str()) != 0) return errno_code(errno);
  path_ = std::move(target);
  return {};
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
