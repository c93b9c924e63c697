#include "holdfast/wire/credentials.h"

#include "holdfast/wire/errc.h"
#include "holdfast/wire/stream.h"
#include "holdfast/wire/tls.h"

namespace holdfast::wire {

Result<std::string> token_over(const Stream& stream, const Credentials& credentials) {
  if (!credentials.token) return std::string();
  if (stream.proof().channel == Channel::kPlain) return make_error_code(WireErrc::kTokenInPlain);
  return credentials.token();
}

std::string_view credentials_hint(const ErrorCode& error) {
  if (error == WireErrc::kTokenInPlain)
    return "-o tls_ca=FILE (or /etc/holdfast/ca.pem) turns on TLS; -o plain sends no token";
  if (error.category() == certificate_category())
    return "is that the ca.pem that 'holdfast-lockd init' made there, and lockd's name here one "
           "its certificate is for? Is this node's clock right?";
  if (error.category() == tls_category())
    return "does lockd have a certificate (tls-cert= in its configuration), and is ours one that "
           "it believes? -o plain speaks without TLS";
  return {};
}

}  // namespace holdfast::wire
