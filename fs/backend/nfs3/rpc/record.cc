#include "fs/backend/nfs3/rpc/record.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace holdfast::fs::nfs3::rpc {

void Record::grow(std::size_t more) {
  auto bigger = std::make_unique_for_overwrite<std::uint8_t[]>(size_ + more);
  if (size_ > 0) std::memcpy(bigger.get(), bytes_.get(), size_);
  bytes_ = std::move(bigger);
  size_ += more;
}

std::span<std::uint8_t> RecordParser::space() {
  // parse() consumed all of staging_ while a fragment is open, so the rest of it can go to its
  // place directly.
  if (in_fragment_) return current_.bytes().subspan(filled_);
  return std::span(staging_).subspan(staged_);
}

bool RecordParser::commit(std::size_t size) {
  if (in_fragment_) {
    filled_ += size;
  } else {
    staged_ += size;
  }
  return parse();
}

bool RecordParser::parse() {
  std::size_t used = 0;
  bool good = true;
  for (;;) {
    if (in_fragment_) {
      const std::size_t wanted = current_.size() - filled_;
      const std::size_t got = std::min(wanted, staged_ - used);
      if (got > 0) std::memcpy(current_.bytes().data() + filled_, staging_.data() + used, got);
      used += got;
      filled_ += got;
      if (filled_ < current_.size()) break;
      in_fragment_ = false;
      if (last_fragment_) {
        complete_.push_back(std::move(current_));
        current_ = Record{};
        filled_ = 0;
        fragments_ = 0;
      }
    }
    if (staged_ - used < 4) break;
    const std::uint8_t* mark = staging_.data() + used;
    good = begin_fragment(std::uint32_t{mark[0]} << 24 | std::uint32_t{mark[1]} << 16 |
                          std::uint32_t{mark[2]} << 8 | std::uint32_t{mark[3]});
    if (!good) break;
    used += 4;
  }
  std::memmove(staging_.data(), staging_.data() + used, staged_ - used);
  staged_ -= used;
  return good;
}

bool RecordParser::begin_fragment(std::uint32_t mark) {
  const std::size_t size = mark & 0x7fffffffU;
  if (size > kRecordMax - current_.size() || ++fragments_ > kFragmentsMax) return false;
  last_fragment_ = (mark & 0x80000000U) != 0;
  if (current_.size() == 0) {
    current_ = Record(size);
  } else {
    current_.grow(size);
  }
  in_fragment_ = true;
  return true;
}

std::optional<Record> RecordParser::take() {
  if (taken_ == complete_.size()) {
    complete_.clear();
    taken_ = 0;
    return std::nullopt;
  }
  return std::move(complete_[taken_++]);
}

}  // namespace holdfast::fs::nfs3::rpc
