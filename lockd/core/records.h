#pragma once
/// What lockd keeps on stable storage (docs/adr/0008): who its sessions are and what each lost.
/// Never locks: clients hold those and tell them again after a restart. Plain data.
///
/// A record is durable before anything that follows from it is visible: PutSession before the
/// Welcome, PutLoss and EndSessionRecord before the locks are given away (RFC 8881 section 8.4.3,
/// the two edge conditions).

#include "holdfast/lock/message.h"

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::lockd {

struct SessionRecord {
  SessionId session;
  SessionSecret secret{};
  VolumeId volume{};
  std::string volume_name;  ///< for people, as node, mountpoint and pid
  std::string node;
  std::string mountpoint;
  std::uint32_t pid = 0;
  std::string address;  ///< where it last connected from, without port; for the fence command
  std::chrono::milliseconds write_life{0};  ///< Hello::write_life
  /// Everything it held was given away, or is about to be: it may not resume. Kept until it is
  /// fenced.
  bool ended = false;
  std::vector<FileLoss> losses;  ///< by number
};

/// Adds the session, or replaces it but for its losses.
struct PutSession {
  SessionRecord record;
};
/// Sets SessionRecord::ended.
struct EndSessionRecord {
  SessionId session;
};
/// Forgets the session and its losses.
struct DropSession {
  SessionId session;
};
struct PutLoss {
  SessionId session;
  FileLoss loss;
};
/// Forgets the losses up to `upto`.
struct DropLosses {
  SessionId session;
  LossNumber upto;
};
/// The grace period is over: no lease of an earlier life counts any more. Until this is durable,
/// the next life finds `Recovered::empty` as this one did (a restart within the grace of an empty
/// store knows no more than this life did), and the longer `lease_ttl_max`.
struct Settled {};
using StoreChange =
    std::variant<PutSession, EndSessionRecord, DropSession, PutLoss, DropLosses, Settled>;
using StoreChanges = std::vector<StoreChange>;

/// What a starting lockd learns from its store.
struct Recovered {
  /// Of this life: above every earlier one, and durable already.
  Epoch epoch;
  /// Of the life before this one, as far as the store knows; nothing if it was new. A mount that
  /// has seen an epoch between the two shows that the store was put back to an earlier state:
  /// epochs follow the wall clock, so this life's alone would not show it.
  std::optional<Epoch> before{};
  /// The store was new, and no life since has seen its grace period end: nobody knows who held
  /// what.
  bool empty = true;
  /// The longest lease that an earlier life may have promised; at least this life's.
  std::chrono::milliseconds lease_ttl_max{0};
  std::vector<SessionRecord> sessions{};
};

}  // namespace holdfast::lockd
