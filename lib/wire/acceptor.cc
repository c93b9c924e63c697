#include "holdfast/base/unix_socket.h"
#include "holdfast/wire/errc.h"
#include "holdfast/wire/stream.h"
#include "lib/wire/accepted_stream.h"
#include "lib/wire/socket_stream.h"

#include <cerrno>
#include <cstring>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace asio = boost::asio;

namespace holdfast::wire {
namespace {

ErrorCode last_error() {
  return errno_code(errno);
}

bool same_file(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

Result<UniqueFd> listen_tcp(const TcpAddress& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int status = ::getaddrinfo(address.host == "*" ? nullptr : address.host.c_str(),
                                   port.c_str(), &hints, &found);
  if (status != 0) return ErrorCode(status, asio::error::get_addrinfo_category());
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
  UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return last_error();
  const int on = 1;
  static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  if (found->ai_family == AF_INET6) {  // so that 0.0.0.0 and [::] can stand side by side
    static_cast<void>(::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
  }
  if (::bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0) return last_error();
  if (::listen(fd.get(), SOMAXCONN) != 0) return last_error();
  return fd;
}

// Removes the file of a listener that died. Two that start at once could both remove and bind; the
// second bind wins and the first is unreachable, which is why a second lockd is refused by its
// service manager and its TCP port, not by this.
Result<void> remove_left_over(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return boost::system::in_place_value;
  if (!S_ISSOCK(status.st_mode)) return errno_code(EEXIST);
  const auto probe = connect_unix(path, SOCK_NONBLOCK);
  if (probe || probe.error() != errno_code(ECONNREFUSED)) return errno_code(EADDRINUSE);
  ::unlink(path.c_str());
  return boost::system::in_place_value;
}

Result<UniqueFd> listen_unix(const UnixAddress& address) {
  if (auto removed = remove_left_over(address.path); !removed) return removed.error();
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return last_error();
  const auto name = unix_name(address.path);
  if (!name) return name.error();
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*name), sizeof *name) != 0) {
    return last_error();
  }
  // Before listen(): until then nobody can connect, so nobody gets in under the wider mode.
  if (::chmod(address.path.c_str(), 0600) != 0) return last_error();
  if (::listen(fd.get(), SOMAXCONN) != 0) return last_error();
  return fd;
}

Address bound_address(const UniqueFd& fd, const Address& asked) {
  const auto* tcp = std::get_if<TcpAddress>(&asked);
  if (tcp == nullptr) return asked;
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  char port[NI_MAXSERV] = "";
  char host[NI_MAXHOST] = "";
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<sockaddr*>(&name), size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return asked;
  }
  return TcpAddress{host, static_cast<std::uint16_t>(std::stoul(port))};
}

}  // namespace

struct Acceptor::Socket {
  asio::basic_socket_acceptor<asio::generic::stream_protocol> acceptor;
  struct stat file {};  // of a unix socket, to remove only what we made
};

Acceptor::Acceptor(std::unique_ptr<Socket> socket, Address address, StreamOptions options)
    : socket_(std::move(socket)), address_(std::move(address)), options_(options) {}

Acceptor::~Acceptor() {
  close();
}

Result<std::unique_ptr<Acceptor>> Acceptor::open(const asio::any_io_executor& executor,
                                                 const Address& address, StreamOptions options) {
  const auto* local = std::get_if<UnixAddress>(&address);
  auto fd = local != nullptr ? listen_unix(*local) : listen_tcp(std::get<TcpAddress>(address));
  if (!fd) return fd.error();
  const Address bound = bound_address(*fd, address);
  auto socket = std::make_unique<Socket>(
      Socket{.acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>(executor)});
  if (local != nullptr) static_cast<void>(::lstat(local->path.c_str(), &socket->file));
  ErrorCode error;
  const int family = local != nullptr ? AF_UNIX : AF_INET;  // only used to open further sockets
  socket->acceptor.assign(asio::generic::stream_protocol(family, 0), fd->get(), error);
  if (error) return error;
  static_cast<void>(fd->release());
  return std::make_unique<Acceptor>(std::move(socket), bound, options);
}

asio::awaitable<Result<std::unique_ptr<Stream>>> Acceptor::accept() {
  StreamSocket socket(socket_->acceptor.get_executor());
  asio::generic::stream_protocol::endpoint peer;
  auto [error] =
      co_await socket_->acceptor.async_accept(socket, peer, asio::as_tuple(asio::use_awaitable));
  if (error) co_return error;
  tune(socket, options_);
  const Channel plain = channel_to(peer);
  if (options_.tls && plain != Channel::kUnix) {
    co_return std::make_unique<AcceptedStream>(std::move(socket), describe(peer), plain,
                                               options_.tls, options_.turn);
  }
  co_return std::make_unique<SocketStream>(std::move(socket), describe(peer), plain);
}

void Acceptor::close() {
  if (!socket_->acceptor.is_open()) return;
  ErrorCode ignored;
  socket_->acceptor.close(ignored);
  const auto* local = std::get_if<UnixAddress>(&address_);
  struct stat now {};
  if (local != nullptr && ::lstat(local->path.c_str(), &now) == 0 &&
      same_file(now, socket_->file)) {
    ::unlink(local->path.c_str());
  }
}

}  // namespace holdfast::wire
