#include "cli/mount/source.h"

#include <charconv>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

constexpr std::string_view kScheme = "nfs://";

Failure bad(std::string_view text, std::string_view why) {
  return {kExitUsage, fmt::format("cannot understand the source \"{}\": {}", text, why),
          "write nfs://server/export, server:/export, or a directory"};
}

struct HostAndRest {
  std::string host;
  std::string_view rest;
};

/// "host" or "[v6]", up to ':' or '/'.
std::optional<HostAndRest> take_host(std::string_view text) {
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos || close == 1) return std::nullopt;
    return HostAndRest{std::string(text.substr(1, close - 1)), text.substr(close + 1)};
  }
  const auto end = text.find_first_of(":/");
  if (end == 0) return std::nullopt;
  if (end == std::string_view::npos) return HostAndRest{std::string(text), {}};
  return HostAndRest{std::string(text.substr(0, end)), text.substr(end)};
}

boost::system::result<Source, Failure> parse_url(std::string_view text) {
  auto split = take_host(text.substr(kScheme.size()));
  if (!split) return bad(text, "the server's name is missing");
  NfsSource source{split->host, {}, std::nullopt};
  std::string_view rest = split->rest;
  if (rest.starts_with(':')) {
    rest.remove_prefix(1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), port);
    if (error != std::errc() || port == 0) return bad(text, "the port is not a number");
    source.port = port;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  }
  if (!rest.starts_with('/')) return bad(text, "the export's path is missing");
  source.path = rest;
  return Source(source);
}

}  // namespace

boost::system::result<Source, Failure> parse_source(std::string_view text) {
  if (text.empty()) return bad(text, "it is empty");
  if (text.starts_with(kScheme)) return parse_url(text);
  if (text.starts_with('/') || text.starts_with('.'))
    return Source(DirectorySource{std::string(text)});
  if (text.find("://") != std::string_view::npos) return bad(text, "only nfs:// is known");
  if (auto split = take_host(text); split && split->rest.starts_with(":/"))
    return Source(NfsSource{split->host, std::string(split->rest.substr(1)), std::nullopt});
  if (text.find(':') != std::string_view::npos) return bad(text, "an export's path begins with /");
  return Source(DirectorySource{std::string(text)});
}

}  // namespace holdfast::cli
