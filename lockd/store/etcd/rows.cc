#include "lockd/store/etcd/rows.h"

#include "holdfast/store.pb.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include <fmt/format.h>

namespace holdfast::lockd {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kSumSize = 8;
constexpr std::size_t kIdDigits = 16;
constexpr std::string_view kSessions = "session/";
constexpr std::string_view kLosses = "loss/";

// FNV-1a, 64 bits (its authors' parameters). The rotation keeps sums of nearly equal records from
// cancelling out in the exclusive or.
std::uint64_t checksum(std::string_view key, std::string_view body) {
  std::uint64_t sum = 14695981039346656037ULL;
  const auto take = [&](std::string_view text) {
    for (const char c : text) {
      sum ^= static_cast<std::uint8_t>(c);
      sum *= 1099511628211ULL;
    }
    sum ^= text.size();
    sum *= 1099511628211ULL;
  };
  take(key);
  take(body);
  return std::rotl(sum, 29) * 0x9e3779b97f4a7c15ULL;
}

template <class Message>
std::string seal(std::string_view key, const Message& message) {
  const std::string body = message.SerializeAsString();
  const std::uint64_t sum = checksum(key, body);
  std::string value;
  for (int shift = 56; shift >= 0; shift -= 8)
    value += static_cast<char>(sum >> shift);
  return value + body;
}

template <class Message>
std::optional<Message> unseal(std::string_view key, std::string_view value) {
  if (value.size() < kSumSize) return std::nullopt;
  const std::string_view body = value.substr(kSumSize);
  Message message;
  if (sum_of(value) != checksum(key, body)) return std::nullopt;
  if (!message.ParseFromArray(body.data(), static_cast<int>(body.size()))) return std::nullopt;
  return message;
}

template <std::size_t N>
std::string bytes_of(const std::array<std::uint8_t, N>& from) {
  return {from.begin(), from.end()};
}

template <std::size_t N>
bool take(std::array<std::uint8_t, N>& into, const std::string& bytes) {
  if (bytes.size() != N) return false;
  std::copy(bytes.begin(), bytes.end(), into.begin());
  return true;
}

std::uint64_t count(milliseconds duration) {
  return static_cast<std::uint64_t>(duration.count());
}

std::optional<std::uint64_t> read_id(std::string_view& text) {
  std::uint64_t id = 0;
  if (text.size() < kIdDigits) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + kIdDigits, id, 16);
  if (error != std::errc{} || end != text.data() + kIdDigits) return std::nullopt;
  text.remove_prefix(kIdDigits);
  return id;
}

}  // namespace

std::string EtcdKeys::session(SessionId id) const {
  return fmt::format("{}{}{:016x}", prefix_, kSessions, id.value);
}

std::string EtcdKeys::losses(SessionId id) const {
  return fmt::format("{}{}{:016x}/", prefix_, kLosses, id.value);
}

std::string EtcdKeys::loss(SessionId id, LossNumber number) const {
  return fmt::format("{}{:016x}", losses(id), number.value);
}

std::string EtcdKeys::after(std::string text) {
  ++text.back();  // the slash
  return text;
}

std::optional<EtcdKeys::Name> EtcdKeys::read(std::string_view key) const {
  if (!key.starts_with(prefix_)) return std::nullopt;
  key.remove_prefix(prefix_.size());
  if (key == "meta") return Name{Name::Kind::kMeta, {}, {}};
  if (key == "leader") return Name{Name::Kind::kLeader, {}, {}};
  const bool is_loss = key.starts_with(kLosses);
  if (!is_loss && !key.starts_with(kSessions)) return std::nullopt;
  key.remove_prefix(is_loss ? kLosses.size() : kSessions.size());
  const auto id = read_id(key);
  if (!id) return std::nullopt;
  if (!is_loss) {
    if (!key.empty()) return std::nullopt;
    return Name{Name::Kind::kSession, {*id}, {}};
  }
  if (!key.starts_with('/')) return std::nullopt;
  key.remove_prefix(1);
  const auto number = read_id(key);
  if (!number || !key.empty()) return std::nullopt;
  return Name{Name::Kind::kLoss, {*id}, {*number}};
}

std::uint64_t sum_of(std::string_view value) {
  std::uint64_t sum = 0;
  for (const char c : value.substr(0, kSumSize))
    sum = sum << 8 | static_cast<std::uint8_t>(c);
  return sum;
}

