#include "fs/core/owner_mapping.h"

#include <cerrno>

namespace holdfast::fs {
namespace {

constexpr std::uint32_t kMark = 0x80000000;
constexpr std::uint32_t kMarkBits = 0xc0000000;
constexpr unsigned kIdBits = 15;
constexpr std::uint32_t kIdMask = (1U << kIdBits) - 1;
constexpr std::uint32_t kNobody = 65534;
constexpr std::uint32_t kNobodyMarked = kIdMask;

std::optional<std::uint32_t> marked(std::uint32_t id) {
  if (id == kNobody) return kNobodyMarked;
  if (id >= kNobodyMarked) return std::nullopt;
  return id;
}

std::uint32_t unmarked(std::uint32_t id) {
  return id == kNobodyMarked ? kNobody : id;
}

}  // namespace

Owner identity_for(const OwnerOptions& options, const Attributes& root) {
  if (options.identity) return *options.identity;
  if (root.uid != 0) return {root.uid, root.gid};
  return options.owner;
}

Owner OwnerMapping::owner_of(const Attributes& stored) const {
  const bool is_marked = keeps_others() && stored.uid == identity_.uid &&
                         stored.gid != identity_.gid && (stored.gid & kMarkBits) == kMark;
  if (!is_marked) return options_.owner;
  return {unmarked((stored.gid >> kIdBits) & kIdMask), unmarked(stored.gid & kIdMask)};
}

std::optional<std::uint32_t> OwnerMapping::mark(const Owner& owner) const {
  if (owner == options_.owner) return identity_.gid;
  const auto uid = marked(owner.uid), gid = marked(owner.gid);
  if (!uid || !gid) return std::nullopt;
  return kMark | (*uid << kIdBits) | *gid;
}

Attributes OwnerMapping::shown(Attributes stored) const {
  constexpr std::uint32_t kSetIds = 06000;
  const Owner owner = owner_of(stored);
  const bool is_ours = stored.uid == identity_.uid && owner == options_.owner;
  if (stored.type == FileType::kDirectory) {
    stored.mode &= ~options_.directory_mask;
  } else if (stored.type != FileType::kSymlink) {  // whose mode nobody looks at
    stored.mode &= ~options_.file_mask;
    if (!is_ours) stored.mode &= ~kSetIds;
  }
  stored.uid = owner.uid;
  stored.gid = owner.gid;
  return stored;
}

Result<Credentials> OwnerMapping::maker(const Credentials& who) const {
  if (!keeps_others()) return identity();
  const auto group = mark({who.uid, who.gid});
  if (!group) return errno_code(EOVERFLOW);
  return Credentials{identity_.uid, *group, {identity_.gid}};
}

std::optional<SetAttributes> OwnerMapping::after_making(const Credentials& who,
                                                        const Attributes& directory,
                                                        const Attributes& made) const {
  constexpr std::uint32_t kSetGroupId = 02000;
  const bool inherited = (directory.mode & kSetGroupId) != 0 && made.gid == directory.gid;
  const auto group = mark({who.uid, owner_of(directory).gid});
  if (!keeps_others() || !inherited || !group || *group == made.gid) return std::nullopt;
  SetAttributes change;
  change.gid = *group;
  return change;
}

Result<OwnerMapping::Change> OwnerMapping::to_storage(SetAttributes change,
                                                      const Attributes& stored) const {
  const Owner now = owner_of(stored);
  const Owner wanted{change.uid.value_or(now.uid), change.gid.value_or(now.gid)};
  if (!keeps_others() && wanted != options_.owner) return errno_code(EPERM);
  change.uid.reset();
  change.gid.reset();
  Change out{change, identity()};
  if (!keeps_others()) return out;
  const auto group = mark(wanted);
  if (!group) return errno_code(EOVERFLOW);
  if (wanted != now) out.change.gid = *group;
  // In both: else chmod would lose the set-group-ID bit (linux: fs/attr.c, setattr_prepare).
  out.who.groups = {stored.gid, *group};
  return out;
}

std::uint32_t OwnerMapping::owners_access(const Attributes& stored, std::uint32_t wanted) const {
  const bool is_ours = stored.uid == identity_.uid && stored.type == FileType::kRegular;
  return is_ours ? wanted : 0;
}

}  // namespace holdfast::fs
