// What goes into calls and comes out of replies, judged by libnfs's codecs for the other direction.

#include "fs/backend/nfs3/decode.h"
#include "fs/backend/nfs3/encode.h"
#include "fs/backend/nfs3/repeat.h"
#include "fs/backend/nfs3/status.h"
#include "fs/backend/nfs3/write_order.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-zdr.h>

namespace holdfast::fs::nfs3 {
namespace {

using Bytes = std::vector<std::uint8_t>;
const Credentials kWho{1, 2, {3}};

FileHandle handle(std::uint8_t seed, std::size_t size = 32) {
  FileHandle out;
  out.bytes.assign(size, seed);
  return out;
}
nfs_fh3 wire_handle(FileHandle& from) {
  nfs_fh3 out{};
  out.data.data_len = static_cast<u_int>(from.bytes.size());
  out.data.data_val = reinterpret_cast<char*>(from.bytes.data());
  return out;
}
fattr3 wire_attributes() {
  fattr3 out{};
  out.type = NF3REG;
  out.mode = 0104755;
  out.nlink = 3;
  out.uid = 10;
  out.gid = 20;
  out.size = 1ULL << 40;
  out.fileid = 99;
  out.mtime = {.seconds = 1234, .nseconds = 5678};
  return out;
}
template <class T, class Codec>
Bytes encoded(Codec codec, T value) {
  Bytes bytes(8192);
  ZDR zdr{};
  libnfs_zdrmem_create(&zdr, reinterpret_cast<char*>(bytes.data()), 8192, ZDR_ENCODE);
  EXPECT_TRUE(codec(&zdr, &value));
  bytes.resize(libnfs_zdr_getpos(&zdr));
  libnfs_zdr_destroy(&zdr);
  return bytes;
}
/// The arguments of a call as the server's decoder sees them.
template <class T, class Codec, class Check>
void decoded(Codec codec, const rpc::Message& message, Check check) {
  rpc::Reader header(message.head);
  (void)header.opaque(28);
  (void)header.u32();
  (void)header.bytes(400);
  (void)header.u64();
  Bytes bytes(message.head.end() - static_cast<std::ptrdiff_t>(header.remaining()),
              message.head.end());
  bytes.insert(bytes.end(), message.payload.begin(), message.payload.end());
  bytes.resize(bytes.size() + message.padding());
  T args{};
  ZDR zdr{};
  libnfs_zdrmem_create(&zdr, reinterpret_cast<char*>(bytes.data()),
                       static_cast<std::uint32_t>(bytes.size()), ZDR_DECODE);
  ASSERT_TRUE(codec(&zdr, &args));
  EXPECT_EQ(libnfs_zdr_getpos(&zdr), bytes.size()) << "nothing is left over";
  check(args);
  libnfs_zdr_destroy(&zdr);
}

TEST(Status, EveryRowOfTheTable) {
  const std::vector<std::pair<std::uint32_t, int>> rows = {{0, 0},
                                                           {1, EPERM},
                                                           {2, ENOENT},
                                                           {5, EIO},
                                                           {6, ENXIO},
                                                           {13, EACCES},
                                                           {17, EEXIST},
                                                           {18, EXDEV},
                                                           {19, ENODEV},
                                                           {20, ENOTDIR},
                                                           {21, EISDIR},
                                                           {22, EINVAL},
                                                           {27, EFBIG},
                                                           {28, ENOSPC},
                                                           {30, EROFS},
                                                           {31, EMLINK},
                                                           {63, ENAMETOOLONG},
                                                           {66, ENOTEMPTY},
                                                           {69, EDQUOT},
                                                           {70, ESTALE},
                                                           {71, EREMOTE},
                                                           {10001, ESTALE},
                                                           {10002, EIO},
                                                           {10003, EINVAL},
                                                           {10004, EOPNOTSUPP},
                                                           {10005, EINVAL},
                                                           {10006, EIO},
                                                           {10007, EOPNOTSUPP},
                                                           {10008, EAGAIN},
                                                           {12345, EIO}};
  for (const auto& [status, value] : rows)
    EXPECT_EQ(status_to_errno(status), value) << status;
  EXPECT_TRUE(means_later(10008));
  for (const std::uint32_t of_the_server : {5U, 28U, 30U, 69U, 10006U, 12345U})
    EXPECT_TRUE(is_trouble_of_server(of_the_server)) << of_the_server;
  for (const std::uint32_t of_the_request : {0U, 2U, 13U, 17U, 66U, 70U, 10008U})
    EXPECT_FALSE(is_trouble_of_server(of_the_request)) << of_the_request;
  const std::vector<std::pair<std::uint32_t, int>> mount = {
      {0, 0},       {1, EPERM},         {2, ENOENT},
      {5, EIO},     {13, EACCES},       {20, ENOTDIR},
      {22, EINVAL}, {63, ENAMETOOLONG}, {10004, EOPNOTSUPP},
      {10006, EIO}, {12345, EIO}};
  for (const auto& [status, value] : mount)
    EXPECT_EQ(mount_status_to_errno(status), value) << status;
  EXPECT_NE(mount_status_text(2, "nas", "/x").find("no such export"), std::string::npos);
  EXPECT_NE(mount_status_text(13, "nas", "/x").find("allow this host"), std::string::npos);
}

TEST(Encode, WriteIsReadByTheServersDecoder) {
  const Bytes data = {1, 2, 3, 4, 5};
  const auto message = encode_write(kWho, handle(7, 64), 1ULL << 33, data, Stability::kFileSync);
  decoded<WRITE3args>(zdr_WRITE3args, message, [&](const WRITE3args& args) {
    EXPECT_EQ(args.offset, 1ULL << 33);
    EXPECT_EQ(args.count, 5U);
    EXPECT_EQ(args.stable, FILE_SYNC);
    ASSERT_EQ(args.data.data_len, 5U);
    EXPECT_EQ(std::memcmp(args.data.data_val, data.data(), 5), 0);
    EXPECT_EQ(args.file.data.data_len, 64U);
  });
}

TEST(Encode, LongestNamesTargetsAndAttributesFit) {
  const std::string name(kNameBytesMax, 'n');
  const std::string target(kTargetBytesMax, 't');
  decoded<RENAME3args>(zdr_RENAME3args,
                       encode_rename(kWho, handle(1, 64), name, handle(2, 64), name),
                       [&](const RENAME3args& args) { EXPECT_EQ(args.to.name, name); });
  decoded<SYMLINK3args>(
      zdr_SYMLINK3args, encode_symlink(kWho, handle(1, 64), name, target),
      [&](const SYMLINK3args& args) { EXPECT_EQ(args.symlink.symlink_data, target); });
  SetAttributes all;
  all.mode = 0100644;
  all.uid = 1;
  all.gid = 2;
  all.size = 3;
  all.atime = SetAttributes::Time{.now = true, .value = {}};
  all.mtime = SetAttributes::Time{.now = false, .value = {.tv_sec = 4, .tv_nsec = 5}};
  decoded<SETATTR3args>(zdr_SETATTR3args, encode_setattr(kWho, handle(1, 64), all),
                        [](const SETATTR3args& args) {
                          const sattr3& a = args.new_attributes;
                          EXPECT_EQ(a.mode.set_mode3_u.mode, 0644U);
                          EXPECT_EQ(a.size.set_size3_u.size, 3U);
                          EXPECT_EQ(a.atime.set_it, SET_TO_SERVER_TIME);
                          EXPECT_EQ(a.mtime.set_mtime_u.mtime.nseconds, 5U);
                        });
}

TEST(Decode, AttributesComeThrough) {
  GETATTR3res res{};
  res.GETATTR3res_u.resok.obj_attributes = wire_attributes();
  const auto bytes = encoded(zdr_GETATTR3res, res);
  rpc::Reader reader(bytes);
  EXPECT_EQ(reader.u32(), 0U);
  const auto a = decode_attributes(reader);
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0U);
  EXPECT_EQ(a.mode, 04755U);
  EXPECT_EQ(a.size, 1ULL << 40);
  EXPECT_EQ(a.fileid, 99U);
  EXPECT_EQ(a.mtime.tv_nsec, 5678);
}

TEST(Decode, DirectoryPagesComeThroughAndEveryCutIsRefused) {
  auto child = handle(9);
  entryplus3 second{};
  second.fileid = 2;
  second.name = const_cast<char*>("second");
  second.cookie = 22;
  entryplus3 first{};
  first.fileid = 1;
  first.name = const_cast<char*>("first");
  first.cookie = 11;
  first.name_attributes.attributes_follow = 1;
  first.name_attributes.post_op_attr_u.attributes = wire_attributes();
  first.name_handle.handle_follows = 1;
  first.name_handle.post_op_fh3_u.handle = wire_handle(child);
  first.nextentry = &second;
  READDIRPLUS3resok res{};
  std::memcpy(res.cookieverf, "\1\2\3\4\5\6\7\10", 8);
  res.reply.entries = &first;
  res.reply.eof = 1;
  const auto bytes = encoded(zdr_READDIRPLUS3resok, res);
  rpc::Reader reader(bytes);
  const auto page = decode_directory(reader, DirectoryKind::kPlus);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(page.verifier, 0x0102030405060708ULL);
  ASSERT_EQ(page.entries.size(), 2U);
  EXPECT_EQ(page.entries[0].name, "first");
  ASSERT_TRUE(page.entries[0].entry);
  EXPECT_EQ(page.entries[0].entry->handle, child);
  EXPECT_FALSE(page.entries[1].entry);
  EXPECT_TRUE(page.eof);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    rpc::Reader short_reader(cut);
    (void)decode_directory(short_reader, DirectoryKind::kPlus);
    EXPECT_FALSE(short_reader.ok()) << size;
  }
}

