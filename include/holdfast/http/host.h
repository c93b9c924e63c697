#pragma once
/// Whether a request was meant for us: its Host header. A page of somebody else whose name is made
/// to lead to our address (DNS rebinding) could else read what we serve, in the browser of whoever
/// looks at it; that page's requests carry its own name.
///
/// Pure.

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::http {

/// `host` is the header's value, with or without a port. Allowed: numbers (no name leads there),
/// "localhost", and `names`, in whatever case.
[[nodiscard]] bool host_allowed(std::string_view host, const std::vector<std::string>& names);

}  // namespace holdfast::http
