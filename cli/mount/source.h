#pragma once
/// What is to be mounted, as the user writes it.
///
///   nfs://server[:port]/export   server:/export   [2001:db8::1]:/export   /a/directory   ./a:b
///
/// As in mount.nfs(8), "name:/path" is a server; a directory whose name looks like that is written
/// with "./" or "/" in front.

#include "cli/mount/failure.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <boost/system/result.hpp>

namespace holdfast::cli {

struct NfsSource {
  std::string server;  ///< without brackets
  std::string path;    ///< absolute
  std::optional<std::uint16_t> port;
  friend bool operator==(const NfsSource&, const NfsSource&) = default;
};
struct DirectorySource {
  std::string path;
  friend bool operator==(const DirectorySource&, const DirectorySource&) = default;
};
using Source = std::variant<NfsSource, DirectorySource>;

[[nodiscard]] boost::system::result<Source, Failure> parse_source(std::string_view text);

}  // namespace holdfast::cli
