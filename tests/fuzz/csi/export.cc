#include "tests/fuzz/csi/export.h"

#include "deploy/csi/core/record.h"
#include "deploy/csi/storage/share_visit.h"
#include "tests/fuzz/csi/must.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

namespace holdfast::csi {

// Instead of deploy/csi/storage/share_visit.cc: the network ends here.
Done visit_share(const Share& share,
                 std::function<boost::asio::awaitable<Done>(fs::Backend&)> work) {
  const auto again = parse_share(server_text(share), share.path);
  fuzz::must(again && *again == share, "what is visited is a share as its own text says it");
  boost::asio::io_context loop(1);
  auto done = boost::asio::co_spawn(loop, work(*fuzz::the_export), boost::asio::use_future);
  loop.run();
  return done.get();
}

namespace fuzz {

Export* the_export = nullptr;

namespace {

constexpr std::size_t kNameMax = 255;

void check_name(const std::string& name) {
  must(!name.empty(), "a name in a directory is a name");
  must(name != "." && name != "..", "no name leads out of its directory");
  must(name.find('/') == std::string::npos && name.find('\0') == std::string::npos,
       "a name is one name");
}

fs::FileHandle handle_of(std::uint64_t id) {
  fs::FileHandle out;
  out.bytes.resize(sizeof id);
  std::memcpy(out.bytes.data(), &id, sizeof id);
  return out;
}

}  // namespace

Export::Export() {
  root_ = std::make_shared<Node>();
  root_->id = 1;
  root_->type = fs::FileType::kDirectory;
  nodes_[root_->id] = root_;
  const NodePtr records = add(*root_, std::string(kRecordsDirectory), fs::FileType::kDirectory);
  add(*records, record_file("pvc-1"), fs::FileType::kRegular)->data =
      to_text({.name = "pvc-1", .directory = "pvc-1"});
  const NodePtr volume = add(*root_, "pvc-1", fs::FileType::kDirectory);
  add(*volume, "data", fs::FileType::kRegular)->data = "precious";
  const NodePtr notes = add(*root_, "notes", fs::FileType::kDirectory);
  add(*notes, "todo", fs::FileType::kRegular)->data = "nobody's";
}

std::optional<std::string> Export::content(const std::vector<std::string>& path) const {
  const Node* at = root_.get();
  for (const std::string& name : path) {
    const auto found = at->children.find(name);
    if (found == at->children.end()) return std::nullopt;
    at = found->second.get();
  }
  return at->data;
}

Export::NodePtr Export::add(Node& directory, const std::string& name, fs::FileType type) {
  auto made = std::make_shared<Node>();
  made->id = nodes_.rbegin()->first + 1;
  made->type = type;
  nodes_[made->id] = made;
  directory.children[name] = made;
  return made;
}

Result<Export::NodePtr> Export::node(const fs::FileHandle& handle) const {
  std::uint64_t id = 0;
  must(handle.bytes.size() == sizeof id, "a handle is one that was given");
  std::memcpy(&id, handle.bytes.data(), sizeof id);
  const auto found = nodes_.find(id);
  must(found != nodes_.end(), "a handle is one that was given");
  return found->second;
}

Result<Export::NodePtr> Export::directory(const fs::FileHandle& handle) const {
  auto found = node(handle);
  if ((*found)->type != fs::FileType::kDirectory) return errno_code(ENOTDIR);
  return found;
}

Result<Export::NodePtr> Export::child(const fs::FileHandle& handle, const std::string& name) const {
  check_name(name);
  const auto parent = directory(handle);
  if (!parent) return parent.error();
  if (name.size() > kNameMax) return errno_code(ENAMETOOLONG);
  const auto found = (*parent)->children.find(name);
  if (found == (*parent)->children.end()) return errno_code(ENOENT);
  return found->second;
}

fs::Entry Export::entry_of(const Node& node) {
  fs::Entry out;
  out.handle = handle_of(node.id);
  out.attributes.type = node.type;
  out.attributes.mode = 0755;
  out.attributes.size = node.data.size();
  out.attributes.fileid = node.id;
  return out;
}

Export::Awaitable<fs::Entry> Export::root() {
  co_return entry_of(*root_);
}

Export::Awaitable<fs::Attributes> Export::getattr(fs::Credentials, fs::FileHandle file) {
  co_return entry_of(**node(file)).attributes;
}

Export::Awaitable<fs::Attributes> Export::setattr(fs::Credentials, fs::FileHandle file,
                                                  fs::SetAttributes) {
  co_return entry_of(**node(file)).attributes;
}

Export::Awaitable<fs::Entry> Export::lookup(fs::Credentials, fs::FileHandle parent,
                                            std::string name) {
  const auto found = child(parent, name);
  if (!found) co_return found.error();
  co_return entry_of(**found);
}

Export::Awaitable<std::uint32_t> Export::access(fs::Credentials, fs::FileHandle,
                                                std::uint32_t wanted) {
  co_return wanted;
}

Export::Awaitable<std::string> Export::readlink(fs::Credentials, fs::FileHandle) {
  co_return errno_code(EINVAL);
}

Export::Awaitable<fs::ReadResult> Export::read(fs::Credentials, fs::FileHandle file,
                                               std::uint64_t offset, std::uint32_t count) {
  const std::string& data = (*node(file))->data;
  const std::size_t from = std::min<std::size_t>(offset, data.size());
  const std::size_t size = std::min<std::size_t>(count, data.size() - from);
  const auto* begin = reinterpret_cast<const std::uint8_t*>(data.data()) + from;
  fs::ReadResult out;
  out.data.assign(begin, begin + size);
  out.eof = from + size == data.size();
  co_return out;
}

Export::Awaitable<fs::WriteResult> Export::write(fs::Credentials, fs::FileHandle file,
                                                 std::uint64_t offset,
                                                 std::span<const std::uint8_t> data,
                                                 fs::Stability stability) {
  std::string& there = (*node(file))->data;
  must(offset + data.size() <= kRecordBytesMax, "a record is short");
  there.resize(std::max<std::size_t>(there.size(), offset + data.size()));
  std::copy(data.begin(), data.end(), there.begin() + static_cast<std::ptrdiff_t>(offset));
  fs::WriteResult out;
  out.count = static_cast<std::uint32_t>(data.size());
  out.committed = stability;
  co_return out;
}

Export::Awaitable<fs::CommitResult> Export::commit(fs::Credentials, fs::FileHandle, std::uint64_t,
                                                   std::uint32_t) {
  co_return fs::CommitResult{};
}

Export::Awaitable<fs::Entry> Export::create(fs::Credentials, fs::FileHandle parent,
                                            std::string name, fs::CreateMode mode,
                                            fs::SetAttributes) {
  const auto there = child(parent, name);
  if (there && mode == fs::CreateMode::kExclusive) co_return errno_code(EEXIST);
  if (there) co_return entry_of(**there);
  if (there.error() != errno_code(ENOENT)) co_return there.error();
  co_return entry_of(*add(**node(parent), name, fs::FileType::kRegular));
}

Export::Awaitable<fs::Entry> Export::mkdir(fs::Credentials, fs::FileHandle parent, std::string name,
                                           fs::SetAttributes) {
  const auto there = child(parent, name);
  if (there) co_return errno_code(EEXIST);
  if (there.error() != errno_code(ENOENT)) co_return there.error();
  co_return entry_of(*add(**node(parent), name, fs::FileType::kDirectory));
}

Export::Awaitable<fs::Entry> Export::symlink(fs::Credentials, fs::FileHandle, std::string,
                                             std::string) {
  must(false, "the controller makes no links");
  co_return errno_code(EPERM);
}

Export::Awaitable<fs::Entry> Export::mknod(fs::Credentials, fs::FileHandle, std::string,
                                           fs::FileType, fs::SetAttributes, std::uint32_t,
                                           std::uint32_t) {
  must(false, "the controller makes no devices");
  co_return errno_code(EPERM);
}

Export::Awaitable<fs::Attributes> Export::link(fs::Credentials, fs::FileHandle file,
                                               fs::FileHandle parent, std::string name) {
  const auto there = child(parent, name);
  if (there) co_return errno_code(EEXIST);
  if (there.error() != errno_code(ENOENT)) co_return there.error();
  (*node(parent))->children[name] = *node(file);
  co_return entry_of(**node(file)).attributes;
}

Export::Awaitable<fs::Removed> Export::remove(fs::Credentials, fs::FileHandle parent,
                                              std::string name) {
  const auto there = child(parent, name);
  if (!there) co_return there.error();
  if ((*there)->type == fs::FileType::kDirectory) co_return errno_code(EISDIR);
  (*node(parent))->children.erase(name);
  co_return fs::Removed{};
}

Export::Awaitable<void> Export::rmdir(fs::Credentials, fs::FileHandle parent, std::string name) {
  const auto there = child(parent, name);
  if (!there) co_return there.error();
  if ((*there)->type != fs::FileType::kDirectory) co_return errno_code(ENOTDIR);
  if (!(*there)->children.empty()) co_return errno_code(ENOTEMPTY);
  (*node(parent))->children.erase(name);
  co_return boost::system::in_place_value;
}

Export::Awaitable<void> Export::rename(fs::Credentials, fs::FileHandle from, std::string from_name,
                                       fs::FileHandle to, std::string to_name) {
  const auto moved = child(from, from_name);
  if (!moved) co_return moved.error();
  const auto there = child(to, to_name);
  if (there && !(*there)->children.empty()) co_return errno_code(ENOTEMPTY);
  if (!there && there.error() != errno_code(ENOENT)) co_return there.error();
  const NodePtr what = *moved;
  (*node(from))->children.erase(from_name);
  (*node(to))->children[to_name] = what;
  co_return boost::system::in_place_value;
}

// All of it in one page: the fuzzer's directories are small.
Export::Awaitable<fs::DirectoryPage> Export::readdir(fs::Credentials, fs::FileHandle parent,
                                                     std::uint64_t cookie, std::uint64_t,
                                                     std::uint32_t) {
  const auto found = directory(parent);
  if (!found) co_return found.error();
  fs::DirectoryPage out;
  out.eof = true;
  std::uint64_t number = 0;
  for (const auto& [name, one] : (*found)->children) {
    if (++number <= cookie) continue;
    fs::DirectoryEntry entry;
    entry.fileid = one->id;
    entry.name = name;
    entry.cookie = number;
    entry.entry = entry_of(*one);
    out.entries.push_back(std::move(entry));
  }
  co_return out;
}

Export::Awaitable<fs::FilesystemStat> Export::fsstat(fs::Credentials) {
  fs::FilesystemStat out;
  out.available_bytes = ~std::uint64_t{0};
  co_return out;
}

}  // namespace fuzz
}  // namespace holdfast::csi
