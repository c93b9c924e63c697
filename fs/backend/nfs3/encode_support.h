#pragma once
/// Our values in the shape libnfs's argument codecs take. They borrow: the values must outlive the
/// encoding.

#include "fs/backend/nfs3/rpc/message.h"
#include "fs/backend/types.h"
#include "holdfast/base/assert.h"

#include <string>

#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-zdr.h>

namespace holdfast::fs::nfs3 {

inline constexpr std::uint32_t kNfsProgram = 100003;
inline constexpr std::uint32_t kNfsVersion = 3;
/// Two handles, two names and a sattr3, with room to spare.
inline constexpr std::size_t kArgumentsMax = 1024;

[[nodiscard]] inline rpc::Procedure nfs_procedure(std::uint32_t number) {
  return {.program = kNfsProgram, .version = kNfsVersion, .number = number};
}
[[nodiscard]] nfs_fh3 to_wire(const FileHandle& handle);
[[nodiscard]] diropargs3 to_wire(const FileHandle& directory, const std::string& name);
[[nodiscard]] sattr3 to_wire(const SetAttributes& change);

/// A whole call from one argument structure.
template <class Args, class Codec>
[[nodiscard]] rpc::Message encode_call(std::uint32_t number, const Credentials& who, Codec codec,
                                       Args& args, std::size_t arguments_max = kArgumentsMax) {
  rpc::MessageWriter writer(nfs_procedure(number), who, arguments_max);
  writer.add(codec, args);
  HOLDFAST_ASSERT(writer.ok(), "the arguments of an NFS call outgrew their buffer");
  return writer.finish();
}

}  // namespace holdfast::fs::nfs3
