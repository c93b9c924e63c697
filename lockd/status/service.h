#pragma once
/// Serves the status page, its JSON and the metrics over HTTP:
///   /  /status.json  /metrics  /healthz (200 while lockd's loop turns)
///
/// Runs on a thread of its own, so that whatever comes from the network there keeps nobody from his
/// locks. It asks lockd's loop for a moment of itself at most once in kFresh, however many ask it.
///
/// Thread: construction, open() and destruction on the loop's thread.

#include "holdfast/http/server.h"
#include "holdfast/wire/start_failure.h"
#include "lockd/status/moment.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace holdfast::lockd::status {

struct StatusOptions {
  std::string address;  ///< as in http::Options
  std::uint16_t port = 0;
  std::vector<std::string> names;
};

class Service {
 public:
  static constexpr std::chrono::milliseconds kFresh{500};
  static constexpr std::chrono::milliseconds kPatience{
      2'000};  ///< with a loop that does not answer

  /// `look` is called on `loop`'s thread.
  Service(boost::asio::io_context& loop, StatusOptions options, std::function<Moment()> look);
  /// Stops serving.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  [[nodiscard]] wire::Started open();
  [[nodiscard]] std::string listening() const;

 private:
  class Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace holdfast::lockd::status
