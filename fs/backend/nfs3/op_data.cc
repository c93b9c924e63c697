#include "fs/backend/nfs3/decode.h"
#include "fs/backend/nfs3/encode.h"
#include "fs/backend/nfs3/nfs3_backend.h"

#include <algorithm>

namespace holdfast::fs::nfs3 {

Backend::Awaitable<ReadResult> Nfs3Backend::read(Credentials who, FileHandle file,
                                                 std::uint64_t offset, std::uint32_t count) {
  const Client::Running running(client_);
  ReadResult result;
  do {
    const auto got = static_cast<std::uint32_t>(result.data.size());
    auto message = encode_read(who, file, offset + got, std::min(count - got, limits_.read_max));
    const auto answer = co_await client_.perform(std::move(message));
    if (!answer) co_return answer.error();
    if (answer->error()) co_return answer->error();
    auto reader = answer->reader();
    const auto piece = decode_read(reader);
    if (!reader.ok() || piece.data.size() > count - got)
      co_return client_.malformed(*answer, "READ");
    result.data.insert(result.data.end(), piece.data.begin(), piece.data.end());
    result.eof = piece.eof;
    // Nothing and not the end: a server that does this would keep us here for ever.
    if (piece.data.empty() && !piece.eof && count > 0) co_return errno_code(EIO);
  } while (!result.eof && result.data.size() < count);
  co_return result;
}

Backend::Awaitable<WriteResult> Nfs3Backend::write(Credentials who, FileHandle file,
                                                   std::uint64_t offset,
                                                   std::span<const std::uint8_t> data,
                                                   Stability stability) {
  const Client::Running running(client_);
  data = data.first(std::min<std::size_t>(data.size(), limits_.write_max));
  if (data.empty()) co_return errno_code(EINVAL);
  if (offset + data.size() < offset) co_return errno_code(EFBIG);
  const auto turn = co_await client_.turn(file, offset, offset + data.size());
  if (!turn) co_return turn.error();
  auto message = encode_write(who, file, offset, data, stability);
  const Client::Lane lane = file.hash();
  const auto answer = co_await client_.perform(std::move(message), lane, *turn);
  if (!answer) co_return answer.error();
  if (answer->error()) co_return answer->error();
  auto reader = answer->reader();
  const auto result = decode_write(reader);
  if (!reader.ok() || result.count > data.size() || result.count == 0)
    co_return client_.malformed(*answer, "WRITE");
  co_return result;
}

Backend::Awaitable<CommitResult> Nfs3Backend::commit(Credentials who, FileHandle file,
                                                     std::uint64_t offset, std::uint32_t count) {
  const Client::Running running(client_);
  auto message = encode_commit(who, file, offset, count);
  const Client::Lane lane = file.hash();
  const auto answer = co_await client_.perform(std::move(message), lane);
  if (!answer) co_return answer.error();
  if (answer->error()) co_return answer->error();
  auto reader = answer->reader();
  const auto result = decode_commit(reader);
  if (!reader.ok()) co_return client_.malformed(*answer, "COMMIT");
  co_return result;
}

}  // namespace holdfast::fs::nfs3
