#pragma once
/// `holdfast who` in words. Pure.

#include "holdfast/lock/message.h"

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

/// What may be missing, or will happen: one sentence each.
[[nodiscard]] std::vector<std::string> who_notes(const WhoAnswer& answer);
/// A table of holders and waiters, or that there are none; then the notes.
[[nodiscard]] std::string who_text(const WhoAnswer& answer, std::string_view path);
/// One object: docs/man/holdfast.8.
[[nodiscard]] std::string who_json(const WhoAnswer& answer, std::string_view path,
                                   std::uint64_t fileid);

}  // namespace holdfast::cli
