#include "holdfast/http/host.h"

#include <algorithm>
#include <cctype>

#include <boost/asio/ip/address.hpp>

namespace holdfast::http {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// RFC 3986 section 3.2.2: a number of IPv6 stands in brackets.
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    return end == std::string_view::npos ? std::string_view{} : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

}  // namespace

bool host_allowed(std::string_view host, const std::vector<std::string>& names) {
  const std::string name = lower(without_port(host));
  if (name.empty()) return false;
  boost::system::error_code no_number;
  static_cast<void>(boost::asio::ip::make_address(name, no_number));
  if (!no_number || name == "localhost") return true;
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& one) { return lower(one) == name; });
}

}  // namespace holdfast::http
