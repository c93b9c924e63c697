#include "holdfast/metrics/families.h"

#include "holdfast/base/assert.h"

#include <limits>

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace holdfast::metrics {
namespace {

using Seconds = std::chrono::duration<double>;

prometheus::MetricType type_of(Families::Kind kind) {
  switch (kind) {
    case Families::Kind::kCounter:
      return prometheus::MetricType::Counter;
    case Families::Kind::kGauge:
      return prometheus::MetricType::Gauge;
    case Families::Kind::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric with(const Labels& labels) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : labels)
    metric.label.push_back({name, value});
  return metric;
}

}  // namespace

struct Families::Inner {
  std::vector<prometheus::MetricFamily> families;  // in the order they were declared
  std::map<std::string, std::size_t> by_name;

  prometheus::MetricFamily& of(const std::string& name) {
    const auto at = by_name.find(name);
    HOLDFAST_ASSERT(at != by_name.end(), "a metric is declared before it is set");
    return families[at->second];
  }
};

Families::Families() : inner_(std::make_unique<Inner>()) {}
Families::~Families() = default;

void Families::declare(Kind kind, const std::string& name, const std::string& help) {
  inner_->by_name.emplace(name, inner_->families.size());
  inner_->families.push_back({name, help, type_of(kind), {}});
}

void Families::set(const std::string& name, double value, const Labels& labels) {
  auto& family = inner_->of(name);
  prometheus::ClientMetric metric = with(labels);
  if (family.type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(std::move(metric));
}

void Families::set(const std::string& name, const Histogram& value, const Labels& labels) {
  prometheus::ClientMetric metric = with(labels);
  auto& out = metric.histogram;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    below += value.buckets[i];
    const double bound = i < Histogram::kBounds.size() ? Seconds(Histogram::kBounds[i]).count()
                                                       : std::numeric_limits<double>::infinity();
    out.bucket.push_back({below, bound});
  }
  out.sample_count = below;
  out.sample_sum = Seconds(value.sum).count();
  inner_->of(name).metric.push_back(std::move(metric));
}

std::string Families::text() const {
  return prometheus::TextSerializer().Serialize(inner_->families);
}

}  // namespace holdfast::metrics
