#pragma once
/// Texts of others as parts of texts of ours: in volume ids, file names and records. Pure.

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::csi {

/// Control characters, '%' and those in `also` as %xx (hexadecimal, lower case).
[[nodiscard]] std::string escape(std::string_view text, std::string_view also);
/// The reverse; nothing if a '%' is not followed by two hexadecimal digits.
[[nodiscard]] std::optional<std::string> unescape(std::string_view text);

/// A volume's name as a file name: "/" is escaped, and a dot in front.
[[nodiscard]] std::string as_file_name(std::string_view name);

}  // namespace holdfast::csi
