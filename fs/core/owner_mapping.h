#pragma once
/// Mapped ownership, -o owner=UID:GID: everything on the mount belongs to one owner, and the
/// storage is asked as one identity (docs/identity.md; why: docs/adr/0022). Pure.
///
/// Modes are the storage's own: the identity owns what it makes, and who owns a file may change its
/// mode. Who may do what on the mount is the kernel's to say (default_permissions), by the owner
/// and the mode that are shown; the storage judges the identity besides.
///
/// With keep_owners other owners are kept, in the file's group at the storage, which nobody else
/// needs: an owner may give his file any group he is in, and who asks says which groups those are.
/// So an owner moves, goes and is as coherent as any attribute. A *mark* is such a group:
///
///   bits 31..30: 2 (no allocation of ids reaches that high)   29..15: uid   14..0: gid
///
/// Ids below 32767 and 65534 (nobody, as 32767) can be kept. Files of `owner` have no mark.

#include "fs/backend/types.h"
#include "holdfast/base/result.h"

#include <cstdint>
#include <optional>

namespace holdfast::fs {

struct Owner {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  friend bool operator==(const Owner&, const Owner&) = default;
};

enum class OtherOwners : std::uint8_t { kRefused, kKept };

struct OwnerOptions {
  Owner owner;                    ///< whom everything is said to belong to
  std::optional<Owner> identity;  ///< who asks the storage; else identity_for() says
  std::uint32_t file_mask = 0;    ///< bits of files' modes that are not shown
  std::uint32_t directory_mask = 0;
  OtherOwners others = OtherOwners::kRefused;
};

/// Whom `root`, the mounted directory, belongs to at the storage: it is his to write. A directory
/// of root's is no reason to act as root: then the owner himself.
[[nodiscard]] Owner identity_for(const OwnerOptions& options, const Attributes& root);

class OwnerMapping {
 public:
  /// `identity`: who asks the storage, whatever `options` says.
  OwnerMapping(const OwnerOptions& options, Owner identity)
      : options_(options), identity_(identity) {}

  [[nodiscard]] Owner owner() const { return options_.owner; }
  [[nodiscard]] bool keeps_others() const { return options_.others == OtherOwners::kKept; }
  /// Every call goes out so, but those that make something or change permissions.
  [[nodiscard]] Credentials identity() const { return {identity_.uid, identity_.gid, {}}; }
  /// What the storage said, as the mount shows it. Set-id bits of files only if they are the
  /// identity's and have no mark: whoever sets them elsewhere would set them for our owner, and who
  /// sets a mark at the storage, for root.
  [[nodiscard]] Attributes shown(Attributes stored) const;

  /// As whom the storage is asked to make what `who` makes: new files have their maker's group.
  /// EOVERFLOW: an owner that cannot be kept.
  [[nodiscard]] Result<Credentials> maker(const Credentials& who) const;
  /// What `who` has made in a set-group-ID `directory` has its group, and so perhaps its owner;
  /// that is to be changed then. All attributes as stored.
  [[nodiscard]] std::optional<SetAttributes> after_making(const Credentials& who,
                                                          const Attributes& directory,
                                                          const Attributes& made) const;

  struct Change {
    SetAttributes change;  ///< nothing may be left of it
    Credentials who;
  };
  /// What is to be changed at the storage. `stored`: what the file is now, if keeps_others().
  /// Errors: EPERM: another owner, and none is kept. EOVERFLOW: one that cannot be kept.
  [[nodiscard]] Result<Change> to_storage(SetAttributes change, const Attributes& stored) const;

  /// `wanted` of a file (R_OK, W_OK, X_OK) that the storage's answer to ACCESS leaves out, but
  /// which it will allow: RFC 1813 section 4.4, an owner reads and writes whatever the mode. (The
  /// kernel has let the program in by that mode; or it is root, whom no mode keeps out.)
  [[nodiscard]] std::uint32_t owners_access(const Attributes& stored, std::uint32_t wanted) const;

 private:
  [[nodiscard]] Owner owner_of(const Attributes& stored) const;
  /// The group at the storage that says so.
  [[nodiscard]] std::optional<std::uint32_t> mark(const Owner& owner) const;

  OwnerOptions options_;
  Owner identity_;
};

}  // namespace holdfast::fs
