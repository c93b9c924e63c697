// Calls that are refused because of a limit.
#include "fs/lock/client_command.h"
#include "fs/lock/client_core.h"

namespace holdfast::fs {

// Of an interrupted call, or of what only gives back, nobody waits for the answer.
void ClientCore::note_limit(const Call& call, const Refused& refused, LimitRefusal::By by,
                            ClientEffects& effects) {
  const bool unheard = call.answered || (call.background && is_about_locks(call.command));
  if (unheard) return;
  note_limit(call.command, refused, by, effects);
}

void ClientCore::note_limit(const Command& command, const Refused& refused, LimitRefusal::By by,
                            ClientEffects& effects) {
  if (const auto one = limit_refusal(command, refused, by)) effects.emplace_back(*one);
}

void ClientCore::refuse_unsent(const Call& call, ClientEffects& effects) const {
  const auto most = static_cast<std::uint32_t>(limits_.unsent_max);
  const Refused refused{.errc = LockErrc::kTooManyRequests,
                        .limit = LimitMet{.limit = Limit::kRequestsOfSession, .max = most}};
  note_limit(call, refused, LimitRefusal::By::kMount, effects);
  effects.emplace_back(CompleteCall{call.id, refused});
}

}  // namespace holdfast::fs
