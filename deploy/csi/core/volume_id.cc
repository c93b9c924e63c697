#include "deploy/csi/core/volume_id.h"

#include "deploy/csi/core/escape.h"
#include "deploy/csi/core/name.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace holdfast::csi {
namespace {

constexpr std::size_t kPartsOfId = 4;

std::optional<std::vector<std::string>> parts_of(std::string_view text) {
  std::vector<std::string> out;
  while (true) {
    const auto end = std::min(text.find('#'), text.size());
    auto part = unescape(text.substr(0, end));
    if (!part) return std::nullopt;
    out.push_back(std::move(*part));
    if (end == text.size()) return out;
    text.remove_prefix(end + 1);
  }
}

std::string text_of(const VolumeId& id, std::string_view directory) {
  return fmt::format("{}#{}#{}#{}", escape(server_text(id.place.share), "#"),
                     escape(id.place.share.path, "#"), escape(directory, "#"),
                     escape(id.name, "#"));
}

}  // namespace

std::string to_string(const VolumeId& id) {
  std::string whole = text_of(id, id.place.directory);
  return whole.size() <= kVolumeIdBytesMax ? whole : text_of(id, "");
}

std::optional<VolumeId> parse_volume_id(std::string_view text) {
  auto parts = parts_of(text);
  if (!parts || parts->size() != kPartsOfId) return std::nullopt;
  auto share = parse_share((*parts)[0], (*parts)[1]);
  auto directory = parse_directory((*parts)[2]);
  if (!share || !directory || !check_name((*parts)[3])) return std::nullopt;
  VolumeId id{Place{*share, *directory}, (*parts)[3]};
  // One volume, one id: no second spelling of it passes.
  if (text_of(id, id.place.directory) != text) return std::nullopt;
  return id;
}

}  // namespace holdfast::csi
