#include "deploy/csi/core/record.h"

#include "deploy/csi/core/escape.h"
#include "deploy/csi/core/name.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace holdfast::csi {
namespace {

constexpr std::string_view kFirstLine = "holdfast-csi volume 1";

std::optional<std::int64_t> parse_bytes(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::string_view take_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  const auto line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

}  // namespace

std::string to_text(const Record& record) {
  return fmt::format("{}\nname={}\ndirectory={}\ncapacity={}\nonDelete={}\n", kFirstLine,
                     escape(record.name, ""), escape(record.directory, ""), record.capacity_bytes,
                     to_string(record.on_delete));
}

std::optional<Record> parse_record(std::string_view text) {
  if (text.size() > kRecordBytesMax || take_line(text) != kFirstLine) return std::nullopt;
  Texts values;
  while (!text.empty()) {
    const auto line = take_line(text);
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    auto value = unescape(line.substr(equals + 1));
    if (!value) return std::nullopt;
    values[std::string(line.substr(0, equals))] = *value;
  }
  Record out;
  out.name = values["name"];
  const auto directory = parse_directory(values["directory"]);
  const auto capacity = parse_bytes(values["capacity"]);
  const auto on_delete = parse_on_delete(values["onDelete"]);
  if (!check_name(out.name) || !directory || directory->empty() || !capacity || !on_delete)
    return std::nullopt;
  out.directory = *directory;
  out.capacity_bytes = *capacity;
  out.on_delete = *on_delete;
  return out;
}

std::string record_file(const std::string& name) {
  return as_file_name(name) + std::string(kRecordSuffix);
}

std::string removal_name(const std::string& name) {
  return as_file_name(name) + std::string(kRemovalSuffix);
}

}  // namespace holdfast::csi
