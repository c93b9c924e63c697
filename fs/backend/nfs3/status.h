#pragma once
/// What NFS and MOUNT status numbers mean to an application and to an operator. Pure.

#include <cstdint>
#include <string>

namespace holdfast::fs::nfs3 {

/// nfsstat3 (RFC 1813 section 2.6) to errno; EIO for numbers that it does not define. Never ENOSYS
/// (FUSE would stop asking), never 0 unless the status is NFS3_OK.
[[nodiscard]] int status_to_errno(std::uint32_t nfsstat3);

/// The server asks to come back later with a new call (NFS3ERR_JUKEBOX).
[[nodiscard]] bool means_later(std::uint32_t nfsstat3);

/// The server or its storage fails, rather than the request: an operator should know.
[[nodiscard]] bool is_trouble_of_server(std::uint32_t nfsstat3);

/// mountstat3 (RFC 1813 section 5.1.5) to errno.
[[nodiscard]] int mount_status_to_errno(std::uint32_t mountstat3);
/// One line that says what to do.
[[nodiscard]] std::string mount_status_text(std::uint32_t mountstat3, const std::string& server,
                                            const std::string& path);

}  // namespace holdfast::fs::nfs3
