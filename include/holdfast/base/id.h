#pragma once
/// Identifiers as types: no arithmetic, no implicit conversion.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace holdfast {

template <class Tag, class Rep = std::uint64_t>
struct Id {
  Rep value{};
  friend constexpr auto operator<=>(Id, Id) = default;
};

}  // namespace holdfast

template <class Tag, class Rep>
struct std::hash<holdfast::Id<Tag, Rep>> {
  std::size_t operator()(holdfast::Id<Tag, Rep> id) const noexcept {
    return std::hash<Rep>{}(id.value);
  }
};
