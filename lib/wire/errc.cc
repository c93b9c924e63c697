#include "holdfast/wire/errc.h"

#include <cerrno>
#include <string>

namespace holdfast::wire {
namespace {

class WireCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "holdfast.wire"; }

  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<WireErrc>(value)) {
      case WireErrc::kFrameTooLarge:
        return "frame larger than the limit";
      case WireErrc::kMalformed:
        return "malformed message";
      case WireErrc::kOutOfPlace:
        return "this message may not come here";
      case WireErrc::kQueueFull:
        return "the peer does not read what is sent to it";
      case WireErrc::kStalled:
        return "no progress for too long";
      case WireErrc::kClosed:
        return "the connection is closed";
      case WireErrc::kTokenInPlain:
        return "a token is not sent in plain text over a network";
    }
    return "unknown wire error";
  }

  [[nodiscard]] boost::system::error_condition default_error_condition(
      int value) const noexcept override {
    const auto posix = [](int number) {
      return boost::system::error_condition(number, boost::system::generic_category());
    };
    switch (static_cast<WireErrc>(value)) {
      case WireErrc::kFrameTooLarge:
        return posix(EMSGSIZE);
      case WireErrc::kMalformed:
        return posix(EBADMSG);
      case WireErrc::kOutOfPlace:
        return posix(EPROTO);
      case WireErrc::kQueueFull:
        return posix(ENOBUFS);
      case WireErrc::kStalled:
        return posix(ETIMEDOUT);
      case WireErrc::kClosed:
        return posix(ECONNRESET);
      case WireErrc::kTokenInPlain:
        return posix(EPERM);
    }
    return posix(EIO);
  }
};

}  // namespace

const boost::system::error_category& wire_category() {
  static const WireCategory category;
  return category;
}

}  // namespace holdfast::wire
