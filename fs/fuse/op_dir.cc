#include "fs/core/listing_loop.h"
#include "fs/fuse/convert.h"
#include "fs/fuse/operations.h"
#include "holdfast/base/log.h"

#include <bit>
#include <deque>

namespace holdfast::fs {
namespace {
/// Cookies of virtual entries, after those of the storage (Linux servers never set the sign bit:
/// their cookies are loff_t).
constexpr std::uint64_t kVirtualCookie = std::uint64_t{1} << 63;
constexpr std::uint32_t kPageBytes = 64 << 10;
}  // namespace

/// One page of the storage's listing is kept between calls: the kernel asks in pieces of its own.
struct Operations::OpenDirectory {
  InodePointer inode;
  Credentials who;
  std::deque<DirectoryEntry> entries;  // what follows `position`
  std::uint64_t position = 0;          // cookie of the last entry given to the kernel
  std::uint64_t verifier = 0;
  std::uint64_t flushed = 0;  // WriteBudget::flushed when the storage was asked
  bool eof = false;
  ListingLoop loop;
};

Operations::Task Operations::opendir(OpenReply reply, Credentials who, NodeId node,
                                     fuse_file_info file) {
  const auto inode = inodes_.find(node);
  if (!inode) co_return reply.error(ESTALE);
  const HandleId id{next_handle_++};
  auto directory = std::make_shared<OpenDirectory>();
  directory->inode = inode;
  directory->who = std::move(who);
  directories_.emplace(id, std::move(directory));
  file.fh = id.value;
  if (!reply.opened(file)) directories_.erase(id);
}

void Operations::releasedir(DoneReply reply, HandleId handle) {
  directories_.erase(handle);
  reply.done();
}

Operations::Awaitable<Result<void>> Operations::fill(std::shared_ptr<OpenDirectory> directory,
                                                     std::uint64_t offset) {
  if ((offset & kVirtualCookie) != 0) {
    directory->entries.clear();
    directory->eof = true;
  } else if (offset != directory->position || offset == 0) {
    directory->entries.clear();  // rewinddir, seekdir
    directory->eof = false;
    directory->loop = {};
    if (offset == 0) directory->verifier = 0;
  }
  directory->position = offset;
  // Found on a former page, whose first entries the kernel has taken.
  if (directory->loop.found()) co_return errno_code(ELOOP);
  if (directory->entries.empty() && !directory->eof) {
    directory->flushed = budget_.flushed;
    const auto page = co_await backend_.readdir(directory->who, directory->inode->handle, offset,
                                                directory->verifier, kPageBytes);
    if (!page) co_return page.error();
    for (const DirectoryEntry& entry : page->entries) {
      if (!directory->loop.meets(entry.cookie)) continue;
      listing_loops(*directory->inode, entry.cookie);
      co_return errno_code(ELOOP);
    }
    directory->entries.assign(page->entries.begin(), page->entries.end());
    directory->verifier = page->verifier;
    directory->eof = page->eof || page->entries.empty();
  }
  if (directory->entries.empty() && directory->eof) {
    const std::uint64_t shown =
        (directory->position & kVirtualCookie) != 0 ? directory->position - kVirtualCookie : 0;
    std::uint64_t number = 0;
    for (const auto& file : virtual_files_in(directory->inode->handle)) {
      if (++number <= shown) continue;
      DirectoryEntry entry;
      entry.fileid = attributes_of(*file).fileid;
      entry.name = file->wal_index->name;
      entry.cookie = kVirtualCookie + number;
      directory->entries.push_back(std::move(entry));
    }
  }
  co_return Result<void>{};
}

void Operations::listing_loops(const Inode& directory, std::uint64_t cookie) {
  if (!std::has_single_bit(++listing_loops_)) return;  // programs ask again and again
  log::warn(
      "fuse.listing_loops",
      "fileid={} cookie={} answer=ELOOP times={} meaning=\"the NFS server lists this directory "
      "round and round; its entries are there, but it does not say where the list ends\"",
      directory.key.fileid, cookie, listing_loops_);
}

Operations::Awaitable<bool> Operations::visible(Credentials who, InodePointer parent,
                                                const DirectoryEntry& entry) {
  if (is_hidden(entry.name)) {
    stray_seen(parent->handle, who, entry.name);
    co_return false;
  }
  if ((entry.cookie & kVirtualCookie) != 0 || !wal_index_database(entry.name)) co_return true;
  // A wal-index that somebody left on the storage is not ours to show, nor to believe.
  const auto found = co_await resolve_virtual(who, parent, entry.name);
  co_return !found || !*found;
}

namespace {

/// Adds one entry to a READDIR or READDIRPLUS answer. False: it does not fit.
class Listing {
 public:
  Listing(fuse_req_t request, std::size_t size) : request_(request), bytes_(size) {}
  bool add(const DirectoryEntry& entry) {
    struct stat st {};
    st.st_ino = entry.fileid;
    if (entry.entry) st.st_mode = to_mode_type(entry.entry->attributes.type);
    return grow(fuse_add_direntry(request_, at(), left(), entry.name.c_str(), &st,
                                  static_cast<off_t>(entry.cookie)));
  }
  bool add(const DirectoryEntry& entry, const fuse_entry_param& param) {
    return grow(fuse_add_direntry_plus(request_, at(), left(), entry.name.c_str(), &param,
                                       static_cast<off_t>(entry.cookie)));
  }
  [[nodiscard]] std::span<const char> bytes() const { return {bytes_.data(), used_}; }

