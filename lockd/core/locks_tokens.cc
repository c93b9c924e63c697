// Locks that mounts decide under their tokens (docs/tokens.md): what of them is known here, and
// since when.

#include "holdfast/base/assert.h"
#include "lockd/core/locks.h"
#include "lockd/core/locks_ask.h"

namespace holdfast::lockd {

Locks::FileUse Locks::use_of(const SessionLocks& session, const FileId& id) const {
  FileUse use;
  const FileId* database = wal_.tied_to(id);
  use.wal = wal_.elsewhere(database == nullptr ? id : *database, session);
  File* file = find(id);
  if (file == nullptr) return use;
  for (const FileSpace* space : {&file->range, &file->flock}) {
    use.waits = use.waits || space->waiter_count > 0;
    use.exclusive = use.exclusive || RangeTable::conflict(*space, ByteRange::whole_file(),
                                                          LockMode::kShared, nullptr) != nullptr;
    auto is_own = [&](const HeldRange& held) {
      use.others = use.others || held.holding->agent->session != &session;
      return !use.others;
    };
    if (!use.others)
      space->held.each_conflict(ByteRange::whole_file(), LockMode::kExclusive, nullptr, is_own);
  }
  return use;
}

void Locks::clear_file(SessionLocks& session, File& file) {
  for (FileSpace* space : {&file.range, &file.flock}) {
    if (space->held_count == 0) continue;
    for (const auto& [key, agent] : session.agents) {
      Holding* holding = find(*agent, *space);
      if (holding == nullptr) continue;
      table_.clear_all(*holding, freed_);
      drop_empty(*holding);
    }
    wake(*space);
  }
  check_idle(file);
}

void Locks::forget(SessionLocks& session, const FileId& id, bool exclusive, Instant now) {
  if (exclusive && session.wal_databases.contains(id)) wal_.set_under_token(id, true);
  File* file = find(id);
  if (file == nullptr) return;
  Answers nobody_waits;
  begin(now, nobody_waits);
  clear_file(session, *file);
  end_idle_wal(session, id);
  finish();
  HOLDFAST_ASSERT(nobody_waits.empty(), "T2: nobody waits for what mounts decide");
}

std::optional<Refused> Locks::push(SessionLocks& session, const HeldLock& held, Instant now,
                                   Answers& answers) {
  begin(now, answers);
  const Refused bad{.errc = LockErrc::kBadRequest};
  const FileId id{session.volume, held.file};
  if (held.space == LockSpace::kFlock && held.range != ByteRange::whole_file()) return bad;
  // A database may be shared by others who came before its wal-index had an owner; the wal-index
  // itself may not.
  if (held.wal_database) {
    const FileId database{session.volume, *held.wal_database};
    const FileId* tied = wal_.tied_to(id);
    if (database == id || wal_.elsewhere(database, session) ||
        (tied != nullptr && *tied != database))
      return bad;
  }
  const auto found = find_or_open(id);
  if (const auto* limit = std::get_if<Limit>(&found)) return refuse(*limit, session);
  File* const file = std::get<File*>(found);
  Agent& agent = find_or_make(session, {held.space, held.owner});
  check_idle(agent);
  check_idle(*file);
  const Ask ask{.session = session,
                .agent = agent,
                .space = file->space(held.space),
                .range = held.range,
                .mode = held.mode,
                .kind = OwnerKind::kUnchecked,
                .handle = held.handle,
                .pid = held.pid,
                .wal_database = held.wal_database};
  const Holding* holding = find(agent, ask.space);
  std::optional<Refused> refused;
  if (RangeTable::conflict(ask.space, ask.range, ask.mode, holding) != nullptr) {
    refused = bad;
  } else if (const auto limit =
                 full(session, ask.space, RangeTable::growth_of_set(holding, ask.range))) {
    refused = refuse(*limit, session);
  } else {
    static_cast<void>(grant(ask));
  }
  finish();
  return refused;
}

void Locks::end_wal_under_token(SessionLocks& session, const FileId& database) {
  const WalOwners::Ownership* ownership = wal_.find(database);
  if (ownership == nullptr || !ownership->under_token) return;
  wal_.set_under_token(database, false);
  end_idle_wal(session, database);
}

}  // namespace holdfast::lockd
