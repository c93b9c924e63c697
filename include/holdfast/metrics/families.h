#pragma once
/// Metrics as Prometheus reads them: families of values with a name, a meaning and labels, in the
/// text format that every collector understands. docs/metrics.md has all of ours.
///
/// Thread: one at a time.

#include "holdfast/base/histogram.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Families {
 public:
  Families();
  ~Families();
  Families(const Families&) = delete;
  Families& operator=(const Families&) = delete;

  // A name belongs to one kind. Declared, a family is shown also while it has no value.
  enum class Kind { kCounter, kGauge, kHistogram };
  void declare(Kind kind, const std::string& name, const std::string& help);

  /// Of a declared family.
  void set(const std::string& name, double value, const Labels& labels = {});
  void set(const std::string& name, const Histogram& value, const Labels& labels = {});

  /// Text exposition format, version 0.0.4.
  [[nodiscard]] std::string text() const;
  static constexpr const char* kTextType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Inner;
  std::unique_ptr<Inner> inner_;
};

}  // namespace holdfast::metrics
