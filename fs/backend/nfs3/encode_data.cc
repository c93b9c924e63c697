#include "fs/backend/nfs3/encode.h"
#include "fs/backend/nfs3/encode_support.h"

#include <cstring>

namespace holdfast::fs::nfs3 {

rpc::Message encode_read(const Credentials& who, const FileHandle& file, std::uint64_t offset,
                         std::uint32_t count) {
  READ3args args{.file = to_wire(file), .offset = offset, .count = count};
  return encode_call(NFS3_READ, who, zdr_READ3args, args);
}

rpc::Message encode_write(const Credentials& who, const FileHandle& file, std::uint64_t offset,
                          std::span<const std::uint8_t> data, Stability stability) {
  // Field by field instead of zdr_WRITE3args, which would copy the data.
  auto handle = to_wire(file);
  auto count = static_cast<count3>(data.size());
  stable_how stable = stability == Stability::kFileSync ? FILE_SYNC : UNSTABLE;
  rpc::MessageWriter writer(nfs_procedure(NFS3_WRITE), who, kArgumentsMax);
  writer.add(zdr_nfs_fh3, handle).add(zdr_offset3, offset).add(zdr_count3, count);
  writer.add(zdr_stable_how, stable)
      .add(zdr_count3, count);  // the second: length of the opaque data
  HOLDFAST_ASSERT(writer.ok(), "the arguments of WRITE outgrew their buffer");
  return writer.finish(data);
}

rpc::Message encode_commit(const Credentials& who, const FileHandle& file, std::uint64_t offset,
                           std::uint32_t count) {
  COMMIT3args args{.file = to_wire(file), .offset = offset, .count = count};
  return encode_call(NFS3_COMMIT, who, zdr_COMMIT3args, args);
}

rpc::Message encode_readdir(const Credentials& who, const FileHandle& directory, DirectoryKind kind,
                            const DirectoryAsk& ask) {
  const auto store_verifier = [&ask](char* out) {  // big-endian, as decode_directory read it
    for (int i = 0; i < 8; ++i)
      out[i] = static_cast<char>(ask.verifier >> (56 - 8 * i));
  };
  if (kind == DirectoryKind::kPlain) {
    READDIR3args args{};
    args.dir = to_wire(directory);
    args.cookie = ask.cookie;
    store_verifier(args.cookieverf);
    args.count = ask.bytes_max;
    return encode_call(NFS3_READDIR, who, zdr_READDIR3args, args);
  }
  READDIRPLUS3args args{};
  args.dir = to_wire(directory);
  args.cookie = ask.cookie;
  store_verifier(args.cookieverf);
  args.dircount = ask.bytes_max;
  args.maxcount = ask.bytes_max;
  return encode_call(NFS3_READDIRPLUS, who, zdr_READDIRPLUS3args, args);
}

rpc::Message encode_fsstat(const Credentials& who, const FileHandle& root) {
  FSSTAT3args args{.fsroot = to_wire(root)};
  return encode_call(NFS3_FSSTAT, who, zdr_FSSTAT3args, args);
}

rpc::Message encode_fsinfo(const Credentials& who, const FileHandle& root) {
  FSINFO3args args{.fsroot = to_wire(root)};
  return encode_call(NFS3_FSINFO, who, zdr_FSINFO3args, args);
}

rpc::Message encode_pathconf(const Credentials& who, const FileHandle& root) {
  PATHCONF3args args{.object = to_wire(root)};
  return encode_call(NFS3_PATHCONF, who, zdr_PATHCONF3args, args);
}

}  // namespace holdfast::fs::nfs3
