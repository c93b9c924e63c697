// libFuzzer: whatever a hostile NFS server sends is decoded into something, or refused. Nothing is
// read that is not there, nothing is made that is larger than what arrived, and no name comes out
// that no directory can hold.
//
// First byte: which result is expected (its low bits); the stream then arrives in pieces of as many
// bytes as the second says. What follows is the stream: record marks, headers, results.
#include "fs/backend/nfs3/decode.h"
#include "fs/backend/nfs3/rpc/message.h"
#include "fs/backend/nfs3/rpc/record.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

namespace nfs3 = holdfast::fs::nfs3;
namespace rpc = holdfast::fs::nfs3::rpc;

namespace {

using Bytes = std::span<const std::uint8_t>;

void must(bool condition) {
  if (!condition) std::abort();
}

void check_directory(rpc::Reader& reader, nfs3::DirectoryKind kind, std::size_t size) {
  const auto page = nfs3::decode_directory(reader, kind);
  if (!reader.ok()) return;
  must(page.entries.size() <= size / 4);
  for (const auto& entry : page.entries) {
    must(!entry.name.empty() && entry.name.size() <= 255);
    must(entry.name.find('/') == std::string::npos && entry.name.find('\0') == std::string::npos);
  }
}

void decode(unsigned which, rpc::Reader& reader, Bytes whole) {
  switch (which % 12) {
    case 0:
      return static_cast<void>(nfs3::decode_attributes(reader));
    case 1:
      return static_cast<void>(nfs3::decode_post_op(reader));
    case 2:
      return must(nfs3::decode_handle(reader).bytes.size() <= 64);
    case 3:
      return static_cast<void>(nfs3::decode_made(reader));
    case 4: {
      const auto read = nfs3::decode_read(reader);
      if (read.data.empty()) return;
      must(read.data.data() >= whole.data() &&
           read.data.data() + read.data.size() <= whole.data() + whole.size());
      return;
    }
    case 5:
      return static_cast<void>(nfs3::decode_write(reader));
    case 6:
      return static_cast<void>(nfs3::decode_commit(reader));
    case 7:
      return check_directory(reader, nfs3::DirectoryKind::kPlain, whole.size());
    case 8:
      return check_directory(reader, nfs3::DirectoryKind::kPlus, whole.size());
    case 9:
      return static_cast<void>(nfs3::decode_fsinfo(reader));
    case 10:
      return static_cast<void>(nfs3::decode_fsstat(reader));
    default:
      return static_cast<void>(nfs3::decode_pathconf(reader));
  }
}

void answer(unsigned which, Bytes record) {
  rpc::Reader reader(record);
  rpc::ReplyHeader header;
  if (rpc::read_reply_header(reader, header) && header.outcome == rpc::Outcome::kSuccess)
    decode(which, reader, record);
  // As if the header had been right: else the fuzzer finds one in a million.
  rpc::Reader bare(record);
  decode(which, bare, record);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const unsigned which = data[0];
  const std::size_t piece = std::max<std::size_t>(data[1], 1);
  Bytes stream(data + 2, size - 2);
  rpc::Reader bare(stream);
  decode(which, bare, stream);
  rpc::RecordParser parser;
  std::size_t taken = 0;
  while (!stream.empty()) {
    const auto room = parser.space();
    must(!room.empty());
    const std::size_t next = std::min({piece, room.size(), stream.size()});
    std::memcpy(room.data(), stream.data(), next);
    stream = stream.subspan(next);
    if (!parser.commit(next)) return 0;
    while (const auto record = parser.take()) {
      taken += record->size();
      must(taken <= size);
      answer(which, record->bytes());
    }
  }
  return 0;
}
