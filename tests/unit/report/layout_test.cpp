// SPDX-License-Identifier: Apache-2.0
#include "report/layout.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace memwhy::report {
namespace {

TEST(Layout, SharesOfThirdsSumToAHundred) {
  EXPECT_EQ(permille({1, 1, 1}), (std::vector<uint64_t>{334, 333, 333}));
  EXPECT_EQ(permille({0, 0}), (std::vector<uint64_t>{0, 0}));
  EXPECT_EQ(permille({7}), (std::vector<uint64_t>{1000}));
}

TEST(Layout, WhatIsPrintedAddsUp) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 1000; ++round) {
    std::vector<uint64_t> bytes(1 + random() % 20);
    for (uint64_t& each : bytes) each = (random() % (uint64_t{1} << (12 + random() % 28))) & ~uint64_t{4095};
    uint64_t total = std::accumulate(bytes.begin(), bytes.end(), uint64_t{0});
    Unit unit = unit_for(total);
    std::vector<uint64_t> shown = tenths(bytes, unit.bytes);
    EXPECT_EQ(std::accumulate(shown.begin(), shown.end(), uint64_t{0}),
              (total * 10 + unit.bytes / 2) / unit.bytes);
    for (size_t i = 0; i < bytes.size(); ++i) {
      EXPECT_LE(shown[i], bytes[i] * 10 / unit.bytes + 1);  // each is off by less than a tenth
      EXPECT_GE(shown[i], bytes[i] * 10 / unit.bytes);
    }
  }
}

TEST(Layout, Units) {
  EXPECT_EQ(unit_for(9 << 20).name, "KiB");
  EXPECT_EQ(unit_for(10 << 20).name, "MiB");
  EXPECT_EQ(unit_for(uint64_t{200} << 30).name, "GiB");
  EXPECT_EQ(tenths_text(3012), "301.2");
  EXPECT_EQ(tenths_text(4), "0.4");
}

TEST(Layout, ParagraphsBreakAtSpacesAndHang) {
  std::string words;
  for (int i = 0; i < 30; ++i) words += "word ";
  std::string out = paragraph("  head  ", words);
  EXPECT_EQ(out.substr(0, 12), "  head  word");
  size_t line = 0;
  for (size_t at = 0; at < out.size(); at = out.find('\n', at) + 1, ++line) {
    EXPECT_LE(out.find('\n', at) - at, kWidth);
    if (line > 0) {
      EXPECT_EQ(out.substr(at, 12), "        word");
    }
  }
  EXPECT_EQ(line, 3u);
  EXPECT_EQ(paragraph("x ", std::string(200, 'y')), "x " + std::string(200, 'y') + "\n");
}

}  // namespace
}  // namespace memwhy::report
