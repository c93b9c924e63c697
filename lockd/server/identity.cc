#include "lockd/server/identity.h"

#include "holdfast/base/assert.h"

#include <ctime>

#include <sys/random.h>

namespace holdfast::lockd {
namespace {

void fill_random(void* room, std::size_t size) {
  // getrandom(2): up to 256 bytes are never cut short once the pool is initialised.
  HOLDFAST_ASSERT(::getrandom(room, size, 0) == static_cast<ssize_t>(size),
                  "the kernel has no random numbers");
}

}  // namespace

Identity fresh_identity() {
  Identity identity;
  do {
    fill_random(&identity.session.value, sizeof identity.session.value);
  } while (identity.session.value == 0);
  fill_random(identity.secret.data(), identity.secret.size());
  return identity;
}

HashSalt fresh_salt() {
  HashSalt salt;
  fill_random(&salt, sizeof salt);
  return salt;
}

std::uint64_t wall_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec);
}

}  // namespace holdfast::lockd
