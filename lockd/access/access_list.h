#pragma once
/// Who may use which volumes: credentials by name, and what each is good for. In a file of lines:
///
///   token NAME HASH VOLUMES          HASH: SHA-256 of the token, hexadecimal
///   certificate NAME VOLUMES         NAME: common name of a certificate signed by the client CA
///
/// VOLUMES: volume ids (the id= of .holdfast-volume) with commas, or *. NAME is for logs, and what
/// `holdfast-lockd access remove` takes; no two lines have the same.
///
/// A token itself is nowhere at lockd. It has 258 random bits: one round of a fast hash is enough.
///
/// Plain values. Thread: any.

#include "holdfast/lock/types.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/system/result.hpp>

namespace holdfast::lockd {

using TokenHash = std::array<std::uint8_t, 32>;
[[nodiscard]] TokenHash hash_of(std::string_view token);
/// A fresh one: "hf_" and 43 characters that need no quotes.
[[nodiscard]] std::string make_token();

struct Credential {
  enum class Kind : std::uint8_t { kToken, kCertificate } kind = Kind::kToken;
  std::string name;
  TokenHash hash{};               ///< of kToken
  bool all = false;               ///< good for every volume
  std::vector<VolumeId> volumes;  ///< unless `all`

  [[nodiscard]] bool covers(const VolumeId& volume) const;
};

class AccessList {
 public:
  /// An error is one sentence with the line's number; never the line, which may hold a token that
  /// somebody put there.
  [[nodiscard]] static boost::system::result<AccessList, std::string> parse(std::string_view text);
  [[nodiscard]] std::string text() const;

  /// Takes as long whichever it is, and if it is none.
  [[nodiscard]] std::optional<Credential> find_token(std::string_view token) const;
  [[nodiscard]] std::optional<Credential> find_certificate(std::string_view name) const;
  /// Still there, as it was, whatever it is good for by now.
  [[nodiscard]] std::optional<Credential> find_again(const Credential& earlier) const;

  /// What is wrong, or nothing: the name is taken, or not one.
  [[nodiscard]] std::string add(Credential credential);
  [[nodiscard]] bool remove(std::string_view name);
  [[nodiscard]] const std::vector<Credential>& all() const { return credentials_; }

 private:
  std::vector<Credential> credentials_;
};

[[nodiscard]] std::string volumes_text(const Credential& credential);
/// "*", or ids with commas. What is wrong, or nothing.
[[nodiscard]] std::string parse_volumes(std::string_view text, Credential& credential);
[[nodiscard]] std::string uuid_text(const VolumeId& volume);

}  // namespace holdfast::lockd
