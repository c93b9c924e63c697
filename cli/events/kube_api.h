#pragma once
/// One request to Kubernetes' API server, over TLS: a connection for each, since there is one a
/// minute if there is any.
///
/// Thread: one at a time; blocks for at most kRequestMax.

#include "cli/events/event.h"

#include <chrono>
#include <cstdint>
#include <string>

#include <boost/system/result.hpp>

namespace holdfast::cli {

struct ApiPlace {
  std::string host;  ///< number or name; no brackets
  std::string port;
  std::string token_file;  ///< read for each request: Kubernetes replaces it every hour
  std::string ca_file;     ///< likewise
};

struct ApiAnswer {
  unsigned status = 0;
  std::string body;  ///< at most kBodyMax
};

/// Why there is no answer.
struct ApiFailure {
  std::string what;
  std::string hint;
};

class KubeApi {
 public:
  static constexpr std::chrono::seconds kRequestMax{10};
  static constexpr std::size_t kBodyMax = 256 << 10;

  explicit KubeApi(ApiPlace place) : place_(std::move(place)) {}
  [[nodiscard]] boost::system::result<ApiAnswer, ApiFailure> send(const ApiRequest& request) const;

 private:
  ApiPlace place_;
};

/// Of a pod's environment (KUBERNETES_SERVICE_HOST and _PORT) and its service account; empty host:
/// this is no pod.
[[nodiscard]] ApiPlace place_of_this_pod();

}  // namespace holdfast::cli
