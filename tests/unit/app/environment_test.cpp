// SPDX-License-Identifier: Apache-2.0
#include "app/environment.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace memwhy::app {
namespace {

constexpr uint64_t bit(int number) { return uint64_t{1} << number; }

std::vector<std::string> missing(uint64_t effective) {
  std::vector<std::string> names;
  for (const Capability& capability : capabilities(effective)) {
    if (!capability.held) names.push_back(capability.name);
  }
  return names;
}

TEST(Capabilities, RootHasAll) { EXPECT_TRUE(missing(~uint64_t{0}).empty()); }

TEST(Capabilities, NobodyHasNone) {
  EXPECT_EQ(missing(0),
            (std::vector<std::string>{"CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH",
                                      "CAP_CHECKPOINT_RESTORE", "CAP_SYS_ADMIN"}));
}

TEST(Capabilities, SysAdminStandsForTheNewerOnes) {
  EXPECT_EQ(missing(bit(21)), (std::vector<std::string>{"CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"}));
}

TEST(Capabilities, TheSmallestSetThatRecords) {
  const uint64_t smallest = bit(39) | bit(38) | bit(19) | bit(2);
  EXPECT_EQ(missing(smallest), (std::vector<std::string>{"CAP_CHECKPOINT_RESTORE", "CAP_SYS_ADMIN"}));
  const auto all = capabilities(smallest);
  const auto fatal =
      std::count_if(all.begin(), all.end(), [](const Capability& c) { return !c.held && c.without.empty(); });
  EXPECT_EQ(fatal, 0);
}

TEST(KernelFeatures, PagesAreFoundByScanOrByTheirFrames) {
  EXPECT_EQ(page_scan_feature(true, true).degraded, "");
  EXPECT_EQ(page_scan_feature(true, false).degraded, "");
  const Feature slower = page_scan_feature(false, true);
  EXPECT_FALSE(slower.fatal);
  EXPECT_NE(slower.degraded.find("slower"), std::string::npos);
  const Feature neither = page_scan_feature(false, false);
  EXPECT_TRUE(neither.fatal);
  EXPECT_NE(neither.degraded.find("CAP_SYS_ADMIN"), std::string::npos);
}

TEST(KernelFeatures, SayWhatThisKernelIs) {
  const auto features = kernel_features();
  const auto named = [&](const std::string& name) {
    return std::find_if(features.begin(), features.end(), [&](const Feature& f) { return f.name == name; });
  };
  ASSERT_NE(named("page size"), features.end());
  EXPECT_EQ(named("page size")->state, "4096");
  EXPECT_FALSE(named("page size")->fatal);
  ASSERT_NE(named("kernel BTF"), features.end());
  EXPECT_EQ(named("kernel BTF")->fatal, named("kernel BTF")->state == "no");
}

}  // namespace
}  // namespace memwhy::app
