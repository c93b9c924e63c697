#include "fs/backend/nfs3/encode.h"
#include "fs/backend/nfs3/encode_support.h"

#include <cstring>

namespace holdfast::fs::nfs3 {

rpc::Message encode_lookup(const Credentials& who, const FileHandle& directory,
                           const std::string& name) {
  LOOKUP3args args{.what = to_wire(directory, name)};
  return encode_call(NFS3_LOOKUP, who, zdr_LOOKUP3args, args);
}

rpc::Message encode_readlink(const Credentials& who, const FileHandle& link) {
  READLINK3args args{.symlink = to_wire(link)};
  return encode_call(NFS3_READLINK, who, zdr_READLINK3args, args);
}

rpc::Message encode_create_unchecked(const Credentials& who, const FileHandle& directory,
                                     const std::string& name, const SetAttributes& attributes) {
  CREATE3args args{};
  args.where = to_wire(directory, name);
  args.how.mode = UNCHECKED;
  args.how.createhow3_u.obj_attributes = to_wire(attributes);
  return encode_call(NFS3_CREATE, who, zdr_CREATE3args, args);
}

rpc::Message encode_create_guarded(const Credentials& who, const FileHandle& directory,
                                   const std::string& name, const SetAttributes& attributes) {
  CREATE3args args{};
  args.where = to_wire(directory, name);
  args.how.mode = GUARDED;
  args.how.createhow3_u.g_obj_attributes = to_wire(attributes);
  return encode_call(NFS3_CREATE, who, zdr_CREATE3args, args);
}

rpc::Message encode_create_exclusive(const Credentials& who, const FileHandle& directory,
                                     const std::string& name, const CreateVerifier& verifier) {
  CREATE3args args{};
  args.where = to_wire(directory, name);
  args.how.mode = EXCLUSIVE;
  static_assert(sizeof(args.how.createhow3_u.verf) == sizeof(CreateVerifier));
  std::memcpy(args.how.createhow3_u.verf, verifier.data(), verifier.size());
  return encode_call(NFS3_CREATE, who, zdr_CREATE3args, args);
}

rpc::Message encode_mkdir(const Credentials& who, const FileHandle& directory,
                          const std::string& name, const SetAttributes& attributes) {
  MKDIR3args args{};
  args.where = to_wire(directory, name);
  args.attributes = to_wire(attributes);
  return encode_call(NFS3_MKDIR, who, zdr_MKDIR3args, args);
}

rpc::Message encode_symlink(const Credentials& who, const FileHandle& directory,
                            const std::string& name, const std::string& target) {
  SYMLINK3args args{};
  args.where = to_wire(directory, name);
  args.symlink.symlink_data = const_cast<char*>(target.c_str());
  return encode_call(NFS3_SYMLINK, who, zdr_SYMLINK3args, args, kArgumentsMax + target.size());
}

rpc::Message encode_mknod(const Credentials& who, const FileHandle& directory,
                          const std::string& name, const Device& device,
                          const SetAttributes& attributes) {
  MKNOD3args args{};
  args.where = to_wire(directory, name);
  auto& what = args.what.mknoddata3_u;
  const specdata3 spec{.specdata1 = device.major, .specdata2 = device.minor};
  switch (device.type) {
    case FileType::kCharacter:
      args.what.type = NF3CHR;
      what.chr_device = {.dev_attributes = to_wire(attributes), .spec = spec};
      break;
    case FileType::kBlock:
      args.what.type = NF3BLK;
      what.blk_device = {.dev_attributes = to_wire(attributes), .spec = spec};
      break;
    case FileType::kSocket:
      args.what.type = NF3SOCK;
      what.sock_attributes = to_wire(attributes);
      break;
    case FileType::kFifo:
    case FileType::kRegular:
    case FileType::kDirectory:
    case FileType::kSymlink:
      HOLDFAST_ASSERT(device.type == FileType::kFifo, "MKNOD makes only special files");
      args.what.type = NF3FIFO;
      what.pipe_attributes = to_wire(attributes);
      break;
  }
  return encode_call(NFS3_MKNOD, who, zdr_MKNOD3args, args);
}

rpc::Message encode_remove(const Credentials& who, const FileHandle& directory,
                           const std::string& name) {
  REMOVE3args args{.object = to_wire(directory, name)};
  return encode_call(NFS3_REMOVE, who, zdr_REMOVE3args, args);
}

rpc::Message encode_rmdir(const Credentials& who, const FileHandle& directory,
                          const std::string& name) {
  RMDIR3args args{.object = to_wire(directory, name)};
  return encode_call(NFS3_RMDIR, who, zdr_RMDIR3args, args);
}

rpc::Message encode_rename(const Credentials& who, const FileHandle& from_directory,
                           const std::string& from_name, const FileHandle& to_directory,
                           const std::string& to_name) {
  RENAME3args args{.from = to_wire(from_directory, from_name),
                   .to = to_wire(to_directory, to_name)};
  return encode_call(NFS3_RENAME, who, zdr_RENAME3args, args);
}

rpc::Message encode_link(const Credentials& who, const FileHandle& file,
                         const FileHandle& directory, const std::string& name) {
  LINK3args args{.file = to_wire(file), .link = to_wire(directory, name)};
  return encode_call(NFS3_LINK, who, zdr_LINK3args, args);
}

}  // namespace holdfast::fs::nfs3
