#include "lockd/core/wal_owners.h"

#include "holdfast/base/assert.h"

namespace holdfast::lockd {

const WalOwners::Ownership* WalOwners::find(const FileId& database) const {
  if (owned_.empty()) return nullptr;
  const auto at = owned_.find(database);
  return at == owned_.end() ? nullptr : &at->second;
}

bool WalOwners::elsewhere(const FileId& database, const SessionLocks& asking) const {
  const Ownership* ownership = find(database);
  return ownership != nullptr && ownership->session != &asking;
}

const FileId* WalOwners::tied_to(const FileId& file) const {
  if (tied_.empty()) return nullptr;
  const auto at = tied_.find(file);
  return at == tied_.end() ? nullptr : &at->second;
}

bool WalOwners::claim(const FileId& database, SessionLocks& session, Instant now) {
  const auto [at, fresh] = owned_.try_emplace(database, Ownership{&session, now, {}, false});
  HOLDFAST_ASSERT(at->second.session == &session, "one session owns a wal-index");
  if (fresh) session.wal_databases.insert(database);
  return fresh;
}

void WalOwners::tie(const FileId& file, const FileId& database) {
  const auto at = owned_.find(database);
  HOLDFAST_ASSERT(at != owned_.end(), "only files of an owned wal-index are tied");
  at->second.tied.insert(file);
  tied_.insert_or_assign(file, database);
}

void WalOwners::set_under_token(const FileId& database, bool yes) {
  owned_.at(database).under_token = yes;
}

void WalOwners::end(const FileId& database) {
  const auto at = owned_.find(database);
  if (at == owned_.end()) return;
  for (const FileId& file : at->second.tied)
    tied_.erase(file);
  at->second.session->wal_databases.erase(database);
  owned_.erase(at);
}

}  // namespace holdfast::lockd
