#include "fs/backend/nfs3/decode.h"
#include "fs/backend/nfs3/encode.h"
#include "fs/backend/nfs3/nfs3_backend.h"

#include <limits>

#include <unistd.h>

namespace holdfast::fs::nfs3 {
namespace {

// RFC 1813 section 3.3.4
constexpr std::uint32_t kAccessRead = 0x01;
constexpr std::uint32_t kAccessLookup = 0x02;
constexpr std::uint32_t kAccessModify = 0x04;
constexpr std::uint32_t kAccessExtend = 0x08;
constexpr std::uint32_t kAccessDelete = 0x10;
constexpr std::uint32_t kAccessExecute = 0x20;
constexpr std::uint32_t kAccessAll = 0x3f;

/// The R_OK | W_OK | X_OK bits that `granted` amounts to.
std::uint32_t to_mode_bits(std::uint32_t granted, bool directory) {
  const auto all = [granted](std::uint32_t bits) { return (granted & bits) == bits; };
  std::uint32_t out = 0;
  if (all(kAccessRead)) out |= R_OK;
  if (all(kAccessModify | kAccessExtend) && (!directory || all(kAccessDelete))) out |= W_OK;
  if (all(directory ? kAccessLookup : kAccessExecute)) out |= X_OK;
  return out;
}

}  // namespace

Backend::Awaitable<Attributes> Nfs3Backend::getattr(Credentials who, FileHandle file) {
  const Client::Running running(client_);
  auto message = encode_getattr(who, file);
  const auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->error()) co_return answer->error();
  auto reader = answer->reader();
  const auto attributes = decode_attributes(reader);
  if (!reader.ok()) co_return client_.malformed(*answer, "GETATTR");
  co_return attributes;
}

Backend::Awaitable<Attributes> Nfs3Backend::setattr(Credentials who, FileHandle file,
                                                    SetAttributes change) {
  const Client::Running running(client_);
  // A size or a time set while writes are on their way would be a matter of luck.
  const auto turn = co_await client_.turn(file, 0, std::numeric_limits<std::uint64_t>::max());
  if (!turn) co_return turn.error();
  auto message = encode_setattr(who, file, change);
  const Client::Lane lane = file.hash();
  const auto answer = co_await client_.perform(std::move(message), lane, *turn);
  if (!answer) co_return answer.error();
  if (answer->error()) co_return answer->error();
  auto reader = answer->reader();
  const auto attributes = decode_wcc(reader);
  if (!reader.ok()) co_return client_.malformed(*answer, "SETATTR");
  if (attributes) co_return *attributes;
  co_return co_await getattr(who, file);
}

Backend::Awaitable<std::uint32_t> Nfs3Backend::access(Credentials who, FileHandle file,
                                                      std::uint32_t wanted) {
  const Client::Running running(client_);
  auto message = encode_access(who, file, kAccessAll);
  const auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->error()) co_return answer->error();
  auto reader = answer->reader();
  auto attributes = decode_post_op(reader);
  const std::uint32_t granted = reader.u32();
  if (!reader.ok()) co_return client_.malformed(*answer, "ACCESS");
  if (!attributes) {
    const auto asked = co_await getattr(who, file);
    if (!asked) co_return asked.error();
    attributes = *asked;
  }
  co_return to_mode_bits(granted, attributes->type == FileType::kDirectory) & wanted;
}

}  // namespace holdfast::fs::nfs3
