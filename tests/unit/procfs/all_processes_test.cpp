// SPDX-License-Identifier: Apache-2.0
#include "procfs/all_processes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace memwhy::procfs {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;
constexpr uint64_t kPage = 4096;

// A /proc of files: what a process has is what was written last.
class AllProcessesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/memwhy-proc-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    loadavg(100);
    Result<Root> root = Root::open(folder_);
    ASSERT_TRUE(root.ok());
    root_.emplace(*std::move(root));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  void loadavg(int last_pid) const {
    write("loadavg", "0.10 0.20 0.30 1/234 " + std::to_string(last_pid) + "\n");
  }
  void process(int pid, int resident, int shared) const {
    write(std::to_string(pid) + "/statm", fmt(90000, resident, shared));
    write(std::to_string(pid) + "/comm", "web\n");
  }
  void kernel_thread(int pid) const { write(std::to_string(pid) + "/statm", fmt(0, 0, 0)); }
  void leaves(int pid) const { std::filesystem::remove_all(folder_ / std::to_string(pid)); }
  static std::string fmt(int size, int resident, int shared) {
    return std::to_string(size) + " " + std::to_string(resident) + " " + std::to_string(shared) +
           " 4 0 900 0\n";
  }

  std::filesystem::path folder_;
  std::optional<Root> root_;
};

TEST_F(AllProcessesTest, AnonymousIsWhatIsOfNoFile) {
  process(20, 2600, 1100);
  process(7, 50, 60);  // counters of the kernel are not exact
  kernel_thread(2);
  AllProcesses all(*root_, 100);
  const auto& pass = all.pass(kSecond);
  ASSERT_EQ(pass.size(), 2U);
  EXPECT_EQ(pass[0].pid, 7);
  EXPECT_EQ(pass[0].anon_bytes, 0U);
  EXPECT_EQ(pass[1].rss_bytes, 2600 * kPage);
  EXPECT_EQ(pass[1].anon_bytes, 1500 * kPage);
  EXPECT_EQ(all.comm(20), "web");
  EXPECT_EQ(all.comm(21), "");
}

TEST_F(AllProcessesTest, NewOnesAreFoundInTheFifthPass) {
  process(20, 100, 0);
  AllProcesses all(*root_, 100);
  EXPECT_EQ(all.pass(kSecond).size(), 1U);
  process(30, 100, 0);
  loadavg(30);
  for (TimeNs i = 2; i <= 5; ++i) EXPECT_EQ(all.pass(i * kSecond).size(), 1U) << i;
  EXPECT_EQ(all.pass(6 * kSecond).size(), 2U);
}

TEST_F(AllProcessesTest, WhereNoneStartedNoneIsLookedForButNowAndThen) {
  process(20, 100, 0);
  AllProcesses all(*root_, 100);
  all.pass(kSecond);
  process(30, 100, 0);  // and loadavg does not say so
  for (TimeNs i = 2; i <= 50; ++i) EXPECT_EQ(all.pass(i * kSecond).size(), 1U) << i;
  EXPECT_EQ(all.pass(51 * kSecond).size(), 2U);
}

TEST_F(AllProcessesTest, ThoseThatLeftAreNoMoreThere) {
  process(20, 100, 0);
  process(30, 100, 0);
  AllProcesses all(*root_, 0);  // opened each time
  EXPECT_EQ(all.pass(kSecond).size(), 2U);
  leaves(20);
  ASSERT_EQ(all.pass(2 * kSecond).size(), 1U);
  EXPECT_EQ(all.pass(3 * kSecond)[0].pid, 30);
}

TEST_F(AllProcessesTest, WhatDoesNotChangeIsReadInEveryFifthPass) {
  process(20, 100, 0);
  AllProcesses all(*root_, 0);
  for (TimeNs i = 0; i < 10; ++i) all.pass(i * kSecond);
  process(20, 200, 0);
  int seen_after = 0;
  for (TimeNs i = 10; all.pass(i * kSecond)[0].rss_bytes == 100 * kPage; ++i) ++seen_after;
  EXPECT_LT(seen_after, 5);
  process(20, 300, 0);  // it has changed: it is read again at once
  EXPECT_EQ(all.pass(20 * kSecond)[0].rss_bytes, 300 * kPage);
}

TEST_F(AllProcessesTest, WhatSleepsIsReadStillLessOftenForAWatcherThatWishesSo) {
  process(20, 100, 0);
  AllProcesses all(*root_, 0, 15);
  for (TimeNs i = 0; i < 80; ++i) all.pass(i * kSecond);
  int longest = 0;
  for (TimeNs i = 80, same = 0; i < 200; ++i) {
    process(20, 200 + static_cast<int>(i), 0);
    same = all.pass(i * kSecond)[0].rss_bytes == (200 + i) * kPage ? 0 : same + 1;
    longest = std::max(longest, static_cast<int>(same));
  }
  EXPECT_GT(longest, 4);
  EXPECT_LT(longest, 15);
}

TEST_F(AllProcessesTest, GrowthIsOfTheLastMinute) {
  AllProcesses all(*root_, 0);
  process(20, 0, 0);
  for (TimeNs i = 0; i <= 200; ++i) {
    process(20, static_cast<int>(i < 100 ? 0 : (i - 100) * 10), 0);
    const ProcessMemory now = all.pass(i * kSecond).at(0);
    if (i < 5) {
      EXPECT_FALSE(now.growth_bytes_per_s) << i;
    } else if (i == 100) {
      EXPECT_EQ(now.growth_bytes_per_s, 0.0);
    } else if (i >= 170) {
      EXPECT_NEAR(*now.growth_bytes_per_s, 10.0 * kPage, 0.5 * kPage) << i;
    }
  }
}

// Between two looks a process may leave and another get its number.
TEST_F(AllProcessesTest, AnotherOfTheSameNumberHasAPastOfItsOwn) {
  AllProcesses all(*root_, 0);
  process(20, 100, 0);
  for (TimeNs i = 0; i <= 10; ++i) all.pass(i * kSecond);
  std::filesystem::rename(folder_ / "20", folder_ / "it left");
  process(20, 90000, 0);
  TimeNs now = 10;
  while (all.pass(now * kSecond).at(0).rss_bytes != 90000 * kPage) ASSERT_LT(++now, 20U);
  EXPECT_FALSE(all.pass(now * kSecond).at(0).growth_bytes_per_s);
}

TEST_F(AllProcessesTest, WhatHadNoMemoryIsLookedAtAgain) {
  AllProcesses all(*root_, 100);
  kernel_thread(20);
  EXPECT_EQ(all.pass(kSecond).size(), 0U);
  process(20, 100, 0);
  for (TimeNs i = 2; i <= 50; ++i) EXPECT_EQ(all.pass(i * kSecond).size(), 0U) << i;
  EXPECT_EQ(all.pass(51 * kSecond).size(), 1U);
}

}  // namespace
}  // namespace memwhy::procfs
