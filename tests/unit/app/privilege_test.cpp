// SPDX-License-Identifier: Apache-2.0
#include "app/privilege.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>

namespace memwhy::app {
namespace {

constexpr uint64_t kAll = (uint64_t{1} << 41) - 1;

uint64_t bits(std::initializer_list<unsigned> capabilities) {
  uint64_t sum = 0;
  for (const unsigned capability : capabilities) sum |= uint64_t{1} << capability;
  return sum;
}

TEST(Privileges, WhatEachThreadKeepsOfAll) {
  const PrivilegePlan plan = plan_privileges(kAll, true, false);
  EXPECT_EQ(plan.sampler, bits({CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH,
                                CAP_CHECKPOINT_RESTORE, CAP_KILL}));
  EXPECT_EQ(plan.intake, bits({CAP_BPF, CAP_SYS_ADMIN}));
  EXPECT_EQ(plan.sink, 0U);
  EXPECT_EQ(plan.main, bits({CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_KILL}));
  EXPECT_EQ(plan.of(Worker::kSignals), 0U);
  EXPECT_EQ(plan.told().size(), 7U);
}

TEST(Privileges, FurtherFilesAreMadeWhereOnlyRootMay) {
  EXPECT_EQ(plan_privileges(kAll, true, true).sink, bits({CAP_DAC_OVERRIDE}));
}

TEST(Privileges, AdminStaysWhereItIsWhatIsHeldOrAskedFor) {
  EXPECT_NE(plan_privileges(kAll, false, false).sampler & bits({CAP_SYS_ADMIN}), 0U);
  const uint64_t old = bits({CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_DAC_OVERRIDE});
  EXPECT_EQ(plan_privileges(old, true, false).sampler, old);
}

TEST(Privileges, NothingIsMadeUp) { EXPECT_TRUE(plan_privileges(0, true, true).told().empty()); }

std::string line(const std::string& key) {
  std::ifstream status("/proc/thread-self/status");
  for (std::string text; std::getline(status, text);) {
    if (text.starts_with(key + ":\t")) return text.substr(key.size() + 2);
  }
  return "";
}

TEST(Privileges, AThreadGivesUpItsOwnAndNobodyElses) {
  const std::string before = line("CapEff");
  std::string effective, permitted, news;
  std::thread([&] {
    ASSERT_TRUE(keep_only(0));
    effective = line("CapEff");
    permitted = line("CapPrm");
    news = line("NoNewPrivs");
  }).join();
  EXPECT_EQ(effective, "0000000000000000");
  EXPECT_EQ(permitted, "0000000000000000");
  EXPECT_EQ(news, "1");
  EXPECT_EQ(line("CapEff"), before);
}

}  // namespace
}  // namespace memwhy::app
