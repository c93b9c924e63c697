#pragma once
/// NFSv3 result structures (RFC 1813 section 2.5, 3.3) from a bounded reader. Pure.
///
/// Each returns a value; whether the bytes were well-formed is asked of the reader afterwards.

#include "fs/backend/nfs3/rpc/reader.h"
#include "fs/backend/types.h"

#include <cstdint>
#include <optional>
#include <span>

namespace holdfast::fs::nfs3 {

[[nodiscard]] FileHandle decode_handle(rpc::Reader& reader);
[[nodiscard]] Attributes decode_attributes(rpc::Reader& reader);  // fattr3
[[nodiscard]] std::optional<Attributes> decode_post_op(rpc::Reader& reader);
[[nodiscard]] std::optional<FileHandle> decode_post_op_handle(rpc::Reader& reader);
/// wcc_data; only the attributes after the call are of use to us.
[[nodiscard]] std::optional<Attributes> decode_wcc(rpc::Reader& reader);

/// CREATE3resok, MKDIR3resok, SYMLINK3resok, MKNOD3resok.
struct Made {
  std::optional<FileHandle> handle;
  std::optional<Attributes> attributes;
};
[[nodiscard]] Made decode_made(rpc::Reader& reader);

/// READ3resok; `data` points into the record.
struct ReadData {
  std::span<const std::uint8_t> data;
  bool eof = false;
};
[[nodiscard]] ReadData decode_read(rpc::Reader& reader);
[[nodiscard]] WriteResult decode_write(rpc::Reader& reader);
[[nodiscard]] CommitResult decode_commit(rpc::Reader& reader);

enum class DirectoryKind : std::uint8_t { kPlain, kPlus };
/// READDIR3resok or READDIRPLUS3resok. Names that no directory can hold ("", with '/' or NUL, over
/// 255 bytes) make the reply malformed.
[[nodiscard]] DirectoryPage decode_directory(rpc::Reader& reader, DirectoryKind kind);

struct FilesystemInfo {  // FSINFO3resok
  std::uint32_t read_max = 0;
  std::uint32_t write_max = 0;
  std::uint32_t readdir_preferred = 0;
  std::uint64_t file_size_max = 0;
  timespec time_granularity{};
};
[[nodiscard]] FilesystemInfo decode_fsinfo(rpc::Reader& reader);
[[nodiscard]] FilesystemStat decode_fsstat(rpc::Reader& reader);
struct PathLimits {  // PATHCONF3resok
  std::uint32_t link_max = 0;
  std::uint32_t name_max = 0;
};
[[nodiscard]] PathLimits decode_pathconf(rpc::Reader& reader);

}  // namespace holdfast::fs::nfs3
