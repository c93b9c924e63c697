#pragma once
/// Judges tokens. Two views again: what lockd has granted (as its effects are performed), and what
/// mounts believe.
///   T1  entitled mounts never believe in incompatible modes of one file
///   I2  what lockd has given to somebody else is closed for the former holder's writes (Judge)
///   I7  a token is reclaimed only by who held it and had neither given it up nor lost it

#include "tests/sim/freshness.h"
#include "tests/sim/judge.h"

#include <functional>
#include <map>
#include <set>
#include <vector>

namespace holdfast::sim {

class TokenJudge {
 public:
  TokenJudge(World& world, std::size_t files, Judge& judge, Freshness& freshness)
      : world_(world), files_(files), judge_(judge), freshness_(freshness) {}

  /// Set once: what a mount that is entitled by its own clock may do with a file; else kNone.
  std::function<TokenMode(std::size_t mount, const FileKey& file)> believed;

  // ---- What lockd does
  void granted(SessionId session, const FileKey& file, RequestNumber name, TokenMode mode);
  /// It said Done.
  void done(SessionId session, RequestNumber number, const Command& command);
  void reclaimed(SessionId session, const std::vector<HeldToken>& tokens);
  void session_ended(SessionId session);
  /// A lock, decided by lockd.
  void lock_granted(SessionId session, std::size_t file);
  /// As far as lockd has said and heard.
  [[nodiscard]] TokenMode held(SessionId session, const FileKey& file) const;
  [[nodiscard]] bool holds_anything(SessionId session) const;

  // ---- What mounts do and are told
  void told_granted(std::size_t mount, SessionId session, const FileKey& file, RequestNumber name,
                    TokenMode mode, bool deposed);
  /// `mount` made `file` under its token of `directory`.
  void created(SessionId session, std::size_t directory, std::size_t file) {
    implied_[{session, directory}].insert(file);
  }
  void told_file_lost(SessionId session, const FileKey& file) { held_[file].erase(session); }
  /// The mount asks for the volume's token.
  void asks_for_volume(SessionId session) { volume_asked_[session] = world_.now(); }
  void told_session_lost(SessionId session);
  void became_entitled(std::size_t mount);

 private:
  struct Held {
    RequestNumber name;
    TokenMode mode = TokenMode::kNone;
  };
  void check(std::size_t mount, const FileKey& file);
  void hold(SessionId session, const FileKey& file, const Held& token);
  void take(SessionId from, const FileKey& file);
  void take_in_the_way(SessionId session, const FileKey& file, TokenMode mode);
  void give_up(SessionId session, const FileKey& file, TokenMode keep);

  World& world_;
  std::size_t files_;
  Judge& judge_;
  Freshness& freshness_;
  std::map<FileKey, std::map<SessionId, Held>> held_;
  std::map<std::pair<SessionId, std::size_t>, std::set<std::size_t>> implied_;  ///< by directory
  std::map<SessionId, Time> volume_asked_;
};

}  // namespace holdfast::sim
