#include "deploy/csi/keeper/protocol.h"

#include <charconv>

namespace holdfast::csi {

std::string encode_request(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) {
    out += text;
    out += '\0';
  }
  return out;
}

std::optional<std::vector<std::string>> command_for(std::string_view request) {
  std::vector<std::string> texts;
  while (!request.empty()) {
    const auto end = request.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    texts.emplace_back(request.substr(0, end));
    request.remove_prefix(end + 1);
  }
  // A place that began with a dash would be an option of the command, and a source that is no
  // server's would be a directory of this node.
  const auto is_target = [](const std::string& text) { return text.starts_with('/'); };
  const auto is_source = [](const std::string& text) {
    const auto server = text.find(":/");
    return server != std::string::npos && server > 0 && text.find_first_of("-./") != 0;
  };
  if (texts.size() == 4 && texts[0] == "mount" && is_target(texts[2]) && is_source(texts[1]))
    return std::vector<std::string>{"mount", texts[1], texts[2], "-o", texts[3]};
  if (texts.size() == 2 && texts[0] == "unmount" && is_target(texts[1])) return texts;
  return std::nullopt;
}

std::string target_of(const std::vector<std::string>& command) {
  return command.at(0) == "mount" ? command.at(2) : command.at(1);
}

std::string encode_answer(const KeeperAnswer& answer) {
  return std::to_string(answer.exit_code) + "\n" + answer.said.substr(0, kAnswerBytesMax - 16);
}

std::optional<KeeperAnswer> parse_answer(std::string_view text) {
  const auto end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  KeeperAnswer out;
  const auto code = text.substr(0, end);
  const auto [last, error] = std::from_chars(code.data(), code.data() + code.size(), out.exit_code);
  if (error != std::errc() || last != code.data() + code.size()) return std::nullopt;
  out.said = text.substr(end + 1);
  return out;
}

}  // namespace holdfast::csi
