#include "holdfast/base/log.h"

#include "holdfast/base/json.h"

#include <atomic>
#include <memory>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace holdfast::log {
namespace {

std::atomic<unsigned long> error_count{0};
std::atomic<Level> threshold{Level::kInfo};
std::atomic<Format> output_format{Format::kText};

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("holdfast",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    made->set_pattern("%v");
    return made;
  }();
  return *instance;
}

constexpr std::string_view level_name(Level level) {
  switch (level) {
    case Level::kTrace:
      return "trace";
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
  }
  return "error";
}

std::string wall_time() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  std::tm utc{};
  ::gmtime_r(&now.tv_sec, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     now.tv_nsec / 1'000'000);
}

}  // namespace

void configure(const Options& options) {
  threshold = options.level;
  output_format = options.format;
}

bool enabled(Level level) {
  return level >= threshold.load(std::memory_order_relaxed);
}

void emit(Level level, std::string_view event, std::string_view fields) {
  if (level == Level::kError) ++error_count;
  if (output_format == Format::kJson) {
    logger().info("{{\"time\":\"{}\",\"level\":\"{}\",\"event\":{},\"fields\":{}}}", wall_time(),
                  level_name(level), json_string(event), json_string(fields));
  } else {
    logger().info("{} {} {} {}", wall_time(), level_name(level), event, fields);
  }
}

unsigned long errors_emitted() {
  return error_count.load();
}

}  // namespace holdfast::log
