#pragma once
/// NFSv3 calls (RFC 1813 section 3.3) as messages, through libnfs's codecs. Pure.
///
/// Names are at most 255 bytes and targets at most 4095 (the backend answers ENAMETOOLONG before).

#include "fs/backend/nfs3/decode.h"
#include "fs/backend/nfs3/rpc/message.h"
#include "fs/backend/types.h"

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace holdfast::fs::nfs3 {

using CreateVerifier = std::array<std::uint8_t, 8>;
inline constexpr std::size_t kNameBytesMax = 255;
inline constexpr std::size_t kTargetBytesMax = 4095;

[[nodiscard]] rpc::Message encode_null(const Credentials& who);

[[nodiscard]] rpc::Message encode_getattr(const Credentials& who, const FileHandle& file);
[[nodiscard]] rpc::Message encode_setattr(const Credentials& who, const FileHandle& file,
                                          const SetAttributes& change);
/// `access`: NFS ACCESS3_* bits.
[[nodiscard]] rpc::Message encode_access(const Credentials& who, const FileHandle& file,
                                         std::uint32_t access);

[[nodiscard]] rpc::Message encode_lookup(const Credentials& who, const FileHandle& directory,
                                         const std::string& name);
[[nodiscard]] rpc::Message encode_readlink(const Credentials& who, const FileHandle& link);
[[nodiscard]] rpc::Message encode_create_unchecked(const Credentials& who,
                                                   const FileHandle& directory,
                                                   const std::string& name,
                                                   const SetAttributes& attributes);
[[nodiscard]] rpc::Message encode_create_guarded(const Credentials& who,
                                                 const FileHandle& directory,
                                                 const std::string& name,
                                                 const SetAttributes& attributes);
[[nodiscard]] rpc::Message encode_create_exclusive(const Credentials& who,
                                                   const FileHandle& directory,
                                                   const std::string& name,
                                                   const CreateVerifier& verifier);
[[nodiscard]] rpc::Message encode_mkdir(const Credentials& who, const FileHandle& directory,
                                        const std::string& name, const SetAttributes& attributes);
[[nodiscard]] rpc::Message encode_symlink(const Credentials& who, const FileHandle& directory,
                                          const std::string& name, const std::string& target);
struct Device {
  FileType type = FileType::kFifo;
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
};
[[nodiscard]] rpc::Message encode_mknod(const Credentials& who, const FileHandle& directory,
                                        const std::string& name, const Device& device,
                                        const SetAttributes& attributes);
[[nodiscard]] rpc::Message encode_remove(const Credentials& who, const FileHandle& directory,
                                         const std::string& name);
[[nodiscard]] rpc::Message encode_rmdir(const Credentials& who, const FileHandle& directory,
                                        const std::string& name);
[[nodiscard]] rpc::Message encode_rename(const Credentials& who, const FileHandle& from_directory,
                                         const std::string& from_name,
                                         const FileHandle& to_directory,
                                         const std::string& to_name);
[[nodiscard]] rpc::Message encode_link(const Credentials& who, const FileHandle& file,
                                       const FileHandle& directory, const std::string& name);

[[nodiscard]] rpc::Message encode_read(const Credentials& who, const FileHandle& file,
                                       std::uint64_t offset, std::uint32_t count);
/// The message refers to `data`; it is not copied.
[[nodiscard]] rpc::Message encode_write(const Credentials& who, const FileHandle& file,
                                        std::uint64_t offset, std::span<const std::uint8_t> data,
                                        Stability stability);
[[nodiscard]] rpc::Message encode_commit(const Credentials& who, const FileHandle& file,
                                         std::uint64_t offset, std::uint32_t count);

struct DirectoryAsk {
  std::uint64_t cookie = 0;
  std::uint64_t verifier = 0;
  std::uint32_t bytes_max = 0;
};
[[nodiscard]] rpc::Message encode_readdir(const Credentials& who, const FileHandle& directory,
                                          DirectoryKind kind, const DirectoryAsk& ask);
[[nodiscard]] rpc::Message encode_fsstat(const Credentials& who, const FileHandle& root);
[[nodiscard]] rpc::Message encode_fsinfo(const Credentials& who, const FileHandle& root);
[[nodiscard]] rpc::Message encode_pathconf(const Credentials& who, const FileHandle& root);

}  // namespace holdfast::fs::nfs3
