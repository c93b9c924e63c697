#pragma once
/// Text in JSON (RFC 8259). Pure.

#include <string>
#include <string_view>

namespace holdfast {

/// `text` as a JSON string, with its quotes. Control characters are escaped, bytes that are no
/// UTF-8 (names of files may hold them) become U+FFFD.
[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace holdfast
