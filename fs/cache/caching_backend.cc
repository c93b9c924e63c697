#include "fs/cache/caching_backend.h"

#include "fs/cache/change_of_file.h"

#include <cerrno>
#include <utility>

#include <unistd.h>

namespace holdfast::fs {
namespace {

/// SQLite, as root, gives each journal to the owner of its database, who is mostly root.
bool changes_permissions(const SetAttributes& change, const std::optional<Attributes>& known) {
  if (!known) return change.mode || change.uid || change.gid;
  return change.mode.value_or(known->mode) != known->mode ||
         change.uid.value_or(known->uid) != known->uid ||
         change.gid.value_or(known->gid) != known->gid;
}

}  // namespace

// ---- Identities, tokens

CachingBackend::Awaitable<FileKey> CachingBackend::key_of(FileHandle file) {
  if (const auto known = files_.key(file)) co_return *known;
  const auto attributes = co_await storage_.getattr(Credentials{}, file);
  if (!attributes) co_return attributes.error();
  const FileKey key{attributes->fileid, file.hash()};
  files_.identify(file, key);
  co_return key;
}

CachingBackend::Awaitable<CachingBackend::InUse> CachingBackend::use(FileHandle file, TokenUse use,
                                                                     Urgency urgency) {
  const auto key = co_await key_of(file);
  if (!key) co_return key.error();
  auto pinned = co_await pin(locks_, *key, use, urgency);
  if (!pinned) co_return pinned.error();
  co_return InUse{*key, std::move(*pinned)};
}

void CachingBackend::learn(const KeptFiles::Search& search, const Entry& entry) {
  const FileKey key = key_of_entry(entry);
  files_.identify(entry.handle, key);
  if (generation(kVolumeKey) == 0 && !held_since_before(search, key)) return;
  const bool changed = files_.keep_found(search, key, generation(key), entry.attributes);
  if (changed && changed_) changed_(key);
}

// What is kept of it was asked for before, and under the token that we have.
bool CachingBackend::held_since_before(const KeptFiles::Search& search, const FileKey& file) {
  const std::uint64_t now = generation(file);
  return files_.attributes(file, now, Instant::min()) &&
         !files_.attributes(file, now, search.asked);
}

void CachingBackend::enter(const KeptFiles::Look& look, const Attributes& attributes) {
  const bool changed = files_.keep(look, attributes);
  if (changed && changed_) changed_(look.file);
}

// ---- One file

CachingBackend::Awaitable<Entry> CachingBackend::root() {
  co_await locks_.wait_entitled();
  const auto entry = co_await storage_.root();
  if (entry) files_.identify(entry->handle, key_of_entry(*entry));
  co_return entry;
}

CachingBackend::Awaitable<Attributes> CachingBackend::getattr(Credentials who, FileHandle file) {
  return attributes(std::move(who), file, Urgency::kKernelWaits);
}

CachingBackend::Awaitable<Attributes> CachingBackend::getattr_within(Credentials who,
                                                                     FileHandle file) {
  return attributes(std::move(who), file, Urgency::kWithin);
}

CachingBackend::Awaitable<Attributes> CachingBackend::attributes(Credentials who, FileHandle file,
                                                                 Urgency urgency) {
  const auto used = co_await use(file, TokenUse::kRead, urgency);
  if (!used) co_return used.error();
  auto found = co_await attributes_not_older(std::move(who), file, used->file, ages_.attributes);
  co_return found;
}

CachingBackend::Awaitable<Attributes> CachingBackend::attributes_not_older(Credentials who,
                                                                           FileHandle file,
                                                                           FileKey key,
                                                                           Duration age) {
  const auto kept = files_.attributes(key, generation(key), now_() - age);
  if (kept) co_return *kept;
  const auto look = begin_look(key);
  const auto attributes = co_await storage_.getattr(std::move(who), file);
  if (attributes) enter(look, *attributes);
  co_return attributes;
}

CachingBackend::Awaitable<void> CachingBackend::look_before_open(Credentials who, FileHandle file) {
  const auto used = co_await use(file, TokenUse::kRead);
  if (!used) co_return used.error();
  const FileKey key = used->file;
  if (generation(key) == 0) co_return Result<void>{};  // nothing is kept
  const auto found = co_await attributes_not_older(std::move(who), file, key, ages_.at_open);
  if (found && found->nlink > 0) co_return Result<void>{};
  if (found) co_return errno_code(ESTALE);
  if (found.error() == errno_code(ESTALE)) files_.drop(key);  // the next lookup asks, too
  co_return found.error();
}

CachingBackend::Awaitable<Attributes> CachingBackend::setattr(Credentials who, FileHandle file,
                                                              SetAttributes change) {
  return under_token_.setattr(std::move(who), file, change);
}

CachingBackend::Awaitable<std::uint32_t> CachingBackend::access(Credentials who, FileHandle file,
                                                                std::uint32_t wanted) {
  const auto used = co_await use(file, TokenUse::kRead);
  if (!used) co_return used.error();
  const FileKey key = used->file;
  if (const auto kept = files_.access(key, generation(key), who, wanted)) co_return *kept;
  // For all at once: a file is mostly opened in more than one way, and it is one call.
  constexpr std::uint32_t kAll = R_OK | W_OK | X_OK;
  const auto look = begin_look(key);
  const auto granted = co_await storage_.access(who, file, kAll);
  if (!granted) co_return granted;
  files_.keep_access(look, who, kAll, *granted);
  const std::uint32_t may = *granted & wanted;
  co_return may;
}

CachingBackend::Awaitable<std::string> CachingBackend::readlink(Credentials who, FileHandle link) {
  const auto pinned = co_await use(link, TokenUse::kRead);
  if (!pinned) co_return pinned.error();
  auto target = co_await storage_.readlink(std::move(who), link);
  co_return target;
}

CachingBackend::Awaitable<ReadResult> CachingBackend::read(Credentials who, FileHandle file,
                                                           std::uint64_t offset,
                                                           std::uint32_t count) {
  const auto pinned = co_await use(file, TokenUse::kRead);
  if (!pinned) co_return pinned.error();
  auto result = co_await storage_.read(std::move(who), file, offset, count);
  co_return result;
}

CachingBackend::Awaitable<WriteResult> CachingBackend::write(Credentials who, FileHandle file,
                                                             std::uint64_t offset,
                                                             std::span<const std::uint8_t> data,
                                                             Stability stability) {
  return under_token_.write(std::move(who), file, offset, data, stability);
}

CachingBackend::Awaitable<CommitResult> CachingBackend::commit(Credentials who, FileHandle file,
                                                               std::uint64_t offset,
                                                               std::uint32_t count) {
  const auto pinned = co_await use(file, TokenUse::kWrite, Urgency::kWithin);
  if (!pinned) co_return pinned.error();
  auto committed = co_await under_token_.commit(std::move(who), file, offset, count);
  co_return committed;
}

// ---- Of files whose token the caller sees to

CachingBackend::Awaitable<CachingBackend::InUse> CachingBackend::still_held(Reliance& change,
                                                                            FileHandle file) {
  const auto key = co_await key_of(file);
  if (!key) co_return key.error();
  change.on(*key);
  auto pinned = co_await pin(locks_, *key, TokenUse::kWrite, Urgency::kWithin);
  if (!pinned || change.lost()) co_return errno_code(EIO);
  co_return InUse{*key, std::move(*pinned)};
}

CachingBackend::Awaitable<Attributes> CachingBackend::UnderToken::setattr(Credentials who,
                                                                          FileHandle file,
                                                                          SetAttributes change) {
  Reliance relies(of_.under_way_);
  const auto held = co_await of_.still_held(relies, file);
  if (!held) co_return held.error();
  const auto known = of_.files_.attributes(held->file, of_.generation(held->file), Instant::min());
  const bool permissions = changes_permissions(change, known);
  ChangeOfFile changing(
      of_.files_, of_.locks_, held->file, of_.now_(),
      permissions ? KeptFiles::Concerns::kPermissions : KeptFiles::Concerns::kContents);
  const auto attributes = co_await relies.send(of_.storage_.setattr(std::move(who), file, change));
  if (attributes) changing.ended_with(*attributes);
  co_return attributes;
}

CachingBackend::Awaitable<WriteResult> CachingBackend::UnderToken::write(
    Credentials who, FileHandle file, std::uint64_t offset, std::span<const std::uint8_t> data,
    Stability stability) {
  Reliance relies(of_.under_way_);
  const auto held = co_await of_.still_held(relies, file);
  if (!held) co_return held.error();
  ChangeOfFile changing(of_.files_, of_.locks_, held->file, of_.now_());
  auto result =
      co_await relies.send(of_.storage_.write(std::move(who), file, offset, data, stability));
  if (result && result->after) changing.ended_with(*result->after);
  co_return result;
}

CachingBackend::Awaitable<CommitResult> CachingBackend::UnderToken::commit(Credentials who,
                                                                           FileHandle file,
                                                                           std::uint64_t offset,
                                                                           std::uint32_t count) {
  const auto key = co_await of_.key_of(file);
  if (!key) co_return key.error();
  // WRITEs side by side do not tell whose attributes are newest: here all have been answered, or
  // one is under way and the look is void.
  const auto look = of_.begin_look(*key);
  auto committed = co_await of_.storage_.commit(std::move(who), file, offset, count);
  if (committed && committed->after) of_.enter(look, *committed->after);
  co_return committed;
}

}  // namespace holdfast::fs
