#pragma once
/// The storage a mount forwards to. Implementations: nfs3 (our own RPC transport), dir (any local
/// directory).
///
/// All of them pass tests/integration/backend_contract. In RFC 1813's terms: handles, not paths; no
/// open files; every call stands alone and may be repeated.
///
/// Thread: the loop that built it; every method is called and resumes there. Arguments are taken by
/// value or outlive the await (`Credentials`, handles and names are copied before the first
/// suspension). Cancellation: terminal cancellation of the awaiting coroutine abandons the wait;
/// the call may still take effect. Errors: an errno (generic_category). Hard mounts retry for ever
/// inside and never return a transport error; soft ones return ETIMEDOUT. ESTALE = the object is
/// gone. Never ENOSYS (FUSE would remember it): EOPNOTSUPP instead.
///
/// Repeats: a call that the storage executed, but whose answer was lost, is repeated and answered
/// as if it had run once (docs/protocol.md, "Repeated calls").

#include "fs/backend/file_writes.h"
#include "fs/backend/types.h"
#include "holdfast/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

class Backend : public FileWrites {
 public:
  /// The directory that was mounted, with current attributes.
  virtual Awaitable<Entry> root() = 0;
  /// For messages: "nfs://nas/export", "/srv/data".
  [[nodiscard]] virtual std::string describe() const = 0;

  virtual Awaitable<Attributes> getattr(Credentials who, FileHandle file) = 0;
  /// `name` may be ".."; of the root it gives the root's parent if the storage lets us see it
  /// (ENOENT/EACCES else).
  virtual Awaitable<Entry> lookup(Credentials who, FileHandle directory, std::string name) = 0;
  /// `wanted` and the result: R_OK | W_OK | X_OK bits the server grants.
  virtual Awaitable<std::uint32_t> access(Credentials who, FileHandle file,
                                          std::uint32_t wanted) = 0;
  virtual Awaitable<std::string> readlink(Credentials who, FileHandle link) = 0;

  /// Reads the whole of [offset, offset + count) up to the end of the file; splits by
  /// limits().read_max itself.
  virtual Awaitable<ReadResult> read(Credentials who, FileHandle file, std::uint64_t offset,
                                     std::uint32_t count) = 0;
  /// kExclusive: EEXIST if the name exists, on whichever node it was made. kUnchecked: an existing
  /// regular file is opened (its attributes untouched except size, if set).
  virtual Awaitable<Entry> create(Credentials who, FileHandle directory, std::string name,
                                  CreateMode mode, SetAttributes attributes) = 0;
  virtual Awaitable<Entry> mkdir(Credentials who, FileHandle directory, std::string name,
                                 SetAttributes attributes) = 0;
  virtual Awaitable<Entry> symlink(Credentials who, FileHandle directory, std::string name,
                                   std::string target) = 0;
  /// kFifo, kSocket, kCharacter, kBlock.
  virtual Awaitable<Entry> mknod(Credentials who, FileHandle directory, std::string name,
                                 FileType type, SetAttributes attributes, std::uint32_t rdev_major,
                                 std::uint32_t rdev_minor) = 0;
  /// Returns the file's attributes after the link.
  virtual Awaitable<Attributes> link(Credentials who, FileHandle file, FileHandle directory,
                                     std::string name) = 0;
  virtual Awaitable<Removed> remove(Credentials who, FileHandle directory, std::string name) = 0;
  virtual Awaitable<void> rmdir(Credentials who, FileHandle directory, std::string name) = 0;
  /// Replaces what stands at the target, atomically (rename(2)).
  virtual Awaitable<void> rename(Credentials who, FileHandle from_directory, std::string from_name,
                                 FileHandle to_directory, std::string to_name) = 0;

  /// Entries after `cookie` (0 = from the start), with handles and attributes where the storage
  /// offers them; includes
  /// "." and "..". `verifier` is that of the previous page, 0 for the first.
  virtual Awaitable<DirectoryPage> readdir(Credentials who, FileHandle directory,
                                           std::uint64_t cookie, std::uint64_t verifier,
                                           std::uint32_t bytes_max) = 0;
  virtual Awaitable<FilesystemStat> fsstat(Credentials who) = 0;

  /// Drops connections at once, discarding what is queued: called when the mount's lease has run
  /// out, so that no write of ours is sent later (I2). Calls in flight wait and are sent again
  /// after resume().
  virtual void suspend() = 0;
  virtual void resume() = 0;
  /// Ends everything; calls in flight return ECANCELED. Await before destruction.
  virtual boost::asio::awaitable<void> stop() = 0;
};

}  // namespace holdfast::fs
