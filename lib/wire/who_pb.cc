// Who has a lock: both directions.
#include "lib/wire/enums.h"
#include "lib/wire/from_pb.h"
#include "lib/wire/listing_pb.h"

#include <algorithm>
#include <chrono>

namespace holdfast::wire {
namespace {

void put(const ToldLock& from, pb::ToldLock& to) {
  to.set_waiting(from.state == ToldState::kWaiting);
  to.mutable_file()->set_fileid(from.file.fileid);
  to.mutable_file()->set_handle_hash(from.file.handle_hash);
  to.set_space(to_pb(kSpaces, from.space));
  to.set_mode(to_pb(kModes, from.mode));
  to.mutable_range()->set_start(from.range.start());
  to.mutable_range()->set_end(from.range.end() == ByteRange::kEnd ? 0 : from.range.end());
  to.set_owner(from.owner.value);
  to.set_pid(from.pid);
  to.set_age_ms(static_cast<std::uint64_t>(std::max<std::int64_t>(from.age.count(), 0)));
  to.set_here(from.here);
  auto& process = *to.mutable_process();
  process.set_name(from.process.name);
  process.set_pod_uid(from.process.pod_uid);
  process.set_pod(from.process.pod);
  process.set_namespace_(from.process.ns);
  process.set_container(from.process.container);
}

std::optional<ProcessInfo> take(const pb::ProcessInfo& from) {
  for (const std::string* text :
       {&from.name(), &from.pod_uid(), &from.pod(), &from.namespace_(), &from.container()})
    if (!is_text(*text)) return std::nullopt;
  return ProcessInfo{.name = from.name(),
                     .pod_uid = from.pod_uid(),
                     .pod = from.pod(),
                     .ns = from.namespace_(),
                     .container = from.container()};
}

std::optional<ToldLock> take(const pb::ToldLock& from) {
  const auto space = from_pb(kSpaces, from.space());
  const auto mode = from_pb(kModes, from.mode());
  const auto range = wire::take(from.range());
  auto process = take(from.process());
  if (!from.has_file() || !from.has_range() || !space || !mode || !range || !process ||
      from.age_ms() > static_cast<std::uint64_t>(kAgeMsMax)) {
    return std::nullopt;
  }
  ToldLock to;
  to.state = from.waiting() ? ToldState::kWaiting : ToldState::kHeld;
  to.file = wire::take(from.file());
  to.space = *space;
  to.mode = *mode;
  to.range = *range;
  to.owner = {from.owner()};
  to.pid = from.pid();
  to.age = std::chrono::milliseconds(from.age_ms());
  to.here = from.here();
  to.process = *std::move(process);
  return to;
}

template <class List>
std::optional<std::vector<ToldLock>> take_locks(const List& from, std::size_t most) {
  if (static_cast<std::size_t>(from.size()) > most) return std::nullopt;
  std::vector<ToldLock> to;
  to.reserve(static_cast<std::size_t>(from.size()));
  for (const auto& entry : from) {
    auto lock = take(entry);
    if (!lock) return std::nullopt;
    to.push_back(*std::move(lock));
  }
  return to;
}

std::optional<WhoMount> take(const pb::WhoMount& from) {
  auto session = take_info(from.session());
  const auto token = from_pb(kTokenModes, from.token());
  auto locks = take_locks(from.locks(), kWhoLocksMax);
  if (!session || !token || !locks) return std::nullopt;
  return WhoMount{.session = *std::move(session),
                  .token = *token,
                  .has_volume = from.has_volume(),
                  .told = from.told(),
                  .locks = *std::move(locks)};
}

}  // namespace

void put_who(const AskWho& from, pb::ClientMessage& message) {
  message.mutable_ask_who()->set_question(from.question);
  message.mutable_ask_who()->set_fileid(from.fileid);
}

void put_who(const ToldWho& from, pb::ClientMessage& message) {
  auto& to = *message.mutable_told_who();
  to.set_question(from.question);
  to.set_truncated(from.truncated);
  to.set_more(from.more);
  for (const ToldLock& lock : from.locks)
    put(lock, *to.add_locks());
}

void put_who(const TellWho& from, pb::ServerMessage& message) {
  message.mutable_tell_who()->set_question(from.question);
  message.mutable_tell_who()->set_fileid(from.fileid);
}

void put_who(const WhoAnswer& from, pb::ServerMessage& message) {
  auto& to = *message.mutable_who_answer();
  to.set_question(from.question);
  to.set_from_lockd(from.from_lockd);
  to.set_grace(from.grace);
  to.set_truncated(from.truncated);
  for (const LockInfo& lock : from.locks)
    put_info(lock, *to.add_locks());
  for (const WhoMount& mount : from.mounts) {
    auto& one = *to.add_mounts();
    put_info(mount.session, *one.mutable_session());
    one.set_token(to_pb(kTokenModes, mount.token));
    one.set_has_volume(mount.has_volume);
    one.set_told(mount.told);
    for (const ToldLock& lock : mount.locks)
      put(lock, *one.add_locks());
  }
}

std::optional<ClientMessage> take_who(const pb::ToldWho& from) {
  auto locks = take_locks(from.locks(), kToldLocksPerMessage);
  if (!locks) return std::nullopt;
  return ToldWho{.question = from.question(),
                 .locks = *std::move(locks),
                 .truncated = from.truncated(),
                 .more = from.more()};
}

std::optional<ServerMessage> take_who(const pb::WhoAnswer& from) {
  WhoAnswer to;
  to.question = from.question();
  to.from_lockd = from.from_lockd();
  to.grace = from.grace();
  to.truncated = from.truncated();
  for (const auto& entry : from.locks()) {
    auto lock = take_info(entry);
    if (!lock) return std::nullopt;
    to.locks.push_back(*std::move(lock));
  }
  for (const auto& entry : from.mounts()) {
    auto mount = take(entry);
    if (!mount) return std::nullopt;
    to.mounts.push_back(*std::move(mount));
  }
  return to;
}

}  // namespace holdfast::wire
