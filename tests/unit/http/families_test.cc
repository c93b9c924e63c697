#include "holdfast/metrics/families.h"

#include <gtest/gtest.h>

namespace holdfast::metrics {
namespace {

using namespace std::chrono_literals;

bool has(const std::string& text, const std::string& line) {
  return text.find(line + "\n") != std::string::npos;
}

TEST(Families, AreShownAlsoWithoutAValue) {
  Families families;
  families.declare(Families::Kind::kCounter, "x_total", "Things");
  EXPECT_TRUE(has(families.text(), "# TYPE x_total counter"));
  EXPECT_TRUE(has(families.text(), "# HELP x_total Things"));
}

TEST(Families, LabelsAreEscaped) {
  Families families;
  families.declare(Families::Kind::kGauge, "x", "Things");
  families.set("x", 3, {{"mount", "a\"b\\c\nd"}});
  EXPECT_TRUE(has(families.text(), R"(x{mount="a\"b\\c\nd"} 3)")) << families.text();
}

TEST(Families, BucketsOfAHistogramAreCumulativeSeconds) {
  Families families;
  families.declare(Families::Kind::kHistogram, "x_seconds", "Times");
  Histogram histogram;
  histogram.add(20us);  // at most its bound
  histogram.add(21us);
  histogram.add(1h);
  families.set("x_seconds", histogram);
  const std::string text = families.text();
  EXPECT_TRUE(has(text, R"(x_seconds_bucket{le="2e-05"} 1)")) << text;
  EXPECT_TRUE(has(text, R"(x_seconds_bucket{le="0.0001"} 2)")) << text;
  EXPECT_TRUE(has(text, R"(x_seconds_bucket{le="30"} 2)")) << text;
  EXPECT_TRUE(has(text, R"(x_seconds_bucket{le="+Inf"} 3)")) << text;
  EXPECT_TRUE(has(text, "x_seconds_count 3")) << text;
}

}  // namespace
}  // namespace holdfast::metrics