std::string encode(std::string_view key, const EtcdMeta& meta) {
  store::StoredMeta out;
  out.set_format(meta.format);
  out.set_epoch(meta.epoch.value);
  out.set_empty(meta.empty);
  out.set_lease_ttl_ms_max(count(meta.lease_ttl_max));
  out.set_rows(meta.rows);
  out.set_digest(meta.digest);
  out.set_writes(meta.writes);
  return seal(key, out);
}

std::string encode(std::string_view key, const EtcdLeader& leader) {
  store::StoredLeader out;
  out.set_process(leader.process);
  out.set_life(leader.life);
  out.set_name(leader.name);
  out.set_ttl_ms(count(leader.ttl));
  out.set_resigned(leader.resigned);
  return seal(key, out);
}

std::string encode(std::string_view key, const SessionRecord& record) {
  store::StoredSession out;
  out.set_secret(bytes_of(record.secret));
  out.set_volume(bytes_of(record.volume));
  out.set_volume_name(record.volume_name);
  out.set_node(record.node);
  out.set_mountpoint(record.mountpoint);
  out.set_pid(record.pid);
  out.set_address(record.address);
  out.set_write_life_ms(count(record.write_life));
  out.set_ended(record.ended);
  out.set_quiet(static_cast<std::uint32_t>(record.quiet));
  out.set_break_everything(record.breaks.everything);
  for (const FileKey& file : record.breaks.files) {
    store::StoredFile& one = *out.add_break_files();
    one.set_fileid(file.fileid);
    one.set_handle_hash(file.handle_hash);
  }
  return seal(key, out);
}

std::string encode(std::string_view key, const FileLoss& loss) {
  store::StoredLoss out;
  out.set_fileid(loss.file.fileid);
  out.set_handle_hash(loss.file.handle_hash);
  return seal(key, out);
}

std::optional<EtcdMeta> decode_meta(std::string_view key, std::string_view value) {
  const auto in = unseal<store::StoredMeta>(key, value);
  if (!in || in->format() == 0) return std::nullopt;
  EtcdMeta out;
  out.format = in->format();
  if (out.format > kEtcdFormat) return out;
  out.epoch = {in->epoch()};
  out.empty = in->empty();
  out.lease_ttl_max = milliseconds(in->lease_ttl_ms_max());
  out.rows = in->rows();
  out.digest = in->digest();
  out.writes = in->writes();
  return out;
}

std::optional<EtcdLeader> decode_leader(std::string_view key, std::string_view value) {
  const auto in = unseal<store::StoredLeader>(key, value);
  if (!in || in->process().empty() || in->ttl_ms() == 0) return std::nullopt;
  EtcdLeader out;
  out.process = in->process();
  out.life = in->life();
  out.name = in->name();
  out.ttl = milliseconds(in->ttl_ms());
  out.resigned = in->resigned();
  return out;
}

std::optional<SessionRecord> decode_session(SessionId id, std::string_view key,
                                            std::string_view value) {
  const auto in = unseal<store::StoredSession>(key, value);
  if (!in) return std::nullopt;
  SessionRecord out;
  out.session = id;
  if (!take(out.secret, in->secret()) || !take(out.volume, in->volume())) return std::nullopt;
  out.volume_name = in->volume_name();
  out.node = in->node();
  out.mountpoint = in->mountpoint();
  out.pid = in->pid();
  out.address = in->address();
  out.write_life = milliseconds(in->write_life_ms());
  out.ended = in->ended();
  if (in->quiet() > static_cast<std::uint32_t>(Quiet::kFenced)) return std::nullopt;
  out.quiet = static_cast<Quiet>(in->quiet());
  out.breaks.everything = in->break_everything();
  for (const store::StoredFile& file : in->break_files())
    out.breaks.files.insert({file.fileid(), file.handle_hash()});
  return out;
}

std::optional<FileLoss> decode_loss(LossNumber number, std::string_view key,
                                    std::string_view value) {
  const auto in = unseal<store::StoredLoss>(key, value);
  if (!in) return std::nullopt;
  FileLoss out;
  out.number = number;
  out.file.fileid = in->fileid();
  out.file.handle_hash = in->handle_hash();
  return out;
}

}  // namespace holdfast::lockd
