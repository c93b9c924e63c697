#include "deploy/csi/storage/volumes.h"

#include "deploy/csi/storage/acting.h"
#include "deploy/csi/storage/records.h"
#include "deploy/csi/storage/tree.h"
#include "holdfast/base/log.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace asio = boost::asio;

namespace holdfast::csi {
namespace {

constexpr unsigned kArchivesMax = 1000;
constexpr std::size_t kFileNameMax = 255;

Refusal failed(const fs::Backend& backend, const ErrorCode& error, std::string_view what) {
  return to_refusal(error, fmt::format("{}: {}", backend.describe(), what));
}

struct Opened {
  fs::Entry root;
  fs::Entry records;
};
Storage<Opened> open_records(fs::Backend& backend, Missing missing) {
  auto root = co_await backend.root();
  if (!root) co_return root.error();
  auto records = co_await records_of(backend, *root, missing);
  if (!records) co_return records.error();
  co_return Opened{*root, *records};
}

bool endanger(const Record& a, const Record& b) {
  const bool both_stay = a.on_delete == OnDelete::kRetain && b.on_delete == OnDelete::kRetain;
  return !both_stay && overlap(a.directory, b.directory);
}

Done compatible(const Record& there, const Record& wanted, const CapacityRange& range) {
  const auto differs = [&](std::string_view what, std::string is, std::string asked) {
    return Refusal{Code::kAlreadyExists,
                   fmt::format("volume {} exists with {} {}, not {}", printable(wanted.name), what,
                               printable(is), printable(asked))};
  };
  if (there.directory != wanted.directory)
    return differs("directory", there.directory, wanted.directory);
  if (there.on_delete != wanted.on_delete)
    return differs("onDelete", to_string(there.on_delete), to_string(wanted.on_delete));
  if (!fits(there.capacity_bytes, range))
    return differs("bytes", std::to_string(there.capacity_bytes),
                   std::to_string(wanted.capacity_bytes));
  return {};
}

/// Two volumes in one directory: deleting one would take the other's data.
asio::awaitable<Done> check_alone(fs::Backend& backend, Opened opened, Record mine) {
  auto all = co_await all_records(backend, opened.records);
  if (!all) co_return failed(backend, all.error(), "reading the records of volumes");
  for (const auto& other : *all) {
    if (other.name == mine.name || !endanger(mine, other)) continue;
    co_return Refusal{
        Code::kAlreadyExists,
        fmt::format("directory {} overlaps {} of volume {}, and one of them is not onDelete: "
                    "retain; choose another subDir (record: {}/{})",
                    printable(mine.directory), printable(other.directory), printable(other.name),
                    kRecordsDirectory, record_file(other.name))};
  }
  co_return Done();
}

asio::awaitable<Done> make_directory(fs::Backend& backend, fs::Entry root, Parameters parameters) {
  const std::string path = parameters.place.directory;
  auto parent = co_await find_parent(backend, root, path, Missing::kMake);
  if (!parent) co_return failed(backend, parent.error(), "making directories above " + path);
  fs::SetAttributes attributes;
  attributes.mode = parameters.mode;
  auto made = co_await make_in(backend, parent->directory, parent->name, attributes);
  if (!made) co_return failed(backend, made.error(), "making the directory " + path);
  fs::SetAttributes owner;
  if (parameters.uid && made->attributes.uid != *parameters.uid) owner.uid = parameters.uid;
  if (parameters.gid && made->attributes.gid != *parameters.gid) owner.gid = parameters.gid;
  if (!owner.uid && !owner.gid) co_return Done();
  auto changed = co_await change(backend, *made, owner);
  const bool squashed =
      !changed && (changed.error() == errno_code(EPERM) || changed.error() == errno_code(EACCES));
  if (squashed && parameters.giving == Parameters::Giving::kWished) co_return Done();
  if (!changed)
    co_return failed(backend, changed.error(),
                     "giving " + path + " to uid/gid (an export that squashes root refuses that)");
  co_return Done();
}

/// The record under `wanted.name`: the one that is there, or else ours.
asio::awaitable<Answer<Record>> claim_name(fs::Backend& backend, Opened opened, Record wanted,
                                           CapacityRange range) {
  auto there = co_await read_record(backend, opened.records, wanted.name);
  if (!there && there.error() == errno_code(ENOENT)) {
    // A former volume of this name may not have been removed to the end.
    auto removed = co_await remove_tree(backend, opened.records, removal_name(wanted.name));
    if (!removed) co_return failed(backend, removed.error(), "removing a deleted volume");
    auto written = co_await write_record(backend, opened.records, wanted, Existing::kKeep);
    if (written) co_return wanted;
    if (written.error() != errno_code(EEXIST))
      co_return failed(backend, written.error(), "writing the volume's record");
    there = co_await read_record(backend, opened.records, wanted.name);
  }
  if (!there) co_return failed(backend, there.error(), "reading the volume's record");
  auto same = compatible(*there, wanted, range);
  if (!same) co_return same.error();
  co_return *there;
}

/// A claim that came to nothing must not stand in the way of the next one for this directory.
asio::awaitable<void> drop_claim(fs::Backend& backend, Opened opened, Record record) {
  auto removed = co_await remove_record(backend, opened.records, record.name);
  if (!removed)
    log::warn("volume.claim_left", "name={} error=\"{}\"", printable(record.name),
              removed.error().message());
}

/// As much of `name` as leaves a file name; not half a character of UTF-8.
std::string archive_name(const std::string& name, unsigned n) {
  constexpr std::string_view kBefore = "archived-";
  const std::string behind = n == 0 ? "" : fmt::format("-{}", n);
  std::size_t size = std::min(name.size(), kFileNameMax - kBefore.size() - behind.size());
  while (size > 0 && size < name.size() && (static_cast<unsigned char>(name[size]) & 0xc0) == 0x80)
    --size;
  return fmt::format("{}{}{}", kBefore, name.substr(0, size), behind);
}

asio::awaitable<Done> archive(fs::Backend& backend, Opened opened, Record record) {
  auto parent = co_await find_parent(backend, opened.root, record.directory, Missing::kFail);
  if (!parent && parent.error() == errno_code(ENOENT)) co_return Done();
  if (!parent) co_return failed(backend, parent.error(), "finding " + record.directory);
  for (unsigned n = 0; n < kArchivesMax; ++n) {
    const std::string to = archive_name(parent->name, n);
    auto taken = co_await find_in(backend, parent->directory, to);
    if (taken) continue;
    if (taken.error() != errno_code(ENOENT))
      co_return failed(backend, taken.error(), "finding a name for the archive");
    auto moved = co_await move(backend, parent->directory, parent->name, parent->directory, to);
    // Not there: archived already, by a call that did not come to its end.
    if (moved || moved.error() == errno_code(ENOENT)) co_return Done();
    co_return failed(backend, moved.error(), "archiving " + record.directory);
  }
  co_return Refusal{Code::kResourceExhausted,
                    fmt::format("{}: {} archives of {} exist; remove some", backend.describe(),
                                kArchivesMax, printable(record.directory))};
}

asio::awaitable<Done> move_aside(fs::Backend& backend, Opened opened, Record record) {
  const std::string aside = removal_name(record.name);
  auto there = co_await find_in(backend, opened.records, aside);
  if (there)
    co_return Done();  // it was moved; what stands in its place since then is somebody else's
  if (there.error() != errno_code(ENOENT))
    co_return failed(backend, there.error(), "looking for what is being removed");
  auto parent = co_await find_parent(backend, opened.root, record.directory, Missing::kFail);
  if (!parent && parent.error() == errno_code(ENOENT)) co_return Done();
  if (!parent) co_return failed(backend, parent.error(), "finding " + record.directory);
  auto moved = co_await move(backend, parent->directory, parent->name, opened.records, aside);
  if (!moved && moved.error() != errno_code(ENOENT))
    co_return failed(backend, moved.error(), "removing " + record.directory);
  co_return Done();
}

asio::awaitable<Done> part_with(fs::Backend& backend, Opened opened, Record record) {
  switch (record.on_delete) {
    case OnDelete::kDelete:
      co_return co_await move_aside(backend, opened, record);
    case OnDelete::kArchive:
      co_return co_await archive(backend, opened, record);
    case OnDelete::kRetain:
      break;
  }
  co_return Done();
}

}  // namespace

asio::awaitable<Answer<Record>> create_volume(fs::Backend& backend, CreateOrder order) {
  auto capacity = choose_capacity(order.capacity);
  if (!capacity) co_return capacity.error();
  const Record wanted{order.name, order.parameters.place.directory, *capacity,
                      order.parameters.on_delete};
  auto opened = co_await open_records(backend, Missing::kMake);
  if (!opened) co_return failed(backend, opened.error(), "opening the records of volumes");
  auto record = co_await claim_name(backend, *opened, wanted, order.capacity);
  if (!record) co_return record;
  // After the record is there: of two who claim one directory at once, at least one sees the other.
  auto alone = co_await check_alone(backend, *opened, *record);
  if (!alone) {
    co_await drop_claim(backend, *opened, *record);
    co_return alone.error();
  }
  auto made = co_await make_directory(backend, opened->root, order.parameters);
  if (!made) {
    const bool may_work_later = made.error().code == Code::kUnavailable;
    if (!may_work_later) co_await drop_claim(backend, *opened, *record);
    co_return made.error();
  }
  co_return record;
}

asio::awaitable<Done> delete_volume(fs::Backend& backend, std::string name) {
  auto opened = co_await open_records(backend, Missing::kFail);
  if (!opened && opened.error() == errno_code(ENOENT)) co_return Done();
  if (!opened) co_return failed(backend, opened.error(), "opening the records of volumes");
  auto record = co_await read_record(backend, opened->records, name);
  if (!record && record.error() != errno_code(ENOENT))
    co_return failed(backend, record.error(), "reading the volume's record");
  if (record) {
    auto parted = co_await part_with(backend, *opened, *record);
    if (!parted) co_return parted;
    auto removed = co_await remove_record(backend, opened->records, name);
    if (!removed) co_return failed(backend, removed.error(), "removing the volume's record");
  }
  auto removed = co_await remove_tree(backend, opened->records, removal_name(name));
  if (!removed) co_return failed(backend, removed.error(), "removing the volume's data");
  co_return Done();
}

asio::awaitable<Answer<Record>> find_volume_record(fs::Backend& backend, std::string name) {
  auto opened = co_await open_records(backend, Missing::kFail);
  Result<Record> record = errno_code(ENOENT);
  if (!opened && opened.error() != errno_code(ENOENT))
    co_return failed(backend, opened.error(), "opening the records of volumes");
  if (opened) record = co_await read_record(backend, opened->records, name);
  if (record) co_return *record;
  if (record.error() == errno_code(ENOENT))
    co_return Refusal{Code::kNotFound,
                      fmt::format("{}: no volume {}", backend.describe(), printable(name))};
  co_return failed(backend, record.error(), "reading the volume's record");
}

asio::awaitable<Answer<Record>> expand_volume(fs::Backend& backend, std::string name,
                                              CapacityRange capacity) {
  auto wanted = choose_capacity(capacity);
  if (!wanted) co_return wanted.error();
  auto record = co_await find_volume_record(backend, name);
  if (!record) co_return record;
  if (record->capacity_bytes >= *wanted) {
    if (fits(record->capacity_bytes, capacity)) co_return record;
    co_return Refusal{Code::kOutOfRange, "a volume cannot be made smaller"};
  }
  auto opened = co_await open_records(backend, Missing::kFail);
  if (!opened) co_return failed(backend, opened.error(), "opening the records of volumes");
  record->capacity_bytes = *wanted;
  auto written = co_await write_record(backend, opened->records, *record, Existing::kReplace);
  if (!written) co_return failed(backend, written.error(), "writing the volume's record");
  co_return record;
}

asio::awaitable<Answer<std::int64_t>> free_bytes(fs::Backend& backend) {
  const fs::Credentials root{0, 0, {}};
  auto stat = co_await backend.fsstat(root);
  if (!stat) co_return failed(backend, stat.error(), "asking for free space");
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  co_return static_cast<std::int64_t>(std::min(stat->available_bytes, kMax));
}

Refusal to_refusal(const ErrorCode& error, const std::string& what) {
  const std::string text = fmt::format("{}: {}", what, error.message());
  switch (to_errno(error)) {
    case EACCES:
    case EPERM:
    case EROFS:
      return {Code::kPermissionDenied, text};
    case ENOSPC:
    case EDQUOT:
      return {Code::kResourceExhausted, text};
    case ENOTDIR:
    case ENAMETOOLONG:
      return {Code::kInvalidArgument, text};
    case ETIMEDOUT:
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ECANCELED:
      return {Code::kUnavailable, text};
    case EUCLEAN:
      return {Code::kInternal, text + " (a file in .holdfast-csi is damaged)"};
    default:
      return {Code::kInternal, text};
  }
}

}  // namespace holdfast::csi
