#include "cli/mount/token_file.h"

#include "holdfast/base/log.h"
#include "holdfast/lock/message.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

using Read = boost::system::result<std::string, std::string>;

Read read_first_line(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  if (!file.is_open())
    return Read(boost::system::in_place_error, std::strerror(errno == 0 ? EIO : errno));
  std::string line;
  std::getline(file, line);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' '))
    line.pop_back();
  if (line.empty()) return Read(boost::system::in_place_error, "its first line is empty");
  if (line.size() > kTokenTextMax)
    return Read(
        boost::system::in_place_error,
        fmt::format("its first line is no token: longer than {} characters", kTokenTextMax));
  return Read(boost::system::in_place_value, std::move(line));
}

}  // namespace

TokenFile::Opened TokenFile::open(std::string path) {
  Read token = read_first_line(path);
  if (!token) return Opened(boost::system::in_place_error, token.error());
  return Opened(boost::system::in_place_value, TokenFile(std::move(path), *std::move(token)));
}

const std::string& TokenFile::token() {
  Read now = read_first_line(path_);
  if (now) {
    if (std::exchange(broken_, false)) log::info("token.read", "file={}", path_);
    token_ = *std::move(now);
  } else if (!std::exchange(broken_, true)) {
    log::warn("token.unreadable",
              "file={} error=\"{}\" meaning=\"the token of before stays in use\" hint=\"the first "
              "line is to be what 'holdfast-lockd access add' printed; replace the file by mv\"",
              path_, now.error());
  }
  return token_;
}

}  // namespace holdfast::cli
