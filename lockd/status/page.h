#pragma once
/// The status page's files, as they are built in. They load nothing from elsewhere.

#include <string_view>

namespace holdfast::lockd::status {

extern const std::string_view kPageHtml;
extern const std::string_view kPageCss;
extern const std::string_view kPageJs;

}  // namespace holdfast::lockd::status
