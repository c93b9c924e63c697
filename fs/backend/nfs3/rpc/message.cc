#include "fs/backend/nfs3/rpc/message.h"

#include "holdfast/base/assert.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include <nfsc/libnfs-zdr.h>
#include <unistd.h>

namespace holdfast::fs::nfs3::rpc {
namespace {

constexpr std::uint32_t kCall = 0;
constexpr std::uint32_t kReply = 1;
constexpr std::uint32_t kRpcVersion = 2;
constexpr std::uint32_t kAuthNone = 0;
constexpr std::uint32_t kAuthSys = 1;
constexpr std::size_t kMachineNameMax = 255;
constexpr std::size_t kXidAt = 4;         // after the record mark
constexpr std::size_t kProcedureAt = 24;  // xid, CALL, RPC version, program, version
constexpr std::size_t kVerifierMax = 400;

void store(std::uint8_t* at, std::uint32_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 24);
  at[1] = static_cast<std::uint8_t>(value >> 16);
  at[2] = static_cast<std::uint8_t>(value >> 8);
  at[3] = static_cast<std::uint8_t>(value);
}

const std::string& machine_name() {
  static const std::string name = [] {
    std::array<char, kMachineNameMax + 1> buffer{};
    if (::gethostname(buffer.data(), kMachineNameMax) != 0) return std::string("holdfast");
    return std::string(buffer.data());
  }();
  return name;
}

}  // namespace

static_assert(sizeof(ZDR) <= 64);

std::uint32_t Message::xid() const {
  Reader reader{std::span<const std::uint8_t>(head).subspan(kXidAt)};
  return reader.u32();
}

std::uint32_t Message::procedure() const {
  Reader reader{std::span<const std::uint8_t>(head).subspan(kProcedureAt)};
  return reader.u32();
}

void Message::set_xid(std::uint32_t xid) {
  store(head.data() + kXidAt, xid);
}

std::vector<std::uint32_t> groups_for_wire(const Credentials& who) {
  std::vector<std::uint32_t> groups;
  for (const std::uint32_t group : who.groups) {
    if (group == who.gid) continue;
    if (groups.size() == MessageWriter::kGroupsMax) break;
    groups.push_back(group);
  }
  return groups;
}

MessageWriter::MessageWriter(Procedure procedure, const Credentials& who,
                             std::size_t arguments_max) {
  const std::string& machine = machine_name();
  const auto groups = groups_for_wire(who);
  const std::size_t machine_padded = (machine.size() + 3) & ~std::size_t{3};
  const std::size_t cred_size = 4 + 4 + machine_padded + 4 + 4 + 4 + groups.size() * 4;
  head_.resize(4 + 6 * 4 + 8 + cred_size + 8 + arguments_max + 4);
  put(0);  // record mark, written by finish()
  put(0);  // xid, written when the call is queued
  put(kCall);
  put(kRpcVersion);
  put(procedure.program);
  put(procedure.version);
  put(procedure.number);
  put(kAuthSys);
  put(static_cast<std::uint32_t>(cred_size));
  put(0);  // stamp
  put(static_cast<std::uint32_t>(machine.size()));
  std::memcpy(head_.data() + size_, machine.data(), machine.size());
  size_ += machine_padded;
  put(who.uid);
  put(who.gid);
  put(static_cast<std::uint32_t>(groups.size()));
  for (const std::uint32_t group : groups)
    put(group);
  put(kAuthNone);
  put(0);
}

void MessageWriter::put(std::uint32_t value) {
  store(head_.data() + size_, value);
  size_ += 4;
}

void MessageWriter::begin() {
  auto* z = new (zdr_) ZDR{};
  libnfs_zdrmem_create(z, reinterpret_cast<char*>(head_.data() + size_),
                       static_cast<std::uint32_t>(head_.size() - size_), ZDR_ENCODE);
}

void MessageWriter::end() {
  size_ += libnfs_zdr_getpos(zdr());
  libnfs_zdr_destroy(zdr());
  HOLDFAST_ASSERT(size_ <= head_.size(), "the arguments of an NFS call outgrew their buffer");
}

ZDR* MessageWriter::zdr() {
  return std::launder(reinterpret_cast<ZDR*>(zdr_));
}

Message MessageWriter::finish(std::span<const std::uint8_t> payload) {
  Message message;
  head_.resize(size_);
  message.head = std::move(head_);
  message.payload = payload;
  const std::size_t size = message.head.size() - 4 + payload.size() + message.padding();
  store(message.head.data(), 0x80000000U | static_cast<std::uint32_t>(size));
  return message;
}

bool read_reply_header(Reader& reader, ReplyHeader& header) {
  header.xid = reader.u32();
  if (reader.u32() != kReply) return false;
  const std::uint32_t reply_status = reader.u32();
  if (reply_status == 1) {  // MSG_DENIED
    const std::uint32_t reject = reader.u32();
    if (reject > 1) return false;
    header.outcome = reject == 0 ? Outcome::kRpcMismatch : Outcome::kAuthError;
    if (reject == 1) header.auth_stat = reader.u32();
    return reader.ok();
  }
  if (reply_status != 0) return false;
  (void)reader.u32();  // verifier: servers answer AUTH_SYS with AUTH_NONE or a short one; not used
  (void)reader.bytes(kVerifierMax);
  const std::uint32_t accept = reader.u32();
  if (accept > 5) return false;
  constexpr std::array kOutcomes = {Outcome::kSuccess,          Outcome::kProgramUnavailable,
                                    Outcome::kVersionMismatch,  Outcome::kProcedureUnavailable,
                                    Outcome::kGarbageArguments, Outcome::kSystemError};
  header.outcome = kOutcomes[accept];
  if (header.outcome == Outcome::kVersionMismatch) {
    header.version_low = reader.u32();
    header.version_high = reader.u32();
  }
  return reader.ok();
}

}  // namespace holdfast::fs::nfs3::rpc
