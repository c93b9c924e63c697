#include "fs/backend/nfs3/encode.h"
#include "fs/backend/nfs3/encode_support.h"

namespace holdfast::fs::nfs3 {
namespace {

nfstime3 to_wire_time(const timespec& time) {
  // nfstime3 counts unsigned seconds; earlier than 1970 wraps, as with every NFSv3 client (RFC
  // 1813 2.5).
  return {.seconds = static_cast<u_int>(time.tv_sec), .nseconds = static_cast<u_int>(time.tv_nsec)};
}

}  // namespace

nfs_fh3 to_wire(const FileHandle& handle) {
  nfs_fh3 out{};
  out.data.data_len = static_cast<u_int>(handle.bytes.size());
  // The codecs take char* for both directions; encoding only reads.
  out.data.data_val = reinterpret_cast<char*>(const_cast<std::uint8_t*>(handle.bytes.data()));
  return out;
}

diropargs3 to_wire(const FileHandle& directory, const std::string& name) {
  return {.dir = to_wire(directory), .name = const_cast<char*>(name.c_str())};
}

sattr3 to_wire(const SetAttributes& change) {
  sattr3 out{};
  if (change.mode) {
    out.mode.set_it = 1;
    out.mode.set_mode3_u.mode = *change.mode & 07777U;
  }
  if (change.uid) {
    out.uid.set_it = 1;
    out.uid.set_uid3_u.uid = *change.uid;
  }
  if (change.gid) {
    out.gid.set_it = 1;
    out.gid.set_gid3_u.gid = *change.gid;
  }
  if (change.size) {
    out.size.set_it = 1;
    out.size.set_size3_u.size = *change.size;
  }
  if (change.atime) {
    out.atime.set_it = change.atime->now ? SET_TO_SERVER_TIME : SET_TO_CLIENT_TIME;
    out.atime.set_atime_u.atime = to_wire_time(change.atime->value);
  }
  if (change.mtime) {
    out.mtime.set_it = change.mtime->now ? SET_TO_SERVER_TIME : SET_TO_CLIENT_TIME;
    out.mtime.set_mtime_u.mtime = to_wire_time(change.mtime->value);
  }
  return out;
}

rpc::Message encode_null(const Credentials& who) {
  return rpc::MessageWriter(nfs_procedure(NFS3_NULL), who, 0).finish();
}

rpc::Message encode_getattr(const Credentials& who, const FileHandle& file) {
  GETATTR3args args{.object = to_wire(file)};
  return encode_call(NFS3_GETATTR, who, zdr_GETATTR3args, args);
}

rpc::Message encode_setattr(const Credentials& who, const FileHandle& file,
                            const SetAttributes& change) {
  SETATTR3args args{};
  args.object = to_wire(file);
  args.new_attributes = to_wire(change);
  return encode_call(NFS3_SETATTR, who, zdr_SETATTR3args, args);
}

rpc::Message encode_access(const Credentials& who, const FileHandle& file, std::uint32_t access) {
  ACCESS3args args{.object = to_wire(file), .access = access};
  return encode_call(NFS3_ACCESS, who, zdr_ACCESS3args, args);
}

}  // namespace holdfast::fs::nfs3
