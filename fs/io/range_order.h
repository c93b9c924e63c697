#pragma once
/// First come, first served for overlapping byte ranges of one file: whoever enters waits for the
/// earlier ones that overlap, and for no others.
///
/// Thread: the loop. Lifetime: outlives every Turn.

#include "fs/io/change.h"

#include <cstdint>
#include <list>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

class RangeOrder {
 public:
  explicit RangeOrder(boost::asio::any_io_executor executor) : changed_(std::move(executor)) {}
  ~RangeOrder();
  RangeOrder(const RangeOrder&) = delete;
  RangeOrder& operator=(const RangeOrder&) = delete;

  /// A place in the order, from construction to destruction.
  class Turn {
   public:
    /// Takes its place at once; the range [start, end) may be acted on after wait().
    Turn(RangeOrder& order, std::uint64_t start, std::uint64_t end);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    boost::asio::awaitable<void> wait();

   private:
    RangeOrder& order_;
    std::list<std::pair<std::uint64_t, std::uint64_t>>::iterator place_;
  };

  [[nodiscard]] bool idle() const { return places_.empty(); }

 private:
  [[nodiscard]] bool first(std::uint64_t start, std::uint64_t end,
                           std::list<std::pair<std::uint64_t, std::uint64_t>>::iterator own) const;

  std::list<std::pair<std::uint64_t, std::uint64_t>> places_;  // in order of arrival
  Change changed_;
};

}  // namespace holdfast::fs
