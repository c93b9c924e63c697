#pragma once
/// Keys and values in etcd (lib/proto/holdfast/store.proto). Pure. Private to lockd/store/etcd.
///
/// Each value begins with a checksum over key and contents, and `meta` has the number of all
/// records and the exclusive or of their checksums, as in the SQLite file: what was changed, lost
/// or put back by somebody else is noticed at the next start.

#include "lockd/core/records.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::lockd {

inline constexpr std::uint32_t kEtcdFormat = 1;

struct EtcdMeta {
  std::uint32_t format = kEtcdFormat;
  Epoch epoch;
  bool empty = true;
  std::chrono::milliseconds lease_ttl_max{0};
  std::uint64_t rows = 0;
  std::uint64_t digest = 0;
  std::uint64_t writes = 0;
};

struct EtcdLeader {
  std::string process;
  std::uint64_t life = 0;
  std::string name;
  std::chrono::milliseconds ttl{0};
  bool resigned = false;
};

/// All keys, below a prefix that ends with a slash.
class EtcdKeys {
 public:
  explicit EtcdKeys(std::string prefix) : prefix_(std::move(prefix)) {}

  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  /// Behind every key that begins with the prefix.
  [[nodiscard]] std::string end() const { return after(prefix_); }
  [[nodiscard]] std::string meta() const { return prefix_ + "meta"; }
  [[nodiscard]] std::string leader() const { return prefix_ + "leader"; }
  [[nodiscard]] std::string session(SessionId id) const;
  [[nodiscard]] std::string loss(SessionId id, LossNumber number) const;
  /// Where the losses of a session begin. after() of it: where they end.
  [[nodiscard]] std::string losses(SessionId id) const;
  /// The least text behind all that begin with `text`, which ends with a slash.
  [[nodiscard]] static std::string after(std::string text);

  struct Name {
    enum class Kind { kMeta, kLeader, kSession, kLoss } kind;
    SessionId session;
    LossNumber number;
  };
  /// Nothing for a key that is none of ours.
  [[nodiscard]] std::optional<Name> read(std::string_view key) const;

 private:
  std::string prefix_;
};

/// The checksum that the value of this key begins with.
[[nodiscard]] std::uint64_t sum_of(std::string_view value);

[[nodiscard]] std::string encode(std::string_view key, const EtcdMeta& meta);
[[nodiscard]] std::string encode(std::string_view key, const EtcdLeader& leader);
/// Without its losses.
[[nodiscard]] std::string encode(std::string_view key, const SessionRecord& record);
[[nodiscard]] std::string encode(std::string_view key, const FileLoss& loss);

/// Nothing if the value does not match its checksum or is no such record. Of a meta of a newer
/// format only `format` is told.
[[nodiscard]] std::optional<EtcdMeta> decode_meta(std::string_view key, std::string_view value);
[[nodiscard]] std::optional<EtcdLeader> decode_leader(std::string_view key, std::string_view value);
[[nodiscard]] std::optional<SessionRecord> decode_session(SessionId id, std::string_view key,
                                                          std::string_view value);
[[nodiscard]] std::optional<FileLoss> decode_loss(LossNumber number, std::string_view key,
                                                  std::string_view value);

}  // namespace holdfast::lockd
