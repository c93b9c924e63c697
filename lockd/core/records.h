#pragma once
/// What lockd keeps on stable storage (docs/adr/0008): who its sessions are and what each lost.
/// Never locks: clients hold those and tell them again after a restart. Plain data.
///
/// A record is durable before anything that follows from it is visible: PutSession before the
/// Welcome, PutLoss and EndSessionRecord before the locks are given away (RFC 8881 section 8.4.3,
/// the two edge conditions).

#include "holdfast/lock/message.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::lockd {

/// What is known for sure about a session that is not live. While it is kNo in the store, it must
/// be taken for live: its lease may run for as long after a restart as it may have been promised.
enum class Quiet : std::uint8_t {
  kNo = 0,
  kWaited = 1,  ///< its lease was over, and every write of it had taken effect, before a lockd died
  kFenced = 2,  ///< it was fenced, in whatever way Options::fence asked for
};

/// What an administrator ordered to be taken away when the lease is over.
struct BreakOrder {
  bool everything = false;
  std::set<FileKey> files;
  [[nodiscard]] bool given() const { return everything || !files.empty(); }
  friend bool operator==(const BreakOrder&, const BreakOrder&) = default;
};

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
  Quiet quiet = Quiet::kNo;
  BreakOrder breaks{};
  bool compare_name = true;      ///< Identity::compare_name; not stored: true in another life
  std::vector<FileLoss> losses;  ///< by number
};

/// Adds the session, or replaces all of it but its losses.
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
