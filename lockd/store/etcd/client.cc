#include "lockd/store/etcd/client.h"

#include "etcd/rpc.grpc.pb.h"
#include "holdfast/base/log.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include <fmt/format.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

namespace holdfast::lockd {
namespace {

using std::chrono::milliseconds;
using Kind = EtcdError::Kind;
namespace pb = etcdserverpb;

constexpr milliseconds kAttemptMin{50};

// gRPC would print to stderr in its own way; what matters comes back as a status too.
void quiet_grpc() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function(
        [](gpr_log_func_args* line) { log::debug("etcd.grpc", "message=\"{}\"", line->message); });
  });
}

gpr_timespec in(milliseconds limit) {
  const auto room = gpr_time_from_millis(limit.count(), GPR_TIMESPAN);
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), room);
}

std::shared_ptr<grpc::Channel> connect(const std::string& endpoint, const EtcdSecrets& secrets) {
  grpc::ChannelArguments arguments;
  // Its own connections and its own back-off (default: up to 2 minutes), no proxy from the
  // environment, and no service configuration from DNS.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);  // how long connecting may take
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  if (secrets.ca.empty()) {
    return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
  }
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = secrets.ca;
  tls.pem_cert_chain = secrets.cert;
  tls.pem_private_key = secrets.key;
  return grpc::CreateCustomChannel(endpoint, grpc::SslCredentials(tls), arguments);
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// A token that etcd forgot (a restart, its time to live) or that is older than the latest change of
// users: get another one. Its words are those of etcd 3.4 to 3.6 (rpctypes/error.go).
bool token_is_stale(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
         has(status.error_message(), "revision of auth store is old") ||
         has(status.error_message(), "auth: old revision") ||
         has(status.error_message(), "invalid auth token");
}

Kind kind_of(const grpc::Status& status) {
  const std::string& text = status.error_message();
  switch (status.error_code()) {
    case grpc::StatusCode::UNAUTHENTICATED:
      return Kind::kCredentials;
    case grpc::StatusCode::PERMISSION_DENIED:
      return Kind::kDenied;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return has(text, "space exceeded") ? Kind::kFull : Kind::kUnreachable;
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::FAILED_PRECONDITION:
      if (has(text, "authentication failed") || has(text, "user name is empty") ||
          has(text, "authentication is not enabled")) {
        return Kind::kCredentials;
      }
      return Kind::kOther;
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::UNIMPLEMENTED:
      return Kind::kOther;
    default:  // UNAVAILABLE, DEADLINE_EXCEEDED, and whatever else says nothing about the outcome
      return Kind::kUnreachable;
  }
}

}  // namespace

struct EtcdClient::Link {
  EtcdSecrets secrets;
  struct Member {
    std::string endpoint;
    std::shared_ptr<grpc::Channel> channel;
  };
  std::vector<Member> members;
  std::size_t current = 0;
  std::string token;

  Member& member() { return members[current]; }

  void prepare(grpc::ClientContext& context, milliseconds limit) const {
    context.set_deadline(in(limit));
    if (!token.empty()) context.AddMetadata("token", token);
  }

  // gRPC makes progress with a connection only while somebody waits for it (else every 5 s), and a
  // call does not wait if the last attempt failed. So the wait comes first, for one more attempt.
  grpc::Status connected(milliseconds limit) {
    grpc::Channel& channel = *member().channel;
    const gpr_timespec until = in(limit);
    bool tried = false;
    for (;;) {
      const grpc_connectivity_state state = channel.GetState(true);
      if (state == GRPC_CHANNEL_READY) return grpc::Status::OK;
      // Then the call says why.
      if (state == GRPC_CHANNEL_TRANSIENT_FAILURE && tried) return grpc::Status::OK;
      tried = tried || state == GRPC_CHANNEL_CONNECTING;
      if (!channel.WaitForStateChange(state, until)) {
        return {grpc::StatusCode::UNAVAILABLE, "no connection"};
      }
    }
  }

  grpc::Status authenticate(milliseconds limit) {
    token.clear();
    grpc::ClientContext context;
    prepare(context, limit);
    pb::AuthenticateRequest request;
    request.set_name(secrets.user);
    request.set_password(secrets.password);
    pb::AuthenticateResponse response;
    const auto stub = pb::Auth::NewStub(member().channel);
    const grpc::Status status = stub->Authenticate(&context, request, &response);
    if (status.ok()) token = response.token();
    return status;
  }

  // A member that does not answer is left. A connection that hangs would be kept by gRPC for as
  // long as TCP has patience, also after the network is back: so it is made anew.
  void next_member(const grpc::Status& status) {
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      member().channel = connect(member().endpoint, secrets);
    }
    current = (current + 1) % members.size();
  }
};

EtcdClient::EtcdClient(const EtcdOptions& options) : link_(std::make_unique<Link>()) {
  quiet_grpc();
  link_->secrets = options.secrets;
  for (const std::string& endpoint : options.location.endpoints)
    link_->members.push_back({endpoint, connect(endpoint, link_->secrets)});
}

EtcdClient::~EtcdClient() = default;

template <class Response, class Call>
EtcdClient::Answer<Response> EtcdClient::call(milliseconds limit, Call one) {
  EtcdError error;
  const std::size_t members = link_->members.size();
  const auto each = std::max(limit / static_cast<int>(members), kAttemptMin);
  for (std::size_t tried = 0; tried < members; ++tried) {
    Response response;
    grpc::Status status = link_->connected(each);
    const bool users = !link_->secrets.user.empty();
    if (status.ok() && users && link_->token.empty()) status = link_->authenticate(each);
    if (status.ok()) status = one(each, response);
    if (users && token_is_stale(status)) {
      status = link_->authenticate(each);
      if (status.ok()) status = one(each, response);
    }
    if (status.ok()) return response;
    error.kind = kind_of(status);
    error.text = fmt::format("{} (of {})", status.error_message(), link_->member().endpoint);
    if (error.kind != Kind::kUnreachable) break;
    link_->next_member(status);
  }
  return error;
}

EtcdClient::Answer<pb::RangeResponse> EtcdClient::range(const pb::RangeRequest& request,
                                                        milliseconds limit) {
  return call<pb::RangeResponse>(limit, [&](milliseconds each, pb::RangeResponse& response) {
    grpc::ClientContext context;
    link_->prepare(context, each);
    return pb::KV::NewStub(link_->member().channel)->Range(&context, request, &response);
  });
}

EtcdClient::Answer<pb::TxnResponse> EtcdClient::txn(const pb::TxnRequest& request,
                                                    milliseconds limit) {
  return call<pb::TxnResponse>(limit, [&](milliseconds each, pb::TxnResponse& response) {
    grpc::ClientContext context;
    link_->prepare(context, each);
    return pb::KV::NewStub(link_->member().channel)->Txn(&context, request, &response);
  });
}

EtcdClient::Answer<pb::CompactionResponse> EtcdClient::compact(std::int64_t revision,
                                                               milliseconds limit) {
  pb::CompactionRequest request;
  request.set_revision(revision);
  return call<pb::CompactionResponse>(
      limit, [&](milliseconds each, pb::CompactionResponse& response) {
        grpc::ClientContext context;
        link_->prepare(context, each);
        return pb::KV::NewStub(link_->member().channel)->Compact(&context, request, &response);
      });
}

}  // namespace holdfast::lockd
