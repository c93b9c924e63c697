// For any bytes, and any order of events.

#include "fs/backend/nfs3/decode.h"
#include "fs/backend/nfs3/rpc/call_table.h"
#include "fs/backend/nfs3/rpc/message.h"
#include "fs/backend/nfs3/rpc/record.h"
#include "fs/backend/nfs3/write_order.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace holdfast::fs::nfs3 {
namespace {

using Bytes = std::vector<std::uint8_t>;

RC_GTEST_PROP(Decoding, AnyBytesGiveAValueOrAnError, (const Bytes& bytes)) {
  const auto with = [&](auto decode) {
    rpc::Reader reader(bytes);
    (void)decode(reader);
    RC_ASSERT(reader.remaining() <= bytes.size());
  };
  with(decode_attributes);
  with(decode_made);
  with(decode_read);
  with(decode_write);
  with(decode_commit);
  with(decode_fsinfo);
  with(decode_fsstat);
  with(decode_pathconf);
  with([](rpc::Reader& reader) { return decode_directory(reader, DirectoryKind::kPlain); });
  with([](rpc::Reader& reader) { return decode_directory(reader, DirectoryKind::kPlus); });
  with([](rpc::Reader& reader) {
    rpc::ReplyHeader header;
    return rpc::read_reply_header(reader, header);
  });
}

RC_GTEST_PROP(Records, AnyStreamIsParsedOrRefused, (const Bytes& stream)) {
  rpc::RecordParser parser;
  for (std::size_t at = 0; at < stream.size();) {
    const auto space = parser.space();
    RC_ASSERT(!space.empty());
    const std::size_t size =
        std::min({*rc::gen::inRange<std::size_t>(1, 9), space.size(), stream.size() - at});
    std::memcpy(space.data(), stream.data() + at, size);
    at += size;
    if (!parser.commit(size)) break;
    while (auto record = parser.take())
      RC_ASSERT(record->size() <= stream.size());
  }
}

RC_GTEST_PROP(WriteOrder, KeepsO1AndO2, ()) {
  WriteOrder order;
  FileHandle file;
  file.bytes.assign(8, 1);
  std::set<WriteOrder::Ticket> inside;
  for (int step = 0; step < 60; ++step) {
    if (inside.empty() || *rc::gen::arbitrary<bool>()) {
      const auto begin = *rc::gen::inRange<std::uint64_t>(0, 40);
      inside.insert(order.enter(file, begin, begin + *rc::gen::inRange<std::uint64_t>(1, 20)));
    } else {
      auto it = inside.begin();
      std::advance(it, *rc::gen::inRange<std::size_t>(0, inside.size()));
      for (const auto admitted : order.leave(file, *it))
        RC_ASSERT(order.admitted(file, admitted));
      inside.erase(it);
    }
    order.check_invariants();
  }
  // Nobody waits for ever: whoever is admitted leaves, until all are gone.
  while (!inside.empty()) {
    const auto next = std::find_if(inside.begin(), inside.end(),
                                   [&](auto ticket) { return order.admitted(file, ticket); });
    RC_ASSERT(next != inside.end());
    (void)order.leave(file, *next);
    inside.erase(next);
  }
  RC_ASSERT(order.empty());
}

RC_GTEST_PROP(CallTable, KeepsT1AndT2, ()) {
  rpc::CallTable<int> table(*rc::gen::arbitrary<std::uint32_t>());
  rpc::CallTable<int>::Time now{};
  std::vector<std::uint32_t> xids;
  for (int step = 0; step < 80; ++step) {
    now += std::chrono::seconds(*rc::gen::inRange(0, 3));
    const auto any = [&] {
      return xids.empty() ? 0U : xids[*rc::gen::inRange<std::size_t>(0, xids.size())];
    };
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
        xids.push_back(table.add(step).xid);
        break;
      case 1:
        (void)table.send_next(now);
        break;
      case 2:
        table.erase(any());
        break;
      case 3:
        table.abandon(any());
        break;
      case 4:
        table.repeat_due(now, [&](std::uint32_t xid) { return xid == any(); });
        break;
      default:
        table.connection_lost();
        break;
    }
    table.check_invariants();
  }
}

}  // namespace
}  // namespace holdfast::fs::nfs3
