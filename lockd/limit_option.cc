#include "lockd/limit_option.h"

#include <charconv>
#include <cstdint>

namespace holdfast::lockd {
namespace {

constexpr std::uint32_t kSessionsOfVolume = 2'000;
constexpr std::uint32_t kFilesOfVolume = 250'000;
constexpr std::uint32_t kTokensOfVolume = 2'000'000;

std::string all_names() {
  std::string names;
  for (std::size_t i = 0; i < kLimits; ++i) {
    const auto limit = static_cast<Limit>(i);
    if (set_by(limit) == limit) names += (names.empty() ? "" : ", ") + std::string(name_of(limit));
  }
  return names;
}

// What is wrong, or nothing.
std::string take_limit(const std::string& text, Limits& limits) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) return "give NAME=NUMBER";
  const auto limit = limit_named(std::string_view(text).substr(0, equals));
  if (!limit) return "there are " + all_names();
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + equals + 1, end, value);
  if (error != std::errc() || stop != end) return "give a number";
  return set_limit(limits, *limit, value);
}

}  // namespace

void share_among_volumes(Limits& limits) {
  limits.sessions_per_volume_max = kSessionsOfVolume;
  limits.files_per_volume_max = kFilesOfVolume;
  limits.tokens_per_volume_max = kTokensOfVolume;
}

std::string take_limits(const std::vector<std::string>& texts, Limits& limits) {
  for (const std::string& text : texts)
    if (const std::string wrong = take_limit(text, limits); !wrong.empty())
      return "--limit " + text + ": " + wrong;
  return {};
}

}  // namespace holdfast::lockd
