// What a mount's shell does about tokens.

#include "holdfast/base/mutation.h"
#include "tests/sim/mount_files.h"
#include "tests/sim/mount_node.h"
#include "tests/sim/worker.h"

#include <algorithm>

namespace holdfast::sim {

void MountNode::pin(std::size_t file, TokenUse use, fs::Urgency urgency, Pinned done) {
  fs::ClientEffects effects;
  const auto mode = core_->try_pin(key_of(file), use, urgency, now(), effects);
  perform(std::exchange(effects, {}));
  if (mode) return done(mode);
  const CallId call = core_->acquire(key_of(file), use, urgency, now(), effects);
  pins_.emplace(call, Pinning{urgency == fs::Urgency::kMayWait, world_.now(), std::move(done)});
  perform(std::move(effects));
  schedule_tick();
}

void MountNode::unpin(std::size_t file) {
  perform(core_->unpin(key_of(file), now()));
  schedule_tick();
}

void MountNode::drained(std::size_t file, std::uint64_t round) {
  perform(core_->drained(key_of(file), round, is_in_use(file), now()));
  schedule_tick();
}

void MountNode::created(std::size_t directory, std::size_t file) {
  core_->created(key_of(directory), key_of(file));
  if (session_ && core_->agent()->cover(key_of(file)) == key_of(directory))
    tokens_.created(*session_, directory, file);
}

std::optional<std::size_t> MountNode::cover(std::size_t file) const {
  const auto cover = core_->cover(key_of(file));
  return cover ? std::optional(file_of(*cover)) : std::nullopt;
}

void MountNode::give_up(std::size_t file) {
  perform(core_->give_up(key_of(file), now()));
  schedule_tick();
}

void MountNode::forgotten(std::size_t file) {
  perform(core_->forgotten(key_of(file), now()));
  schedule_tick();
}

TokenMode MountNode::mode(const FileKey& file) const {
  return entitled() ? core_->agent()->known_mode(file) : TokenMode::kNone;
}

bool MountNode::has_write_token(std::size_t file) const {
  const TokenMode mode = core_->agent()->known_mode(key_of(file));
  return mode == TokenMode::kShared || mode == TokenMode::kExclusive;
}

bool MountNode::is_in_use(std::size_t file) const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [&](const auto& worker) { return worker->uses(file); });
}

// ---- Effects

void MountNode::perform_one(const fs::Drain& effect) {
  const std::size_t file = file_of(effect.file);
  if (file != kNoFile) return files_->drain(file, effect);
  // Nothing is kept of the volume as such.
  world_.in(world_.rng.up_to(microseconds(50)), this, [this, round = effect.round] {
    perform(core_->drained(kVolumeKey, round, false, now()));
    schedule_tick();
  });
}

void MountNode::perform_one(const fs::TokenPinned& effect) {
  const auto found = pins_.find(effect.call);
  if (found == pins_.end()) return;
  const Pinned done = std::move(found->second.done);
  pins_.erase(found);
  done(effect.mode);
}

void MountNode::perform_one(const fs::TokensLost& effect) {
  world_.note("mount {}: tokens lost ({} files)", index_, effect.files.size());
  if (effect.files.empty()) {
    lose_all();
    if (session_) tokens_.told_session_lost(*session_);
    return;
  }
  std::set<std::size_t> files;
  for (const FileKey& file : effect.files) {
    if (session_) tokens_.told_file_lost(*session_, file);
    if (file_of(file) != kNoFile) files.insert(file_of(file));
  }
  lose_files(files);
}

// Operations::add_unstable_of_losers.
void MountNode::add_unstable_of_losers(std::set<std::size_t>& dead) const {
  std::set<OwnerId> losers;
  for (const auto& worker : workers_)
    for (const std::size_t file : dead)
      if (has_open(*worker, file)) losers.insert(worker->owner());
  for (std::size_t file = 0; file < scenario_.total_files(); ++file)
    if (files_->is_dirty(file) && losers.contains(files_->last_writer(file))) dead.insert(file);
}

void MountNode::lose_token(std::size_t file) {
  files_->lost(file);
  for (auto& [number, asked] : asked_)
    if (asked.file == key_of(file)) asked.lost = true;
  if (mutated(Mutation::kLostChangeSentAgain)) return;
  // As fs/cache does it: what changes something is not sent again, names are looked at again under
  // the next token (T8); what looks at a file is sent again. Its program has lost no lock (poison()
  // sees to those), and asked before, though its call may have begun only when the mount woke up.
  std::vector<std::uint64_t> its;
  for (auto& [id, rpc] : rpcs_) {
    if (!rpc.stamp.changes(file)) continue;
    if (rpc.what == Io::kWrite || scenario_.is_directory(file)) its.push_back(id);
    rpc.begun = {};
  }
  for (const std::uint64_t id : its)
    end_io(id, {.failed = true});
}

// ---- What the judges see

void MountNode::entitled_again() {
  judge_.became_entitled(index_);
  if (scenario_.tokens) tokens_.became_entitled(index_);
}

void MountNode::judge_sent(const ClientMessage& message) {
  const auto* request = std::get_if<Request>(&message);
  if (request == nullptr || !scenario_.tokens) return;
  if (const auto* asked = std::get_if<TokenRequest>(&request->command)) {
    const bool fresh = asked_.emplace(request->number, Asked{asked->file}).second;
    if (fresh && session_ && asked->file == kVolumeKey) tokens_.asks_for_volume(*session_);
  } else if (const auto* asserted = std::get_if<TokenAssert>(&request->command)) {
    for (const HeldToken& token : asserted->tokens)
      world_.note("mount {}: holds file {} by itself from now on", index_,
                  static_cast<std::int64_t>(file_of(token.file)));
  } else if (const auto* release = std::get_if<TokenRelease>(&request->command)) {
    if (request->number <= last_release_) return;  // once more
    last_release_ = request->number;
    const std::size_t file = file_of(release->file);
    world_.note("mount {}: gives up file {} (token {}), keeps mode {}", index_,
                static_cast<std::int64_t>(file), release->token.value,
                static_cast<int>(release->keep));
    // A grant that is not believed goes back in the moment in which it comes: nothing was done
    // under it, and what was written before the loss was written under another token.
    const auto answered = asked_.find(release->token);
    const bool believed = answered == asked_.end() || !answered->second.lost;
    if (file != kNoFile && believed) freshness_.check_clean(index_, file);
  }
}

// Requests are numbered anew.
void MountNode::judge_welcome(const ServerMessage& message) {
  const auto* welcome = std::get_if<Welcome>(&message);
  if (welcome == nullptr) return;
  if (!welcome->reclaim && session_ && *session_ == welcome->session) return;
  asked_.clear();
  last_release_ = {};
}

void MountNode::judge_grant(const ServerMessage& message) {
  const auto* reply = std::get_if<Reply>(&message);
  const auto* grant = reply == nullptr ? nullptr : std::get_if<TokenGranted>(&reply->outcome);
  if (grant == nullptr || !session_) return;
  const auto asked = asked_.find(reply->number);
  if (asked == asked_.end()) return;
  const FileKey file = asked->second.file;
  asked_.erase(asked);
  if (mode(file) != grant->mode) return;
  tokens_.told_granted(index_, *session_, file, reply->number, grant->mode, scenario_.lockds > 1);
}

}  // namespace holdfast::sim
