#include "lockd/server/questions.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace holdfast::lockd {

std::uint64_t Questions::begin(ConnectionId asker, WhoAnswer answer, std::set<SessionId> asked,
                               Instant until) {
  open_.emplace(++last_, Open{asker, std::move(answer), std::move(asked), until});
  return last_;
}

Questions::Answers Questions::told(SessionId session, ToldWho told) {
  const auto found = open_.find(told.question);
  if (found == open_.end() || !found->second.missing.contains(session)) return {};
  if (!told.more) found->second.missing.erase(session);
  WhoAnswer& answer = found->second.answer;
  std::size_t room = kWhoLocksMax;
  for (const WhoMount& mount : answer.mounts)
    room -= std::min(room, mount.locks.size());
  if (told.locks.size() > room) {
    told.truncated = true;
    told.locks.resize(room);
  }
  for (WhoMount& mount : answer.mounts) {
    if (mount.session.session != session) continue;
    mount.told = !told.more;
    mount.locks.insert(mount.locks.end(), std::make_move_iterator(told.locks.begin()),
                       std::make_move_iterator(told.locks.end()));
    answer.truncated = answer.truncated || told.truncated;
    break;
  }
  return take_finished(Instant::min());
}

Questions::Answers Questions::gone(SessionId session) {
  for (auto& [number, open] : open_)
    open.missing.erase(session);
  return take_finished(Instant::min());
}

Questions::Answers Questions::due(Instant now) {
  return take_finished(now);
}

void Questions::forget(ConnectionId asker) {
  std::erase_if(open_, [&](const auto& one) { return one.second.asker == asker; });
}

Questions::Answers Questions::take_finished(Instant now) {
  Answers answers;
  for (auto it = open_.begin(); it != open_.end();) {
    Open& open = it->second;
    if (!open.missing.empty() && now < open.until) {
      ++it;
      continue;
    }
    answers.push_back({open.asker, std::move(open.answer)});
    it = open_.erase(it);
  }
  return answers;
}

}  // namespace holdfast::lockd
