#include "fs/fuse/convert.h"
#include "fs/fuse/operations.h"

namespace holdfast::fs {

InodePointer Operations::known(const FileHandle& handle, const Attributes& attributes) {
  const FileKey key{attributes.fileid, handle.hash()};
  return inodes_.find_or_make(handle, [&](NodeId node) {
    return std::make_shared<Inode>(node, handle, key, attributes.type);
  });
}

const LockBook& Inode::book() const {
  static const LockBook kEmpty;
  return book_ ? *book_ : kEmpty;
}

LockBook& Inode::own_book() {
  if (!book_) book_ = std::make_unique<LockBook>();
  return *book_;
}

InodePointer Operations::find_key(const FileKey& file) const {
  return cache_ == nullptr ? nullptr : inodes_.find(file);
}

Attributes Operations::present(const Inode& inode, Attributes attributes) const {
  correct(inode, attributes);
  // The silly name is ours: for everybody else the file has one name less.
  if (inode.silly && attributes.nlink > 0) --attributes.nlink;
  return attributes;
}

Attributes Operations::attributes_of(const Inode& virtual_file) {
  const WalIndex& index = *virtual_file.wal_index;
  Attributes out;
  out.type = FileType::kRegular;
  out.mode = index.mode;
  out.nlink = index.linked ? 1 : 0;
  out.uid = index.uid;
  out.gid = index.gid;
  out.size = index.content.size();
  out.used = out.size;
  // No file of the storage has it: a storage's fileids are far below 2^63 in practice, and two
  // files of one number would only confuse tools that compare them.
  out.fileid = virtual_file.node.value | (std::uint64_t{1} << 63);
  out.atime = out.mtime = out.ctime = index.born;
  return out;
}

// Names are asked for at each use, and answered from what is kept: a name that the kernel keeps
// could only be taken back with its directory locked (docs/filesystem.md, "Kept under a token").
fuse_entry_param Operations::entry_param(Inode& inode, const Attributes& attributes) const {
  inode.kernel_size.told(attributes.size);
  inode.kernel_mtime = attributes.mtime;
  fuse_entry_param entry{};
  entry.ino = inode.node.value;
  entry.attr = to_stat(attributes);
  entry.attr_timeout = attributes_last(inode);
  return entry;
}

void Operations::answer_entry(EntryReply& reply, const InodePointer& inode,
                              const Attributes& attributes) {
  looked_up(inode);
  if (!reply.entry(entry_param(*inode, present(*inode, attributes)))) forget(inode->node, 1);
}

HandlePointer Operations::find_handle(HandleId id) const {
  const auto it = handles_.find(id);
  return it == handles_.end() ? nullptr : it->second;
}

HandlePointer Operations::add_handle(InodePointer inode, Credentials who) {
  auto handle = std::make_shared<Handle>();
  handle->id = HandleId{next_handle_++};
  if (inode->writer) handle->errors = inode->writer->error_cursor();
  handle->inode = std::move(inode);
  handle->who = std::move(who);
  handles_.emplace(handle->id, handle);
  return handle;
}

std::shared_ptr<InodeWriter> Operations::writer_of(const InodePointer& inode) {
  if (!inode->writer) {
    inode->writer = std::make_shared<InodeWriter>(loop_, writes_, budget_, inode->handle);
  }
  if (unstable_.insert(inode).second && unstable_.size() > sweep_unstable_at_) sweep_unstable();
  return inode->writer;
}

ErrorCode Operations::take_poison(Handle& handle) {
  if (!handle.poisoned || std::exchange(handle.poison_reported, true)) return {};
  return errno_code(EIO);
}

void Operations::last_close(const InodePointer& inode) {
  if (inode->opens > 0 || !inode->silly) return;
  start("silly.remove", remove_silly(std::move(*std::exchange(inode->silly, nullptr))));
}

}  // namespace holdfast::fs
