#pragma once
/// Where lockd's records are in etcd, and how to get there. Values; no I/O but for the files named.

#include "holdfast/wire/start_failure.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::lockd {

inline constexpr std::string_view kEtcdScheme = "etcd://";

/// etcd://HOST:PORT[,HOST:PORT...][/PREFIX]
struct EtcdLocation {
  std::vector<std::string> endpoints;  ///< host:port, at least one
  std::string prefix = "/holdfast/";   ///< begins and ends with a slash
  std::string text;                    ///< as it was given, for people
};
/// Error: what is wrong with it, in words.
[[nodiscard]] boost::system::result<EtcdLocation, std::string> parse_etcd(std::string_view text);

/// Paths of files; empty = without.
struct EtcdAccess {
  std::string ca;    ///< PEM. Given = TLS, and etcd must show a certificate of it
  std::string cert;  ///< PEM; our own, with `key`
  std::string key;
  std::string user;
  std::string password_file;  ///< its first line
};

/// What was in those files.
struct EtcdSecrets {
  std::string ca, cert, key;
  std::string user, password;
};
[[nodiscard]] boost::system::result<EtcdSecrets, wire::StartFailure> read_secrets(
    const EtcdAccess& access);

/// Of this process, for one life as leader; earlier lives have ended.
struct EtcdIdentity {
  std::string process;  ///< random
  std::uint64_t life = 0;
  std::string name;  ///< for people
};

struct EtcdOptions {
  EtcdLocation location;
  EtcdSecrets secrets;
  /// How long the leader leads without a word from etcd, and nobody else takes over.
  std::chrono::milliseconds leader_ttl{3'000};
  /// The leader has etcd forget old versions of its keys this often; 0 = it is done elsewhere.
  std::chrono::seconds compact_every{3'600};
};

}  // namespace holdfast::lockd
