#include "holdfast/base/unix_socket.h"

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>

namespace holdfast {

Result<sockaddr_un> unix_name(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof name.sun_path) return errno_code(ENAMETOOLONG);
  std::copy(path.begin(), path.end(), name.sun_path);
  return name;
}

Result<UniqueFd> connect_unix(const std::string& path, int flags) {
  const auto name = unix_name(path);
  if (!name) return name.error();
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!socket ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*name), sizeof *name) != 0)
    return errno_code(errno);
  return socket;
}

}  // namespace holdfast
