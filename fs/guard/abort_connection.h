#pragma once
/// Ends a TCP connection at once, whoever else has its socket open.
///
/// connect(2) to AF_UNSPEC is tcp_disconnect() (linux: net/ipv4/af_inet.c, net/ipv4/tcp.c): the
/// send queue is thrown away, the peer gets a RST, and every later send() on the socket, through
/// any descriptor of any process, fails with EPIPE. close(2), also with SO_LINGER 0, does all this
/// only with the last descriptor.

#include "holdfast/base/result.h"

namespace holdfast::fs::guard {

/// Harmless for a socket that is not connected. Errors: what connect(2) says; EBUSY from kernels
/// 6.4 to 6.6 while a thread is blocked in the socket (ours never block).
ErrorCode abort_connection(int socket);

}  // namespace holdfast::fs::guard
