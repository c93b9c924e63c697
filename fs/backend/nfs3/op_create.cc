// New names: CREATE, MKDIR, SYMLINK, MKNOD, and what their repetition means.

#include "fs/backend/nfs3/decode.h"
#include "fs/backend/nfs3/encode.h"
#include "fs/backend/nfs3/nfs3_backend.h"
#include "fs/backend/nfs3/repeat.h"

#include <cstring>
#include <random>

#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-zdr.h>

namespace holdfast::fs::nfs3 {
namespace {

std::uint32_t random_bits() {
  static thread_local std::random_device random;
  return static_cast<std::uint32_t>(random());
}

CreateVerifier random_verifier() {
  CreateVerifier verifier{};
  const std::array<std::uint32_t, 2> bits = {random_bits(), random_bits()};
  std::memcpy(verifier.data(), bits.data(), verifier.size());
  // Servers keep it in atime and mtime (knfsd masks the top bits itself); as seconds it should stay
  // in range.
  verifier[0] &= 0x7f;
  verifier[4] &= 0x7f;
  return verifier;
}

Signature new_signature() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return Signature::make(now, random_bits());
}

}  // namespace

Backend::Awaitable<Entry> Nfs3Backend::made(Credentials who, FileHandle directory, std::string name,
                                            Answer answer, std::string_view procedure) {
  auto reader = answer.reader();
  const Made made = decode_made(reader);
  auto directory_after = decode_wcc(reader);
  if (!reader.ok()) co_return client_.malformed(answer, procedure);
  if (!made.handle) co_return co_await lookup(who, directory, name);
  Entry entry;
  entry.handle = *made.handle;
  entry.directory_after = directory_after;
  if (made.attributes) {
    entry.attributes = *made.attributes;
    co_return entry;
  }
  const auto asked = co_await getattr(who, entry.handle);
  if (!asked) co_return asked.error();
  entry.attributes = *asked;
  co_return entry;
}

Backend::Awaitable<Entry> Nfs3Backend::create(Credentials who, FileHandle directory,
                                              std::string name, CreateMode mode,
                                              SetAttributes attributes) {
  const Client::Running running(client_);
  if (name.size() > kNameBytesMax) co_return errno_code(ENAMETOOLONG);
  if (mode == CreateMode::kExclusive)
    co_return co_await create_exclusive(who, directory, name, attributes);
  co_return co_await create_unchecked(who, directory, name, attributes);
}

Backend::Awaitable<Entry> Nfs3Backend::create_unchecked(Credentials who, FileHandle directory,
                                                        std::string name,
                                                        SetAttributes attributes) {
  auto message = encode_create_unchecked(who, directory, name, attributes);
  auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->error()) co_return answer->error();
  auto entry = co_await made(who, directory, name, std::move(*answer), "CREATE");
  // knfsd answers OK for whatever stands there (nfs3proc.c nfsd3_create_file,
  // NFS3_CREATE_UNCHECKED).
  if (entry && entry->attributes.type == FileType::kDirectory) co_return errno_code(EISDIR);
  if (entry && entry->attributes.type != FileType::kRegular) co_return errno_code(EEXIST);
  co_return entry;
}

Backend::Awaitable<Entry> Nfs3Backend::create_exclusive(Credentials who, FileHandle directory,
                                                        std::string name,
                                                        SetAttributes attributes) {
  // The verifier makes a repetition answer OK for our own file and EXIST for anybody else's.
  auto message = encode_create_exclusive(who, directory, name, random_verifier());
  auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->status == NFS3ERR_NOTSUPP) {
    // GUARDED cannot tell our own file after a lost reply: EEXIST then, never a false success.
    auto guarded = encode_create_guarded(who, directory, name, attributes);
    answer = co_await client_.perform(std::move(guarded));
    if (!answer) co_return answer.error();
    if (answer->error()) co_return answer->error();
    co_return co_await made(who, directory, name, std::move(*answer), "CREATE");
  }
  if (answer->error()) co_return answer->error();
  auto entry = co_await made(who, directory, name, std::move(*answer), "CREATE");
  if (!entry) co_return entry.error();
  // EXCLUSIVE sets no attributes and leaves the verifier in the times (RFC 1813 section 3.3.8).
  const SetAttributes::Time now{.now = true, .value = {}};
  if (!attributes.atime) attributes.atime = now;
  if (!attributes.mtime) attributes.mtime = now;
  const auto set = co_await setattr(who, entry->handle, attributes);
  if (!set) co_return set.error();
  entry->attributes = *set;
  co_return entry;
}

Backend::Awaitable<Entry> Nfs3Backend::mkdir(Credentials who, FileHandle directory,
                                             std::string name, SetAttributes attributes) {
  const Client::Running running(client_);
  if (name.size() > kNameBytesMax) co_return errno_code(ENAMETOOLONG);
  const Signature signature = new_signature();
  signature.sign(attributes);
  auto message = encode_mkdir(who, directory, name, attributes);
  auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->status == NFS3ERR_EXIST && answer->repeated) {
    const auto there = co_await lookup(who, directory, name);
    if (there && there->attributes.type == FileType::kDirectory &&
        signature.is_on(there->attributes))
      co_return there;
  }
  if (answer->error()) co_return answer->error();
  co_return co_await made(who, directory, name, std::move(*answer), "MKDIR");
}

Backend::Awaitable<Entry> Nfs3Backend::symlink(Credentials who, FileHandle directory,
                                               std::string name, std::string target) {
  const Client::Running running(client_);
  if (name.size() > kNameBytesMax || target.size() > kTargetBytesMax)
    co_return errno_code(ENAMETOOLONG);
  auto message = encode_symlink(who, directory, name, target);
  auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->status == NFS3ERR_EXIST && answer->repeated) {
    const auto there = co_await lookup(who, directory, name);
    if (there && there->attributes.type == FileType::kSymlink) {
      const auto text = co_await readlink(who, there->handle);
      if (text && *text == target) co_return there;
    }
  }
  if (answer->error()) co_return answer->error();
  co_return co_await made(who, directory, name, std::move(*answer), "SYMLINK");
}

Backend::Awaitable<Entry> Nfs3Backend::mknod(Credentials who, FileHandle directory,
                                             std::string name, FileType type,
                                             SetAttributes attributes, std::uint32_t rdev_major,
                                             std::uint32_t rdev_minor) {
  const Client::Running running(client_);
  if (name.size() > kNameBytesMax) co_return errno_code(ENAMETOOLONG);
  if (type == FileType::kRegular || type == FileType::kDirectory || type == FileType::kSymlink)
    co_return errno_code(EINVAL);
  const Signature signature = new_signature();
  signature.sign(attributes);
  const Device device{.type = type, .major = rdev_major, .minor = rdev_minor};
  auto message = encode_mknod(who, directory, name, device, attributes);
  auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->status == NFS3ERR_EXIST && answer->repeated) {
    const auto there = co_await lookup(who, directory, name);
    if (there && there->attributes.type == type && signature.is_on(there->attributes))
      co_return there;
  }
  if (answer->error()) co_return answer->error();
  co_return co_await made(who, directory, name, std::move(*answer), "MKNOD");
}

}  // namespace holdfast::fs::nfs3
