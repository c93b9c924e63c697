#include "lockd/access/access_list.h"

#include "holdfast/base/assert.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

namespace holdfast::lockd {
namespace {

constexpr std::size_t kCredentialsMax = 10'000;
constexpr std::size_t kNameMax = 64;
constexpr std::string_view kHead =
    "# Who may use which volumes. Written by 'holdfast-lockd access'; read at start and on "
    "SIGHUP.\n";

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <std::size_t N>
bool parse_hex(std::string_view text, std::array<std::uint8_t, N>& out) {
  if (text.size() != 2 * N) return false;
  for (std::size_t i = 0; i < N; ++i) {
    const int high = digit(text[2 * i]);
    const int low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

bool dash_before(std::size_t byte) {
  return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

bool parse_uuid(std::string_view text, VolumeId& out) {
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool at_dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (at_dash != (text[i] == '-')) return false;
    if (!at_dash) digits += text[i];
  }
  return parse_hex(digits, out);
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.' || c == '@' || c == ':';
         });
}

std::string parse_line(std::istringstream words, Credential& out) {
  std::string kind, hash, volumes, more;
  words >> kind >> out.name;
  if (kind == "token") {
    words >> hash;
    if (!parse_hex(hash, out.hash)) return "a token's line is: token NAME HASH VOLUMES";
  } else if (kind == "certificate") {
    out.kind = Credential::Kind::kCertificate;
  } else {
    return "a line begins with 'token' or 'certificate'";
  }
  words >> volumes;
  if (words >> more) return "there is more on it than VOLUMES; ids have commas between them";
  return parse_volumes(volumes, out);
}

}  // namespace

TokenHash hash_of(std::string_view token) {
  TokenHash out{};
  unsigned size = 0;
  HOLDFAST_ASSERT(
      ::EVP_Digest(token.data(), token.size(), out.data(), &size, ::EVP_sha256(), nullptr) == 1 &&
          size == out.size(),
      "SHA-256 is always there");
  return out;
}

std::string make_token() {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::array<unsigned char, 43> random{};  // 6 bits of each: 258
  HOLDFAST_ASSERT(::RAND_bytes(random.data(), static_cast<int>(random.size())) == 1,
                  "the kernel always gives random bytes");
  std::string out = "hf_";
  for (const unsigned char byte : random)
    out += kAlphabet[byte & 0x3f];
  return out;
}

bool Credential::covers(const VolumeId& volume) const {
  return all || std::find(volumes.begin(), volumes.end(), volume) != volumes.end();
}

std::string uuid_text(const VolumeId& volume) {
  std::string out;
  for (std::size_t i = 0; i < volume.size(); ++i) {
    if (dash_before(i)) out += '-';
    out += fmt::format("{:02x}", volume[i]);
  }
  return out;
}

std::string volumes_text(const Credential& credential) {
  if (credential.all) return "*";
  std::string out;
  for (const VolumeId& volume : credential.volumes)
    out += (out.empty() ? "" : ",") + uuid_text(volume);
  return out;
}

std::string parse_volumes(std::string_view text, Credential& credential) {
  if (text == "*") {
    credential.all = true;
    return {};
  }
  if (text.empty()) return "no volumes are named; * is all of them";
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    VolumeId volume{};
    if (!parse_uuid(text.substr(at, end - at), volume))
      return "a volume is named by its id, the id= in .holdfast-volume on the export; * is all";
    credential.volumes.push_back(volume);
    at = end + 1;
  }
  return {};
}

boost::system::result<AccessList, std::string> AccessList::parse(std::string_view text) {
  AccessList out;
  std::istringstream lines{std::string(text)};
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const auto first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos || line[first] == '#') continue;
    Credential one;
    std::string wrong = parse_line(std::istringstream(line), one);
    if (wrong.empty()) wrong = out.add(std::move(one));
    if (!wrong.empty()) return fmt::format("line {}: {}", number, wrong);
  }
  return out;
}

std::string AccessList::text() const {
  std::string out(kHead);
  for (const Credential& one : credentials_) {
    if (one.kind == Credential::Kind::kCertificate) {
      out += fmt::format("certificate {} {}\n", one.name, volumes_text(one));
      continue;
    }
    std::string hash;
    for (const std::uint8_t byte : one.hash)
      hash += fmt::format("{:02x}", byte);
    out += fmt::format("token {} {} {}\n", one.name, hash, volumes_text(one));
  }
  return out;
}

std::optional<Credential> AccessList::find_token(std::string_view token) const {
  const TokenHash wanted = hash_of(token);
  const Credential* found = nullptr;
  for (const Credential& one : credentials_) {
    const bool same = ::CRYPTO_memcmp(one.hash.data(), wanted.data(), wanted.size()) == 0;
    if (same && one.kind == Credential::Kind::kToken) found = &one;
  }
  return found == nullptr ? std::nullopt : std::optional(*found);
}

std::optional<Credential> AccessList::find_certificate(std::string_view name) const {
  for (const Credential& one : credentials_)
    if (one.kind == Credential::Kind::kCertificate && one.name == name) return one;
  return std::nullopt;
}

std::optional<Credential> AccessList::find_again(const Credential& earlier) const {
  for (const Credential& one : credentials_)
    if (one.kind == earlier.kind && one.name == earlier.name && one.hash == earlier.hash)
      return one;
  return std::nullopt;
}

std::string AccessList::add(Credential credential) {
  if (!is_name(credential.name))
    return fmt::format("a name has up to {} letters, digits and -_.@:", kNameMax);
  for (const Credential& one : credentials_)
    if (one.name == credential.name) return "'" + credential.name + "' is there already";
  if (credentials_.size() >= kCredentialsMax)
    return fmt::format("more than {} credentials", kCredentialsMax);
  credentials_.push_back(std::move(credential));
  return {};
}

bool AccessList::remove(std::string_view name) {
  return std::erase_if(credentials_, [&](const Credential& one) { return one.name == name; }) > 0;
}

}  // namespace holdfast::lockd
