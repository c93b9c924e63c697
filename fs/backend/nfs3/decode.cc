#include "fs/backend/nfs3/decode.h"

#include <algorithm>
#include <array>

namespace holdfast::fs::nfs3 {
namespace {

using rpc::Reader;

constexpr std::size_t kNameMax = 255;

timespec decode_time(Reader& reader) {
  timespec time{};
  time.tv_sec = static_cast<time_t>(reader.u32());
  time.tv_nsec = static_cast<long>(reader.u32());
  if (time.tv_nsec > 999'999'999)
    time.tv_nsec = 999'999'999;  // seen from servers; utimensat would refuse it
  return time;
}

FileType decode_type(Reader& reader) {
  constexpr std::array kTypes = {FileType::kRegular,   FileType::kDirectory, FileType::kBlock,
                                 FileType::kCharacter, FileType::kSymlink,   FileType::kSocket,
                                 FileType::kFifo};
  const std::uint32_t type = reader.u32();
  if (type < 1 || type > kTypes.size()) {
    reader.fail();
    return FileType::kRegular;
  }
  return kTypes[type - 1];
}

bool is_name(const std::string& name) {
  return !name.empty() && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

}  // namespace

FileHandle decode_handle(Reader& reader) {
  const auto bytes = reader.bytes(FileHandle::kSizeMax);
  FileHandle handle;
  handle.bytes.assign(bytes.begin(), bytes.end());
  return handle;
}

Attributes decode_attributes(Reader& reader) {
  Attributes a;
  a.type = decode_type(reader);
  a.mode = reader.u32() & 07777U;
  a.nlink = reader.u32();
  a.uid = reader.u32();
  a.gid = reader.u32();
  a.size = reader.u64();
  a.used = reader.u64();
  a.rdev_major = reader.u32();
  a.rdev_minor = reader.u32();
  a.fsid = reader.u64();
  a.fileid = reader.u64();
  a.atime = decode_time(reader);
  a.mtime = decode_time(reader);
  a.ctime = decode_time(reader);
  return a;
}

std::optional<Attributes> decode_post_op(Reader& reader) {
  if (!reader.boolean()) return std::nullopt;
  return decode_attributes(reader);
}

std::optional<FileHandle> decode_post_op_handle(Reader& reader) {
  if (!reader.boolean()) return std::nullopt;
  return decode_handle(reader);
}

std::optional<Attributes> decode_wcc(Reader& reader) {
  if (reader.boolean()) (void)reader.opaque(24);  // pre_op_attr: size, mtime, ctime
  return decode_post_op(reader);
}

Made decode_made(Reader& reader) {
  Made made;
  made.handle = decode_post_op_handle(reader);
  made.attributes = decode_post_op(reader);
  return made;
}

ReadData decode_read(Reader& reader) {
  ReadData result;
  (void)decode_post_op(reader);
  const std::uint32_t count = reader.u32();
  result.eof = reader.boolean();
  const auto data = reader.bytes(reader.remaining());
  if (count > data.size()) reader.fail();
  result.data = data.first(std::min<std::size_t>(count, data.size()));
  return result;
}

WriteResult decode_write(Reader& reader) {
  WriteResult result;
  result.after = decode_wcc(reader);
  result.count = reader.u32();
  const std::uint32_t committed = reader.u32();
  if (committed > 2) reader.fail();
  // DATA_SYNC leaves attributes that may be lost, which COMMIT takes care of: count it as unstable.
  result.committed = committed == 2 ? Stability::kFileSync : Stability::kUnstable;
  result.verifier = reader.u64();
  return result;
}

CommitResult decode_commit(Reader& reader) {
  CommitResult result;
  result.after = decode_wcc(reader);
  result.verifier = reader.u64();
  return result;
}

DirectoryPage decode_directory(Reader& reader, DirectoryKind kind) {
  DirectoryPage page;
  (void)decode_post_op(reader);
  page.verifier = reader.u64();
  while (reader.boolean()) {
    DirectoryEntry entry;
    entry.fileid = reader.u64();
    entry.name = reader.string(kNameMax);
    entry.cookie = reader.u64();
    if (kind == DirectoryKind::kPlus) {
      auto attributes = decode_post_op(reader);
      auto handle = decode_post_op_handle(reader);
      if (attributes && handle) entry.entry = Entry{.handle = *handle, .attributes = *attributes};
    }
    if (!is_name(entry.name)) reader.fail();
    if (!reader.ok()) break;
    page.entries.push_back(std::move(entry));
  }
  page.eof = reader.boolean();
  return page;
}

FilesystemInfo decode_fsinfo(Reader& reader) {
  FilesystemInfo info;
  (void)decode_post_op(reader);
  info.read_max = reader.u32();
  (void)reader.u32();  // rtpref
  (void)reader.u32();  // rtmult
  info.write_max = reader.u32();
  (void)reader.u32();  // wtpref
  (void)reader.u32();  // wtmult
  info.readdir_preferred = reader.u32();
  info.file_size_max = reader.u64();
  info.time_granularity = decode_time(reader);
  (void)reader.u32();  // properties
  return info;
}

FilesystemStat decode_fsstat(Reader& reader) {
  FilesystemStat stat;
  (void)decode_post_op(reader);
  stat.total_bytes = reader.u64();
  stat.free_bytes = reader.u64();
  stat.available_bytes = reader.u64();
  stat.total_files = reader.u64();
  stat.free_files = reader.u64();
  stat.available_files = reader.u64();
  (void)reader.u32();  // invarsec
  return stat;
}

PathLimits decode_pathconf(Reader& reader) {
  PathLimits limits;
  (void)decode_post_op(reader);
  limits.link_max = reader.u32();
  limits.name_max = reader.u32();
  (void)reader.opaque(16);  // no_trunc, chown_restricted, case_insensitive, case_preserving
  return limits;
}

}  // namespace holdfast::fs::nfs3
