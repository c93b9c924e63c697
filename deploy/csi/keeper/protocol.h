#pragma once
/// What the driver and the keeper say to each other over a unix socket: one request, one answer,
/// end.
///
///   request   texts, each with a NUL behind it; the sender then ends its direction
///               "mount" SOURCE TARGET OPTIONS     holdfast mount SOURCE TARGET -o OPTIONS
///               "unmount" TARGET                  holdfast unmount TARGET
///   answer    the command's exit code, a line end, what it said; then the connection ends
///
/// Versions: a driver and a keeper of different releases meet, for the keeper is replaced only when
/// its node is empty. New verbs may come; these two stay as they are.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::csi {

inline constexpr const char* kKeeperSocket = "/run/holdfast/csi-keeper.sock";
inline constexpr std::size_t kRequestBytesMax = 16'384;
inline constexpr std::size_t kAnswerBytesMax = 16'384;

/// No text has a NUL in it.
[[nodiscard]] std::string encode_request(const std::vector<std::string>& texts);
/// The arguments of the program `holdfast`; nothing: not a request.
[[nodiscard]] std::optional<std::vector<std::string>> command_for(std::string_view request);
/// Where the request mounts or unmounts: its last but one path for "mount", its only one for
/// "unmount".
[[nodiscard]] std::string target_of(const std::vector<std::string>& command);

struct KeeperAnswer {
  int exit_code = 0;
  std::string said;
};
[[nodiscard]] std::string encode_answer(const KeeperAnswer& answer);
[[nodiscard]] std::optional<KeeperAnswer> parse_answer(std::string_view text);

}  // namespace holdfast::csi
