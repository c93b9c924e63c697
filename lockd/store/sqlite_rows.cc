#include "lockd/store/sqlite_rows.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>

#include <fmt/format.h>

namespace holdfast::lockd {

const char* const kSchema = R"sql(
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL,
  empty INTEGER NOT NULL,
  lease_ttl_ms_max INTEGER NOT NULL,
  row_count INTEGER NOT NULL,
  digest INTEGER NOT NULL,
  sum INTEGER NOT NULL) STRICT;
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY,
  secret BLOB NOT NULL,
  volume BLOB NOT NULL,
  volume_name TEXT NOT NULL,
  node TEXT NOT NULL,
  mountpoint TEXT NOT NULL,
  pid INTEGER NOT NULL,
  address TEXT NOT NULL,
  write_life_ms INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  sum INTEGER NOT NULL,
  quiet INTEGER NOT NULL DEFAULT 0,
  breaks TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE losses (
  session INTEGER NOT NULL,
  number INTEGER NOT NULL,
  fileid INTEGER NOT NULL,
  handle_hash INTEGER NOT NULL,
  sum INTEGER NOT NULL,
  PRIMARY KEY (session, number)) STRICT, WITHOUT ROWID;
)sql";

const char* const kFromFormat1 = R"sql(
ALTER TABLE sessions ADD COLUMN quiet INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN breaks TEXT NOT NULL DEFAULT '';
)sql";

namespace {

// FNV-1a, 64 bits (its authors' parameters), over fields that cannot run into each other. The
// rotation at the end keeps sums of nearly equal rows from cancelling out in the exclusive or.
class Sum {
 public:
  explicit Sum(std::string_view kind) { *this << kind; }
  Sum& operator<<(std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8)
      byte(static_cast<std::uint8_t>(value >> shift));
    return *this;
  }
  Sum& operator<<(std::string_view text) {
    *this << std::uint64_t{text.size()};
    for (const char c : text)
      byte(static_cast<std::uint8_t>(c));
    return *this;
  }
  [[nodiscard]] std::uint64_t value() const {
    const std::uint64_t mixed = (state_ ^ (state_ >> 32)) * 0x9e3779b97f4a7c15ULL;
    return mixed ^ std::rotl(mixed, 29);
  }

