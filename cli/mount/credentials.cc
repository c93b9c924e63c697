#include "cli/mount/credentials.h"

#include "cli/mount/token_file.h"
#include "holdfast/base/log.h"
#include "holdfast/wire/tls.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

using Done = boost::system::result<void, Failure>;

bool exists(const char* path) {
  return ::access(path, F_OK) == 0;
}

Done take_tls(const MountOptions& options, const std::string& ca, wire::Credentials& out) {
  auto tls =
      wire::Tls::open(wire::Tls::Side::kMount,
                      {.ca = ca, .certificate = options.tls_certificate, .key = options.tls_key});
  if (!tls) return Failure{kExitMount, tls.error().what, tls.error().hint};
  out.tls = *std::move(tls);
  return {};
}

Done take_token(const std::string& path, wire::Credentials& out) {
  auto opened = TokenFile::open(path);
  if (!opened) {
    return Failure{kExitMount, fmt::format("{}: {}", path, opened.error()),
                   "its first line must be the token that 'holdfast-lockd access add' printed"};
  }
  out.token = [file = std::make_shared<TokenFile>(*std::move(opened))] { return file->token(); };
  return {};
}

}  // namespace

boost::system::result<wire::Credentials, Failure> credentials_for(
    const MountOptions& options, const std::vector<wire::Address>& addresses) {
  const bool named = !options.tls_ca.empty() || !options.tls_certificate.empty() ||
                     !options.tls_key.empty() || !options.token_file.empty();
  if (options.plain && named)
    return Failure{kExitUsage, "-o plain contradicts tls_ca=, tls_cert=, tls_key= and token_file=",
                   "leave one of them out"};
  if (options.tls_certificate.empty() != options.tls_key.empty())
    return Failure{kExitUsage, "-o tls_cert= and tls_key= go together", ""};
  const auto is_unix = [](const wire::Address& address) {
    return std::holds_alternative<wire::UnixAddress>(address);
  };
  wire::Credentials out;
  if (options.plain || std::all_of(addresses.begin(), addresses.end(), is_unix)) return out;
  const std::string ca = options.tls_ca.empty() && exists(kUsualCa) ? kUsualCa : options.tls_ca;
  if (ca.empty() && !options.tls_certificate.empty())
    return Failure{kExitUsage, "-o tls_cert= needs tls_ca=", "the ca.pem that lockd was made with"};
  if (!ca.empty()) {
    if (auto taken = take_tls(options, ca, out); !taken) return taken.error();
  }
  // With a certificate of its own the mount needs no token.
  std::string token = options.token_file;
  if (token.empty() && options.tls_certificate.empty() && exists(kUsualToken)) token = kUsualToken;
  if (!token.empty()) {
    if (auto taken = take_token(token, out); !taken) return taken.error();
  }
  if (ca.empty() && !std::all_of(addresses.begin(), addresses.end(), &wire::stays_here)) {
    log::warn("lockd.plain_text",
              "meaning=\"whoever is on the network may see and change what this mount and lockd "
              "say, and lockd takes any mount\" hint=\"holdfast-lockd init\"");
  }
  return out;
}

}  // namespace holdfast::cli
