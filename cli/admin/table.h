#pragma once
/// Columns for terminals. Pure.

#include <string>
#include <vector>

namespace holdfast::cli {

using Row = std::vector<std::string>;
/// All rows as long as the first, which is the heading. One line each, the last column as it is.
[[nodiscard]] std::string table(const std::vector<Row>& rows);

}  // namespace holdfast::cli
