// Names that exist: LOOKUP, READLINK, LINK, REMOVE, RMDIR, RENAME, and what their repetition means.

#include "fs/backend/nfs3/decode.h"
#include "fs/backend/nfs3/encode.h"
#include "fs/backend/nfs3/nfs3_backend.h"
#include "fs/backend/nfs3/repeat.h"

#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-zdr.h>

namespace holdfast::fs::nfs3 {
namespace {

Result<void> outcome(const Answer& answer) {
  const auto failed = answer.error();
  if (failed) return failed;
  return {};
}

}  // namespace

Backend::Awaitable<Entry> Nfs3Backend::lookup(Credentials who, FileHandle directory,
                                              std::string name) {
  const Client::Running running(client_);
  if (name.size() > kNameBytesMax) co_return errno_code(ENAMETOOLONG);
  auto message = encode_lookup(who, directory, name);
  const auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->error()) co_return answer->error();
  auto reader = answer->reader();
  Entry entry;
  entry.handle = decode_handle(reader);
  auto attributes = decode_post_op(reader);
  if (!reader.ok()) co_return client_.malformed(*answer, "LOOKUP");
  if (!attributes) {
    const auto asked = co_await getattr(who, entry.handle);
    if (!asked) co_return asked.error();
    attributes = *asked;
  }
  entry.attributes = *attributes;
  co_return entry;
}

Backend::Awaitable<std::string> Nfs3Backend::readlink(Credentials who, FileHandle link) {
  const Client::Running running(client_);
  auto message = encode_readlink(who, link);
  const auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->error()) co_return answer->error();
  auto reader = answer->reader();
  (void)decode_post_op(reader);
  auto target = reader.string(kTargetBytesMax);
  if (!reader.ok()) co_return client_.malformed(*answer, "READLINK");
  co_return target;
}

Backend::Awaitable<Attributes> Nfs3Backend::link(Credentials who, FileHandle file,
                                                 FileHandle directory, std::string name) {
  const Client::Running running(client_);
  if (name.size() > kNameBytesMax) co_return errno_code(ENAMETOOLONG);
  auto message = encode_link(who, file, directory, name);
  const auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->status == NFS3ERR_EXIST && answer->repeated) {
    const auto there = co_await lookup(who, directory, name);
    const auto mine = co_await getattr(who, file);
    if (there && mine && same_object(*there, Entry{.handle = file, .attributes = *mine}))
      co_return *mine;
  }
  if (answer->error()) co_return answer->error();
  auto reader = answer->reader();
  const auto attributes = decode_post_op(reader);
  if (!reader.ok()) co_return client_.malformed(*answer, "LINK");
  if (attributes) co_return *attributes;
  co_return co_await getattr(who, file);
}

Backend::Awaitable<Removed> Nfs3Backend::remove(Credentials who, FileHandle directory,
                                                std::string name) {
  const Client::Running running(client_);
  if (name.size() > kNameBytesMax) co_return errno_code(ENAMETOOLONG);
  auto message = encode_remove(who, directory, name);
  const auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->status == NFS3ERR_NOENT && answer->repeated) co_return Removed{};
  if (answer->error()) co_return answer->error();
  auto reader = answer->reader();
  Removed removed{.directory_after = decode_wcc(reader)};
  if (!reader.ok()) co_return client_.malformed(*answer, "REMOVE");
  co_return removed;
}

Backend::Awaitable<void> Nfs3Backend::rmdir(Credentials who, FileHandle directory,
                                            std::string name) {
  const Client::Running running(client_);
  if (name.size() > kNameBytesMax) co_return errno_code(ENAMETOOLONG);
  auto message = encode_rmdir(who, directory, name);
  const auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->status == NFS3ERR_NOENT && answer->repeated) co_return Result<void>{};
  co_return outcome(*answer);
}

Backend::Awaitable<void> Nfs3Backend::rename(Credentials who, FileHandle from_directory,
                                             std::string from_name, FileHandle to_directory,
                                             std::string to_name) {
  const Client::Running running(client_);
  if (from_name.size() > kNameBytesMax || to_name.size() > kNameBytesMax)
    co_return errno_code(ENAMETOOLONG);
  // What is renamed must be known before: once the source's name is gone, only the identity of what
  // stands at the target tells a repeated RENAME that worked from one that never did. One call more
  // for each RENAME.
  const auto source = co_await lookup(who, from_directory, from_name);
  if (!source && source.error() == errno_code(ENOENT)) co_return source.error();
  auto message = encode_rename(who, from_directory, from_name, to_directory, to_name);
  const auto answer = co_await client_.perform(std::move(message));
  if (!answer) co_return answer.error();
  if (answer->status == NFS3ERR_NOENT && answer->repeated && source) {
    const auto target = co_await lookup(who, to_directory, to_name);
    if (target && same_object(*target, *source)) co_return Result<void>{};
  }
  co_return outcome(*answer);
}

}  // namespace holdfast::fs::nfs3