 private:
  void byte(std::uint8_t one) { state_ = (state_ ^ one) * 0x100000001b3ULL; }
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

std::uint64_t milliseconds(std::chrono::milliseconds value) {
  return static_cast<std::uint64_t>(value.count());
}

template <std::size_t N>
std::string_view view(const std::array<std::uint8_t, N>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
template <std::size_t N>
void assign(std::array<std::uint8_t, N>& to, std::string_view bytes) {
  if (bytes.size() != to.size()) throw Damaged("a key of the wrong length");
  std::copy(bytes.begin(), bytes.end(), to.begin());
}

std::uint64_t sum_of(const MetaRow& row) {
  Sum sum("meta");
  sum << row.epoch.value << std::uint64_t{row.empty} << milliseconds(row.lease_ttl_max) << row.rows
      << row.digest;
  return sum.value();
}

// "all", or the files as hexadecimal fileid:handle_hash, each ended by a space.
std::string text_of(const BreakOrder& order) {
  if (order.everything) return "all";
  std::string text;
  for (const FileKey& file : order.files)
    text += fmt::format("{:x}:{:x} ", file.fileid, file.handle_hash);
  return text;
}

std::uint64_t next_hexadecimal(std::string_view& text, char end) {
  std::uint64_t value = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  const auto length = static_cast<std::size_t>(stopped - text.data());
  if (error != std::errc{} || length == text.size() || *stopped != end)
    throw Damaged("an order to break that cannot be read");
  text.remove_prefix(length + 1);
  return value;
}

BreakOrder break_order_of(std::string_view text) {
  BreakOrder order;
  order.everything = text == "all";
  if (order.everything) return order;
  while (!text.empty()) {
    FileKey file;
    file.fileid = next_hexadecimal(text, ':');
    file.handle_hash = next_hexadecimal(text, ' ');
    order.files.insert(file);
  }
  return order;
}

std::uint64_t sum_of(const SessionRecord& row) {
  Sum sum("session");
  sum << row.session.value << view(row.secret) << view(row.volume) << row.volume_name << row.node
      << row.mountpoint << std::uint64_t{row.pid} << row.address << milliseconds(row.write_life)
      << std::uint64_t{row.ended};
  if (row.quiet != Quiet::kNo || row.breaks.given())
    sum << static_cast<std::uint64_t>(row.quiet) << text_of(row.breaks);
  return sum.value();
}

std::uint64_t sum_of(SessionId session, const FileLoss& row) {
  Sum sum("loss");
  sum << session.value << row.number.value << row.file.fileid << row.file.handle_hash;
  return sum.value();
}

constexpr const char* kReadSession =
    "SELECT id, secret, volume, volume_name, node, mountpoint, pid, address, write_life_ms, ended, "
    "quiet, breaks, sum FROM sessions";

SessionRecord next_session(Statement& row) {
  SessionRecord out;
  out.session = {row.next_number()};
  assign(out.secret, row.next_bytes());
  assign(out.volume, row.next_bytes());
  out.volume_name = row.next_bytes();
  out.node = row.next_bytes();
  out.mountpoint = row.next_bytes();
  out.pid = static_cast<std::uint32_t>(row.next_number());
  out.address = row.next_bytes();
  out.write_life = std::chrono::milliseconds(row.next_number());
  out.ended = row.next_number() != 0;
  const std::uint64_t quiet = row.next_number();
  if (quiet > static_cast<std::uint64_t>(Quiet::kFenced)) throw Damaged("a state of no session");
  out.quiet = static_cast<Quiet>(quiet);
  out.breaks = break_order_of(row.next_bytes());
  if (row.next_number() != sum_of(out)) {
    throw Damaged(fmt::format("the record of session {:016x} (node \"{}\") does not match its sum",
                              out.session.value, out.node));
  }
  return out;
}

std::optional<SessionRecord> find_session(Sqlite& database, SessionId session) {
  Statement row(database, (std::string(kReadSession) + " WHERE id = ?").c_str());
  row.bind(session.value);
  if (!row.step()) return std::nullopt;
  return next_session(row);
}

// Removes rows of one table and takes them out of the digest. `where` has `keys` as parameters.
void remove(Sqlite& database, MetaRow& meta, const std::string& table_where,
            std::initializer_list<std::uint64_t> keys) {
  Statement old(database, ("SELECT sum FROM " + table_where).c_str());
  Statement gone(database, ("DELETE FROM " + table_where).c_str());
  for (const std::uint64_t key : keys) {
    old.bind(key);
    gone.bind(key);
  }
  while (old.step()) {
    --meta.rows;
    meta.digest ^= old.next_number();
  }
  gone.done();
}

void put(Sqlite& database, MetaRow& meta, const SessionRecord& record) {
  remove(database, meta, "sessions WHERE id = ?", {record.session.value});
  const std::uint64_t sum = sum_of(record);
  Statement row(database, "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  row.bind(record.session.value).bind_blob(view(record.secret)).bind_blob(view(record.volume));
  row.bind_text(record.volume_name).bind_text(record.node).bind_text(record.mountpoint);
  row.bind(record.pid).bind_text(record.address).bind(milliseconds(record.write_life));
  row.bind(std::uint64_t{record.ended}).bind(sum);
  row.bind(static_cast<std::uint64_t>(record.quiet)).bind_text(text_of(record.breaks));
  row.done();
  ++meta.rows;
  meta.digest ^= sum;
}

struct Apply {
  Sqlite& database;
  MetaRow& meta;
  std::chrono::milliseconds lease_ttl;

  void operator()(const PutSession& change) const { put(database, meta, change.record); }
  void operator()(const EndSessionRecord& change) const {
    auto record = find_session(database, change.session);
    if (!record) return;
    record->ended = true;
    put(database, meta, *record);
  }
  void operator()(const DropSession& change) const {
    remove(database, meta, "sessions WHERE id = ?", {change.session.value});
    remove(database, meta, "losses WHERE session = ?", {change.session.value});
  }
  void operator()(const PutLoss& change) const {
    if (!find_session(database, change.session)) return;
    remove(database, meta, "losses WHERE session = ? AND number = ?",
           {change.session.value, change.loss.number.value});
    const std::uint64_t sum = sum_of(change.session, change.loss);
    Statement row(database, "INSERT INTO losses VALUES (?, ?, ?, ?, ?)");
    row.bind(change.session.value).bind(change.loss.number.value);
    row.bind(change.loss.file.fileid).bind(change.loss.file.handle_hash).bind(sum);
    row.done();
    ++meta.rows;
    meta.digest ^= sum;
  }
  void operator()(const DropLosses& change) const {
    remove(database, meta, "losses WHERE session = ? AND number <= ?",
           {change.session.value, change.upto.value});
  }
  void operator()(const Settled&) const {
    meta.empty = false;
    meta.lease_ttl_max = lease_ttl;
  }
};

}  // namespace

MetaRow read_meta(Sqlite& database) {
  Statement row(database,
                "SELECT epoch, empty, lease_ttl_ms_max, row_count, digest, sum FROM meta");
  if (!row.step()) throw Damaged("it has no record of its epoch");
  MetaRow out;
  out.epoch = {row.next_number()};
  out.empty = row.next_number() != 0;
  out.lease_ttl_max = std::chrono::milliseconds(row.next_number());
  out.rows = row.next_number();
  out.digest = row.next_number();
  if (row.next_number() != sum_of(out)) {
    throw Damaged("the record of its epoch does not match its sum");
  }
  return out;
}

void write_meta(Sqlite& database, const MetaRow& meta) {
  Statement row(database, "INSERT OR REPLACE INTO meta VALUES (1, ?, ?, ?, ?, ?, ?)");
  row.bind(meta.epoch.value).bind(std::uint64_t{meta.empty}).bind(milliseconds(meta.lease_ttl_max));
  row.bind(meta.rows).bind(meta.digest).bind(sum_of(meta));
  row.done();
}

void apply(Sqlite& database, MetaRow& meta, const StoreChange& change,
           std::chrono::milliseconds lease_ttl) {
  std::visit(Apply{database, meta, lease_ttl}, change);
}

Recovered read_all(Sqlite& database) {
  const MetaRow meta = read_meta(database);
  Recovered out;
  out.epoch = meta.epoch;
  out.empty = meta.empty;
  out.lease_ttl_max = meta.lease_ttl_max;
  std::uint64_t rows = 0;
  std::uint64_t digest = 0;
  std::unordered_map<SessionId, std::size_t> places;
  Statement session(database, kReadSession);
  while (session.step()) {
    out.sessions.push_back(next_session(session));
    ++rows;
    digest ^= sum_of(out.sessions.back());
  }
  // SQLite would sort the ids as signed numbers.
  std::sort(out.sessions.begin(), out.sessions.end(),
            [](const auto& a, const auto& b) { return a.session < b.session; });
  for (std::size_t i = 0; i < out.sessions.size(); ++i)
    places.emplace(out.sessions[i].session, i);
  Statement loss(database,
                 "SELECT session, number, fileid, handle_hash, sum FROM losses "
                 "ORDER BY session, number");
  while (loss.step()) {
    const SessionId of{loss.next_number()};
    FileLoss one;
    one.number = {loss.next_number()};
    one.file.fileid = loss.next_number();
    one.file.handle_hash = loss.next_number();
    const auto place = places.find(of);
    if (loss.next_number() != sum_of(of, one) || place == places.end()) {
      throw Damaged(
          fmt::format("a record of what session {:016x} lost does not match its sum", of.value));
    }
    out.sessions[place->second].losses.push_back(one);
    ++rows;
    digest ^= sum_of(of, one);
  }
  if (rows != meta.rows || digest != meta.digest) {
    throw Damaged(fmt::format("it should hold {} records and holds {}{}", meta.rows, rows,
                              rows == meta.rows ? ", not the same ones" : ""));
  }
  return out;
}

}  // namespace holdfast::lockd
