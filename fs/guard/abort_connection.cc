#include "fs/guard/abort_connection.h"

#include <cerrno>

#include <sys/socket.h>

namespace holdfast::fs::guard {

ErrorCode abort_connection(int socket) {
  sockaddr nowhere{};
  nowhere.sa_family = AF_UNSPEC;
  if (::connect(socket, &nowhere, sizeof nowhere) == 0) return {};
  return errno_code(errno);
}

}  // namespace holdfast::fs::guard
