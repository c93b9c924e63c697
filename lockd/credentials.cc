#include "lockd/credentials.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

namespace holdfast::lockd {

AccessRead read_access(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) {
    const int number = errno == 0 ? EIO : errno;
    return wire::StartFailure{.code = errno_code(number),
                              .what = "cannot read " + path + ": " + std::strerror(number),
                              .hint = number == ENOENT ? "'holdfast-lockd init' makes one"
                                                       : "lockd's user must be able to read it"};
  }
  auto list = AccessList::parse(text);
  if (list) return *std::move(list);
  return wire::StartFailure{.code = errno_code(EINVAL),
                            .what = path + ": " + list.error(),
                            .hint = "'holdfast-lockd access' writes it"};
}

wire::Started open_credentials(Settings& settings) {
  if (!settings.tls.certificate.empty()) {
    auto tls = wire::Tls::open(wire::Tls::Side::kLockd, settings.tls);
    if (!tls) return tls.error();
    settings.server.tls = *std::move(tls);
  }
  if (settings.access_path.empty()) return boost::system::in_place_value;
  auto list = read_access(settings.access_path);
  if (!list) return list.error();
  settings.server.access = std::make_shared<const AccessList>(*std::move(list));
  return boost::system::in_place_value;
}

wire::Started reload_credentials(Settings& settings) {
  std::shared_ptr<const AccessList> access;
  if (!settings.access_path.empty()) {
    auto list = read_access(settings.access_path);
    if (!list) return list.error();
    access = std::make_shared<const AccessList>(*std::move(list));
  }
  if (settings.server.tls) {
    if (auto done = settings.server.tls->reload(); !done) return done;
  }
  settings.server.access = std::move(access);
  return boost::system::in_place_value;
}

}  // namespace holdfast::lockd
