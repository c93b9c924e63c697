#include "fs/backend/nfs3/decode.h"
#include "fs/backend/nfs3/encode.h"
#include "fs/backend/nfs3/nfs3_backend.h"

#include <algorithm>

#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-zdr.h>

namespace holdfast::fs::nfs3 {
namespace {

constexpr std::uint32_t kPageMin = 4096;
constexpr std::uint32_t kPageMax = 1U << 20;

}  // namespace

Backend::Awaitable<DirectoryPage> Nfs3Backend::readdir(Credentials who, FileHandle directory,
                                                       std::uint64_t cookie, std::uint64_t verifier,
                                                       std::uint32_t bytes_max) {
  const Client::Running running(client_);
  DirectoryAsk ask;
  ask.cookie = cookie;
  ask.verifier = verifier;
  ask.bytes_max = std::clamp(bytes_max, kPageMin, kPageMax);
  for (;;) {
    const auto kind = plus_ ? DirectoryKind::kPlus : DirectoryKind::kPlain;
    auto message = encode_readdir(who, directory, kind, ask);
    const auto answer = co_await client_.perform(std::move(message));
    if (!answer) {
      if (answer.error() != errno_code(EOPNOTSUPP) || kind == DirectoryKind::kPlain)
        co_return answer.error();
      plus_ = false;
      continue;
    }
    if (answer->status == NFS3ERR_NOTSUPP && kind == DirectoryKind::kPlus) {
      plus_ = false;
      continue;
    }
    if (answer->status == NFS3ERR_TOOSMALL && ask.bytes_max < kPageMax) {
      ask.bytes_max *= 2;
      continue;
    }
    // The directory changed since the first page, and this server minds: go on from the cookie all
    // the same, as it is all that a reader of a changing directory is promised.
    if (answer->status == NFS3ERR_BAD_COOKIE && ask.verifier != 0) {
      ask.verifier = 0;
      continue;
    }
    if (answer->error()) co_return answer->error();
    auto reader = answer->reader();
    auto page = decode_directory(reader, kind);
    if (!reader.ok()) co_return client_.malformed(*answer, "READDIR");
    co_return page;
  }
}

Backend::Awaitable<FilesystemStat> Nfs3Backend::fsstat(Credentials who) {
  const Client::Running running(client_);
  auto message = encode_fsstat(who, root_);
  const auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->error()) co_return answer->error();
  auto reader = answer->reader();
  const auto stat = decode_fsstat(reader);
  if (!reader.ok()) co_return client_.malformed(*answer, "FSSTAT");
  co_return stat;
}

}  // namespace holdfast::fs::nfs3
