#include "deploy/csi/storage/records.h"

#include "deploy/csi/storage/acting.h"
#include "holdfast/base/log.h"

#include <random>
#include <span>
#include <utility>

#include <fmt/format.h>

namespace asio = boost::asio;

namespace holdfast::csi {
namespace {

constexpr std::uint32_t kDirectoryMode = 0700;
constexpr std::uint32_t kFileMode = 0600;

Storage<Record> read_file(fs::Backend& backend, fs::Entry file) {
  const auto call = [&](fs::Credentials who) {
    return backend.read(std::move(who), file.handle, 0, kRecordBytesMax + 1);
  };
  auto bytes = co_await as_one_of<fs::ReadResult>(root_or_owner(file), call);
  if (!bytes) co_return bytes.error();
  const std::string text(bytes->data.begin(), bytes->data.end());
  auto record = parse_record(text);
  if (!record) co_return errno_code(EUCLEAN);
  co_return std::move(*record);
}

Storage<void> write_all(fs::Backend& backend, fs::Credentials who, fs::FileHandle file,
                        std::string text) {
  std::span<const std::uint8_t> rest(reinterpret_cast<const std::uint8_t*>(text.data()),
                                     text.size());
  std::uint64_t offset = 0;
  while (!rest.empty()) {
    auto wrote = co_await backend.write(who, file, offset, rest, fs::Stability::kFileSync);
    if (!wrote) co_return wrote.error();
    if (wrote->count == 0 || wrote->count > rest.size() ||
        wrote->committed != fs::Stability::kFileSync)
      co_return errno_code(EIO);
    offset += wrote->count;
    rest = rest.subspan(wrote->count);
  }
  co_return Result<void>();
}

/// Link fails where the name exists, on every server, and shows the file whole or not at all (RFC
/// 1813 section 3.3.15).
Storage<void> give_name(fs::Backend& backend, fs::Credentials who, fs::FileHandle file,
                        fs::Entry records, std::pair<std::string, std::string> names,
                        Existing existing) {
  const auto& [temporary, name] = names;
  if (existing == Existing::kReplace)
    co_return co_await backend.rename(who, records.handle, temporary, records.handle, name);
  auto linked = co_await backend.link(who, file, records.handle, name);
  if (!linked) co_return linked.error();
  co_return Result<void>();
}

Storage<void> write_as(fs::Backend& backend, fs::Credentials who, fs::Entry records, Record record,
                       Existing existing) {
  const std::string name = record_file(record.name);
  const std::string temporary = fmt::format("{}.new-{:08x}", name, std::random_device{}());
  fs::SetAttributes attributes;
  attributes.mode = kFileMode;
  auto file = co_await backend.create(who, records.handle, temporary, fs::CreateMode::kExclusive,
                                      attributes);
  if (!file) co_return file.error();
  auto written = co_await write_all(backend, who, file->handle, to_text(record));
  if (written) {
    const std::pair<std::string, std::string> names(temporary, name);
    written = co_await give_name(backend, who, file->handle, records, names, existing);
  }
  auto removed = co_await backend.remove(who, records.handle, temporary);
  if (!removed && removed.error() != errno_code(ENOENT))
    log::warn("record.leftover", "name={} error=\"{}\"", temporary, removed.error().message());
  co_return written;
}

}  // namespace

Storage<fs::Entry> records_of(fs::Backend& backend, fs::Entry root, Missing missing) {
  const std::string name(kRecordsDirectory);
  fs::SetAttributes attributes;
  attributes.mode = kDirectoryMode;
  if (missing == Missing::kMake) co_return co_await make_in(backend, root, name, attributes);
  auto found = co_await find_in(backend, root, name);
  if (found && found->attributes.type != fs::FileType::kDirectory) co_return errno_code(ENOTDIR);
  co_return found;
}

Storage<Record> read_record(fs::Backend& backend, fs::Entry records, std::string name) {
  auto file = co_await find_in(backend, records, record_file(name));
  if (!file) co_return file.error();
  auto record = co_await read_file(backend, *file);
  if (record && record->name != name) co_return errno_code(EUCLEAN);
  co_return record;
}

Storage<void> write_record(fs::Backend& backend, fs::Entry records, Record record,
                           Existing existing) {
  const auto call = [&](fs::Credentials who) {
    return write_as(backend, std::move(who), records, record, existing);
  };
  co_return co_await as_one_of<void>(root_or_owner(records), call);
}

Storage<void> remove_record(fs::Backend& backend, fs::Entry records, std::string name) {
  co_return co_await remove_file(backend, records, record_file(name));
}

Storage<std::vector<Record>> all_records(fs::Backend& backend, fs::Entry records) {
  std::vector<Record> out;
  std::uint64_t cookie = 0;
  std::uint64_t verifier = 0;
  while (true) {
    auto page = co_await list(backend, records, cookie, verifier);
    if (!page) co_return page.error();
    for (const auto& entry : page->entries) {
      cookie = entry.cookie;
      if (!entry.name.ends_with(kRecordSuffix)) continue;
      auto file = co_await find_in(backend, records, entry.name);
      if (!file && file.error() == errno_code(ENOENT)) continue;
      if (!file) co_return file.error();
      auto record = co_await read_file(backend, *file);
      if (record)
        out.push_back(std::move(*record));
      else if (record.error() != errno_code(EUCLEAN))
        co_return record.error();
    }
    verifier = page->verifier;
    if (page->eof || page->entries.empty()) co_return out;
  }
}

}  // namespace holdfast::csi
