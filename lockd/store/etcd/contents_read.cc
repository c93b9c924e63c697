#include "lockd/store/etcd/contents_read.h"

#include "lockd/store/etcd/failure.h"

#include <fmt/format.h>

namespace holdfast::lockd {
namespace {

constexpr std::int64_t kPage = 512;  // keys a request: their size is bounded (etcd limits answers)

using Failed = std::optional<wire::StartFailure>;

class Reader {
 public:
  Reader(const EtcdKeys& keys, const EtcdLocation& where) : keys_(keys), where_(where) {}

  Failed take(const std::string& key, const std::string& value) {
    const auto name = keys_.read(key);
    if (!name) return etcd_foreign(where_, key);
    switch (name->kind) {
      case EtcdKeys::Name::Kind::kLeader:
        return std::nullopt;  // campaign() judged it
      case EtcdKeys::Name::Kind::kMeta:
        return take_meta(key, value);
      case EtcdKeys::Name::Kind::kSession: {
        const auto record = decode_session(name->session, key, value);
        if (!record) return bad(key);
        // Losses come before sessions: "loss/" < "session/".
        auto losses = std::move(found_.state.contents.sessions[name->session].losses);
        found_.state.contents.sessions[name->session] = *record;
        found_.state.contents.sessions[name->session].losses = std::move(losses);
        ++sessions_;
        break;
      }
      case EtcdKeys::Name::Kind::kLoss: {
        const auto loss = decode_loss(name->number, key, value);
        if (!loss) return bad(key);
        found_.state.contents.sessions[name->session].losses.push_back(*loss);
        break;
      }
    }
    ++rows_;
    digest_ ^= sum_of(value);
    return std::nullopt;
  }

  Failed finish() {
    if (!found_.meta_value) {
      if (rows_ == 0) return std::nullopt;
      return etcd_damaged(where_, "the record of its epoch is missing");
    }
    const EtcdMeta& meta = found_.state.meta;
    const bool orphans = sessions_ != found_.state.contents.sessions.size();
    if (rows_ != meta.rows || digest_ != meta.digest || orphans) {
      return etcd_damaged(where_, fmt::format("it should hold {} records and holds {}{}", meta.rows,
                                              rows_, rows_ == meta.rows ? ", not the same" : ""));
    }
    return std::nullopt;
  }

  EtcdFound found() { return std::move(found_); }

 private:
  Failed bad(const std::string& key) const {
    return etcd_damaged(where_, fmt::format("the value of {} does not match its checksum, or is "
                                            "somebody else's",
                                            key));
  }
  Failed take_meta(const std::string& key, const std::string& value) {
    const auto meta = decode_meta(key, value);
    if (!meta) return bad(key);
    if (meta->format > kEtcdFormat) return etcd_newer(where_, meta->format);
    found_.state.meta = *meta;
    found_.state.contents.epoch = meta->epoch;
    found_.state.contents.empty = meta->empty;
    found_.state.contents.lease_ttl_max = meta->lease_ttl_max;
    found_.meta_value = value;
    return std::nullopt;
  }

  const EtcdKeys& keys_;
  const EtcdLocation& where_;
  EtcdFound found_;
  std::uint64_t rows_ = 0;
  std::uint64_t sessions_ = 0;
  std::uint64_t digest_ = 0;
};

}  // namespace

EtcdRead read_all(EtcdClient& client, const EtcdKeys& keys, const EtcdLocation& where,
                  std::chrono::milliseconds limit) {
  Reader reader(keys, where);
  etcdserverpb::RangeRequest request;
  request.set_key(keys.prefix());
  request.set_range_end(keys.end());
  request.set_limit(kPage);
  for (;;) {
    const auto page = client.range(request, limit);
    if (!page) return page.error();
    for (const auto& one : page->kvs()) {
      if (auto failed = reader.take(one.key(), one.value())) return *std::move(failed);
    }
    if (!page->more() || page->kvs_size() == 0) break;
    request.set_key(page->kvs(page->kvs_size() - 1).key() + '\0');
  }
  if (auto failed = reader.finish()) return *std::move(failed);
  return reader.found();
}

}  // namespace holdfast::lockd
