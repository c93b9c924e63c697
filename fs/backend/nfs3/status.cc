#include "fs/backend/nfs3/status.h"

#include <cerrno>

#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>

namespace holdfast::fs::nfs3 {

int status_to_errno(std::uint32_t nfsstat3) {
  switch (nfsstat3) {
    case NFS3_OK:
      return 0;
    case NFS3ERR_PERM:
      return EPERM;
    case NFS3ERR_NOENT:
      return ENOENT;
    case NFS3ERR_IO:
      return EIO;
    case NFS3ERR_NXIO:
      return ENXIO;
    case NFS3ERR_ACCES:
      return EACCES;
    case NFS3ERR_EXIST:
      return EEXIST;
    case NFS3ERR_XDEV:
      return EXDEV;
    case NFS3ERR_NODEV:
      return ENODEV;
    case NFS3ERR_NOTDIR:
      return ENOTDIR;
    case NFS3ERR_ISDIR:
      return EISDIR;
    case NFS3ERR_INVAL:
      return EINVAL;
    case NFS3ERR_FBIG:
      return EFBIG;
    case NFS3ERR_NOSPC:
      return ENOSPC;
    case NFS3ERR_ROFS:
      return EROFS;
    case NFS3ERR_MLINK:
      return EMLINK;
    case NFS3ERR_NAMETOOLONG:
      return ENAMETOOLONG;
    case NFS3ERR_NOTEMPTY:
      return ENOTEMPTY;
    case NFS3ERR_DQUOT:
      return EDQUOT;
    case NFS3ERR_STALE:
      return ESTALE;
    case NFS3ERR_REMOTE:
      return EREMOTE;
    case NFS3ERR_BADHANDLE:
      return ESTALE;  // the server does not know the object (any more)
    case NFS3ERR_NOT_SYNC:
      return EIO;  // only for guarded SETATTR, which is not used
    case NFS3ERR_BAD_COOKIE:
      return EINVAL;
    case NFS3ERR_NOTSUPP:
      return EOPNOTSUPP;
    case NFS3ERR_TOOSMALL:
      return EINVAL;
    case NFS3ERR_SERVERFAULT:
      return EIO;
    case NFS3ERR_BADTYPE:
      return EOPNOTSUPP;
    case NFS3ERR_JUKEBOX:
      return EAGAIN;  // retried inside; seen only when a soft mount gives up
    default:
      return EIO;
  }
}

bool means_later(std::uint32_t nfsstat3) {
  return nfsstat3 == NFS3ERR_JUKEBOX;
}

bool is_trouble_of_server(std::uint32_t nfsstat3) {
  switch (status_to_errno(nfsstat3)) {
    case EIO:
    case ENXIO:
    case ENOSPC:
    case EDQUOT:
    case EROFS:
      return true;
    default:
      return false;
  }
}

int mount_status_to_errno(std::uint32_t mountstat3) {
  switch (mountstat3) {
    case MNT3_OK:
      return 0;
    case MNT3ERR_PERM:
      return EPERM;
    case MNT3ERR_NOENT:
      return ENOENT;
    case MNT3ERR_IO:
      return EIO;
    case MNT3ERR_ACCES:
      return EACCES;
    case MNT3ERR_NOTDIR:
      return ENOTDIR;
    case MNT3ERR_INVAL:
      return EINVAL;
    case MNT3ERR_NAMETOOLONG:
      return ENAMETOOLONG;
    case MNT3ERR_NOTSUPP:
      return EOPNOTSUPP;
    case MNT3ERR_SERVERFAULT:
      return EIO;
    default:
      return EIO;
  }
}

std::string mount_status_text(std::uint32_t mountstat3, const std::string& server,
                              const std::string& path) {
  const std::string what = server + ":" + path;
  switch (mountstat3) {
    case MNT3ERR_NOENT:
      return what + ": no such export; `showmount -e " + server + "` lists what the server exports";
    case MNT3ERR_PERM:
    case MNT3ERR_ACCES:
      return what +
             ": the server refuses this client (or has no such export); allow this host's "
             "address in the server's export list";
    case MNT3ERR_NOTDIR:
      return what + ": not a directory on the server";
    case MNT3ERR_NAMETOOLONG:
      return what + ": the path is too long for the server";
    case MNT3ERR_NOTSUPP:
      return what + ": the server does not support mounting this path";
    case MNT3ERR_IO:
    case MNT3ERR_SERVERFAULT:
      return what + ": the server failed while mounting; see its log";
    default:
      return what + ": the server refused with mount status " + std::to_string(mountstat3);
  }
}

}  // namespace holdfast::fs::nfs3