 private:
  char* at() { return bytes_.data() + used_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - used_; }
  bool grow(std::size_t size) {
    if (size > left()) return false;
    used_ += size;
    return true;
  }
  fuse_req_t request_;
  std::vector<char> bytes_;
  std::size_t used_ = 0;
};

}  // namespace

Operations::Task Operations::readdir(DataReply reply, NodeId, HandleId id, std::size_t size,
                                     std::uint64_t offset, fuse_req_t request,
                                     WithAttributes with) {
  const auto found = directories_.find(id);
  if (found == directories_.end()) co_return reply.error(EBADF);
  const auto directory = found->second;
  co_await locks_.wait_entitled();
  Listing listing(request, size);
  // Entries count as looked up only if the kernel takes the answer.
  struct LookedUp {
    Operations& operations;
    std::vector<NodeId> nodes;
    ~LookedUp() {
      for (const NodeId node : nodes)
        operations.forget(node, 1);
    }
  };
  LookedUp looked_up{*this, {}};
  ErrorCode failed;
  for (bool full = false; !full;) {
    const auto filled = co_await fill(directory, offset);
    if (!filled) failed = filled.error();
    if (failed || directory->entries.empty()) break;
    while (!directory->entries.empty() && !full) {
      const DirectoryEntry entry = directory->entries.front();
      const bool shown = co_await visible(directory->who, directory->inode, entry);
      if (shown) {
        fuse_entry_param param{};
        param.attr.st_ino = entry.fileid;
        InodePointer inode;
        if (with == WithAttributes::kYes && entry.entry && entry.name != "." &&
            entry.name != "..") {
          inode = known(entry.entry->handle, entry.entry->attributes);
          const auto attributes = co_await attributes_of_name(
              inode, directory->who, entry.entry->attributes, directory->flushed);
          if (attributes) {
            param = entry_param(*inode, present(*inode, *attributes));
          } else {
            inode = nullptr;  // to be looked up
          }
        }
        full = !(with == WithAttributes::kYes ? listing.add(entry, param) : listing.add(entry));
        if (!full && inode) {
          this->looked_up(inode);
          looked_up.nodes.push_back(inode->node);
        }
      }
      if (full || directory->entries.empty()) break;
      directory->entries.pop_front();
      directory->position = offset = entry.cookie;
    }
  }
  if (failed && listing.bytes().empty()) co_return reply.error(failed);
  if (reply.data(listing.bytes())) looked_up.nodes.clear();
}

}  // namespace holdfast::fs
