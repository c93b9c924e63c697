#pragma once
/// The file with a mount's token: its first line. Whoever replaces it may be in the middle of that
/// when it is read, so a token that was read once stays in use until there is another.
///
/// Thread: one.

#include <string>

#include <boost/system/result.hpp>

namespace holdfast::cli {

class TokenFile {
 public:
  /// What is wrong with the file, for people.
  using Opened = boost::system::result<TokenFile, std::string>;
  [[nodiscard]] static Opened open(std::string path);

  /// As the file has it now; if it has none, the one of before, and one log line until that is
  /// mended. Never empty.
  [[nodiscard]] const std::string& token();

 private:
  TokenFile(std::string path, std::string token)
      : path_(std::move(path)), token_(std::move(token)) {}

  std::string path_;
  std::string token_;
  bool broken_ = false;
};

}  // namespace holdfast::cli
