#include "cli/events/event.h"

#include "holdfast/base/json.h"

#include <ctime>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

constexpr std::string_view kReason = "LockWait";
constexpr std::string_view kAction = "WaitingForLock";
constexpr std::string_view kController = "csi.holdfast.io";
constexpr std::size_t kInstanceMax = 128;

/// MicroTime: RFC 3339 with microseconds.
std::string time_text(std::chrono::microseconds wall) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wall);
  const std::time_t time = seconds.count();
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     (wall - seconds).count());
}

std::string reference(const Pod& pod) {
  return fmt::format(R"({{"apiVersion":"v1","kind":"Pod","namespace":{},"name":{},"uid":{}}})",
                     json_string(pod.ns), json_string(pod.name), json_string(pod.uid));
}

std::string events_of(const Pod& pod) {
  return fmt::format("/apis/events.k8s.io/v1/namespaces/{}/events", pod.ns);
}

}  // namespace

ApiRequest request_for(const Order& order, std::string_view node, std::chrono::microseconds wall) {
  if (order.count > 1) {
    return {.method = "PATCH",
            .target = events_of(order.pod) + "/" + order.name,
            .content_type = "application/merge-patch+json",
            .body = fmt::format(R"({{"series":{{"count":{},"lastObservedTime":"{}"}}}})",
                                order.count, time_text(wall))};
  }
  const std::string related =
      order.told.holder ? R"("related":)" + reference(*order.told.holder) + "," : std::string();
  return {.method = "POST",
          .target = events_of(order.pod),
          .content_type = "application/json",
          .body = fmt::format(
              R"({{"apiVersion":"events.k8s.io/v1","kind":"Event",)"
              R"("metadata":{{"name":{},"namespace":{}}},"eventTime":"{}","type":"Warning",)"
              R"("reason":"{}","action":"{}","reportingController":"{}","reportingInstance":{},)"
              R"("regarding":{},{}"note":{}}})",
              json_string(order.name), json_string(order.pod.ns), time_text(wall), kReason, kAction,
              kController, json_string(fmt::format("holdfast-{}", node).substr(0, kInstanceMax)),
              reference(order.pod), related, json_string(order.told.note))};
}

Outcome outcome_of(const Order& order, unsigned status, std::string_view body) {
  if (status >= 200 && status < 300) return Outcome::kDone;
  // Made already: an answer was lost, and this was the second attempt.
  if (status == 409 && order.count == 1) return Outcome::kDone;
  if (status == 404 && order.count > 1) return Outcome::kGone;  // Events live for an hour, usually
  // RFC 9110 has 403 for both; Kubernetes names the cause.
  if (status == 403 && body.find("NamespaceTerminating") != std::string_view::npos)
    return Outcome::kRefused;
  if (status == 400 || status == 404 || status == 409 || status == 422) return Outcome::kRefused;
  return Outcome::kFailed;
}

std::string_view hint_for(unsigned status) {
  switch (status) {
    case 401:
      return "the service account's token is not accepted: is it that of this cluster?";
    case 403:
      return "its service account may not create and patch events: helm upgrade, or apply the "
             "ClusterRole holdfast-csi-node of the manifests";
    case 429:
      return "the API server is overloaded; it is tried again later";
    default:
      return {};
  }
}

}  // namespace holdfast::cli
