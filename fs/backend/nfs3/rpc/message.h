#pragma once
/// ONC RPC version 2 messages (RFC 5531 section 9) with AUTH_SYS credentials (appendix A). Pure.

#include "fs/backend/nfs3/rpc/reader.h"
#include "fs/backend/types.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

struct ZDR;

namespace holdfast::fs::nfs3::rpc {

struct Procedure {
  std::uint32_t program = 0;
  std::uint32_t version = 0;
  std::uint32_t number = 0;
};

/// One call, ready to be sent: record mark, header and arguments; for WRITE the data follows by
/// reference.
struct Message {
  std::vector<std::uint8_t> head;
  std::span<const std::uint8_t> payload;

  [[nodiscard]] std::uint32_t xid() const;
  void set_xid(std::uint32_t xid);
  [[nodiscard]] std::uint32_t procedure() const;
  /// XDR padding after the payload.
  [[nodiscard]] std::size_t padding() const { return (4 - payload.size() % 4) % 4; }
};

/// Writes one call. Arguments are appended through libnfs's codecs, then finish() closes it.
class MessageWriter {
 public:
  /// AUTH_SYS carries no more (RFC 5531 appendix A); more makes servers refuse the whole call.
  static constexpr std::size_t kGroupsMax = 16;

  MessageWriter(Procedure procedure, const Credentials& who, std::size_t arguments_max);
  /// Encodes with a libnfs zdr_* function. The caller's `arguments_max` must cover it.
  template <class T, class Codec>
  MessageWriter& add(Codec codec, T& value) {
    begin();
    ok_ = codec(zdr(), &value) != 0 && ok_;
    end();
    return *this;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  /// The message; `payload` is sent after the encoded arguments.
  [[nodiscard]] Message finish(std::span<const std::uint8_t> payload = {});

 private:
  void put(std::uint32_t value);
  void begin();
  void end();
  [[nodiscard]] ZDR* zdr();

  std::vector<std::uint8_t> head_;
  std::size_t size_ = 0;
  alignas(8) unsigned char zdr_[64];
  bool ok_ = true;
};

/// The groups that go out: without the primary one (it has its own field), the first kGroupsMax.
[[nodiscard]] std::vector<std::uint32_t> groups_for_wire(const Credentials& who);

enum class Outcome : std::uint8_t {
  kSuccess,
  kProgramUnavailable,  ///< PROG_UNAVAIL
  kVersionMismatch,     ///< PROG_MISMATCH
  kProcedureUnavailable,
  kGarbageArguments,
  kSystemError,
  kRpcMismatch,  ///< denied: not RPC version 2
  kAuthError,    ///< denied: credentials refused
};

struct ReplyHeader {
  std::uint32_t xid = 0;
  Outcome outcome = Outcome::kSuccess;
  std::uint32_t version_low = 0;  ///< kVersionMismatch: what the server offers
  std::uint32_t version_high = 0;
  std::uint32_t auth_stat = 0;  ///< kAuthError
};

/// Reads a reply's header; `reader` then stands at the result. False = malformed.
[[nodiscard]] bool read_reply_header(Reader& reader, ReplyHeader& header);

}  // namespace holdfast::fs::nfs3::rpc
