// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics.h"

#include <gtest/gtest.h>

namespace memwhy::agent {
namespace {

std::string text(bool open_metrics) {
  Exposition out(open_metrics);
  out.family("x_triggers", Kind::kCounter, "Triggers.");
  out.sample({{"unit", "a\"b\\c\nd\xff"}, {"trigger", "growth"}}, 3);
  out.one("x_bytes", Kind::kGauge, "Bytes.", 1.5, "bytes");
  return out.finish();
}

TEST(ExpositionTest, AsPrometheusReadsIt) {
  EXPECT_EQ(text(false),
            "# HELP x_triggers_total Triggers.\n# TYPE x_triggers_total counter\n"
            "x_triggers_total{unit=\"a\\\"b\\\\c\\nd?\",trigger=\"growth\"} 3\n"
            "# HELP x_bytes Bytes.\n# TYPE x_bytes gauge\nx_bytes 1.5\n");
}

TEST(ExpositionTest, AsOpenMetricsHasIt) {
  EXPECT_EQ(text(true),
            "# HELP x_triggers Triggers.\n# TYPE x_triggers counter\n"
            "x_triggers_total{unit=\"a\\\"b\\\\c\\nd?\",trigger=\"growth\"} 3\n"
            "# HELP x_bytes Bytes.\n# TYPE x_bytes gauge\n# UNIT x_bytes bytes\nx_bytes 1.5\n# EOF\n");
}

TEST(FoldTest, TheSmallestAreOthers) {
  const auto labels = fold({{"a", 3}, {"b", 1}, {"c", 2}}, 2);
  EXPECT_EQ(labels.at("a"), "a");
  EXPECT_EQ(labels.at("c"), "c");
  EXPECT_EQ(labels.at("b"), "__other__");
}

}  // namespace
}  // namespace memwhy::agent
