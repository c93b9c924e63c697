#pragma once
/// Logging: a stable event name, then key=value. error = a person must act; warn = degraded,
/// handled; info = lifecycle; debug = one line per request; trace = bytes. No secrets, no file
/// contents.
///
///   log::info("lease.expired", "client={} held={} age_ms={}", client, held, age);
///
/// Thread: any. Output goes to stderr, as text or as one JSON object a line.

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace holdfast::log {

enum class Level { kTrace, kDebug, kInfo, kWarn, kError };
enum class Format { kText, kJson };

struct Options {
  Level level = Level::kInfo;
  Format format = Format::kText;
};

void configure(const Options& options);
[[nodiscard]] bool enabled(Level level);
/// `fields` is "key=value key=value"; values with spaces are quoted by the caller.
void emit(Level level, std::string_view event, std::string_view fields);
/// Number of error-level lines since the process started; tests assert on it.
[[nodiscard]] unsigned long errors_emitted();

template <class... Args>
void write(Level level, std::string_view event, fmt::format_string<Args...> format,
           Args&&... args) {
  if (enabled(level)) emit(level, event, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void trace(std::string_view event, fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kTrace, event, format, std::forward<Args>(args)...);
}
template <class... Args>
void debug(std::string_view event, fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kDebug, event, format, std::forward<Args>(args)...);
}
template <class... Args>
void info(std::string_view event, fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kInfo, event, format, std::forward<Args>(args)...);
}
template <class... Args>
void warn(std::string_view event, fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kWarn, event, format, std::forward<Args>(args)...);
}
template <class... Args>
void error(std::string_view event, fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kError, event, format, std::forward<Args>(args)...);
}

}  // namespace holdfast::log
