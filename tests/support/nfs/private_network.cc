#include "tests/support/nfs/private_network.h"

#include "holdfast/base/unique_fd.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace holdfast::fs::testing {

void enter_private_network() {
  static bool entered = false;
  if (entered) return;
  if (::unshare(CLONE_NEWNET) != 0)
    throw std::runtime_error(
        std::string("cannot make a network namespace (these tests need root): ") +
        std::strerror(errno));
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0)
    throw std::runtime_error(std::string("cannot bring loopback up: ") + std::strerror(errno));
  entered = true;
}

}  // namespace holdfast::fs::testing