TEST(Decode, NamesThatNoDirectoryHoldsAreRefused) {
  for (const char* name : {"", "a/b"}) {
    entry3 entry{};
    entry.name = const_cast<char*>(name);
    READDIR3resok res{};
    res.reply.entries = &entry;
    const auto bytes = encoded(zdr_READDIR3resok, res);
    rpc::Reader reader(bytes);
    (void)decode_directory(reader, DirectoryKind::kPlain);
    EXPECT_FALSE(reader.ok()) << name;
  }
}

TEST(Repeat, ASignatureKnowsItsObjectByEitherTime) {
  const auto mine = Signature::make({.tv_sec = 1000, .tv_nsec = 1}, 123456789);
  SetAttributes wanted;
  mine.sign(wanted);
  Attributes made;
  made.atime = wanted.atime->value;
  EXPECT_TRUE(mine.is_on(made));
  made.atime.tv_nsec += 100;
  EXPECT_FALSE(mine.is_on(made));
  made.mtime = wanted.mtime->value;
  EXPECT_TRUE(mine.is_on(made));
}

TEST(WriteOrder, OverlapsWaitDisjointOnesDoNot) {
  WriteOrder order;
  const auto file = handle(1);
  const auto a = order.enter(file, 0, 100);
  const auto b = order.enter(file, 50, 150);
  const auto c = order.enter(file, 100, 200);  // overlaps only b, which waits and came first
  const auto d = order.enter(file, 300, 400);
  const auto other = order.enter(handle(2), 0, 100);
  EXPECT_TRUE(order.admitted(file, a));
  EXPECT_FALSE(order.admitted(file, b));
  EXPECT_FALSE(order.admitted(file, c));
  EXPECT_TRUE(order.admitted(file, d));
  EXPECT_TRUE(order.admitted(handle(2), other));
  order.check_invariants();
  EXPECT_EQ(order.leave(file, a), std::vector<WriteOrder::Ticket>{b});
  EXPECT_EQ(order.leave(file, b), std::vector<WriteOrder::Ticket>{c});
  EXPECT_TRUE(order.leave(file, c).empty());
  EXPECT_TRUE(order.leave(file, d).empty());
  EXPECT_TRUE(order.leave(handle(2), other).empty());
  EXPECT_TRUE(order.empty());
}

}  // namespace
}  // namespace holdfast::fs::nfs3
