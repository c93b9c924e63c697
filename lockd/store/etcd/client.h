#pragma once
/// Calls to etcd, over gRPC. Blocking, each with a time limit. Private to lockd/store/etcd.
///
/// Thread: one at a time; each thread that calls has a client of its own. A call goes to the member
/// that answered last; if that one does not, to the next, once around within the limit. So a call
/// may be carried out more than once: all that are made here are idempotent.

#include "etcd/rpc.pb.h"
#include "lockd/store/etcd/location.h"

#include <chrono>
#include <memory>
#include <string>

#include <boost/system/result.hpp>

namespace holdfast::lockd {

struct EtcdError {
  enum class Kind {
    kUnreachable,  ///< no answer in time, or no quorum: the outcome is unknown
    kCredentials,  ///< user or password refused
    kDenied,       ///< the user may not use these keys
    kFull,         ///< etcd's quota: nothing was changed
    kOther,        ///< it answered that it will not do this: nothing was changed
  };
  Kind kind = Kind::kOther;
  std::string text;  ///< etcd's or gRPC's words, and of which member
};

class EtcdClient {
 public:
  template <class T>
  using Answer = boost::system::result<T, EtcdError>;

  explicit EtcdClient(const EtcdOptions& options);
  ~EtcdClient();
  EtcdClient(const EtcdClient&) = delete;
  EtcdClient& operator=(const EtcdClient&) = delete;

  [[nodiscard]] Answer<etcdserverpb::RangeResponse> range(const etcdserverpb::RangeRequest& request,
                                                          std::chrono::milliseconds limit);
  [[nodiscard]] Answer<etcdserverpb::TxnResponse> txn(const etcdserverpb::TxnRequest& request,
                                                      std::chrono::milliseconds limit);
  /// Forgets all versions of all keys that are older than `revision`, but the latest of each.
  [[nodiscard]] Answer<etcdserverpb::CompactionResponse> compact(std::int64_t revision,
                                                                 std::chrono::milliseconds limit);

 private:
  struct Link;
  template <class Response, class Call>
  Answer<Response> call(std::chrono::milliseconds limit, Call one);
  std::unique_ptr<Link> link_;
};

}  // namespace holdfast::lockd
