#pragma once
/// Errors of a connection to or from lockd. None of them reaches an application as such: the
/// connection ends, the session goes on by a reconnect.

#include <boost/system/error_code.hpp>

namespace holdfast::wire {

enum class WireErrc {
  kFrameTooLarge = 1,  ///< a length above the limit: not our protocol, or abuse (EMSGSIZE)
  kMalformed,          ///< bytes that are no message, or a value out of its range (EBADMSG)
  kOutOfPlace,         ///< a message that may not come here, e.g. a request before Hello (EPROTO)
  kQueueFull,          ///< the peer does not read what is sent to it (ENOBUFS)
  kStalled,            ///< the peer took nothing for too long, or said nothing (ETIMEDOUT)
  kClosed,             ///< the peer closed, or we did (ECONNRESET)
  kTokenInPlain,       ///< a token would have to be sent in plain text over a network (EPERM)
};

[[nodiscard]] const boost::system::error_category& wire_category();
[[nodiscard]] inline boost::system::error_code make_error_code(WireErrc errc) {
  return {static_cast<int>(errc), wire_category()};
}

}  // namespace holdfast::wire

template <>
struct boost::system::is_error_code_enum<holdfast::wire::WireErrc> : std::true_type {};
