// SPDX-License-Identifier: Apache-2.0
#include "agent/store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "unit/trace/samples.h"

namespace memwhy::agent {
namespace {

namespace fs = std::filesystem;
using trace::test::TemporaryDirectory;

void write(const fs::path& file, size_t bytes = 10) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << std::string(bytes, 'x');
}

class StoreTest : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
  std::string folder_ = directory_ / "memwhy";
};

TEST_F(StoreTest, IsOnesOwn) {
  const Result<Store> store = Store::open(folder_);
  ASSERT_TRUE(store.ok()) << store.error().message();
  struct stat is {};
  ASSERT_EQ(::stat(folder_.c_str(), &is), 0);
  EXPECT_EQ(is.st_mode & 0777, 0700u);
  const Result<Store> second = Store::open(folder_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), ErrorCode::kConflict);
  EXPECT_NE(second.error().message().find("pid " + std::to_string(::getpid())), std::string::npos);
}

TEST_F(StoreTest, AFolderOfOthersIsRefused) {
  fs::create_directory(folder_);
  ::chmod(folder_.c_str(), 0777);
  EXPECT_EQ(Store::open(folder_).error().code(), ErrorCode::kOutput);
  ::chmod(folder_.c_str(), 0700);
  EXPECT_TRUE(Store::open(folder_).ok());
  write(directory_ / "file");
  EXPECT_EQ(Store::open(directory_ / "file").error().code(), ErrorCode::kOutput);
}

TEST_F(StoreTest, NamesSayWhereWhoseWhenAndWhy) {
  const Store store = Store::open(folder_).value();
  constexpr int64_t kThen = 1'796'048'100'000'000'000;  // 2026-11-30 14:15:00
  const std::string name = store.name_for("node7", "shop/checkout/api", kThen, "growth");
  EXPECT_EQ(name, "node7_shop+checkout+api_20261130T141500Z_growth.memwhy");
  write(fs::path(folder_) / name);
  EXPECT_EQ(store.name_for("node7", "shop/checkout/api", kThen, "growth"),
            "node7_shop+checkout+api_20261130T141500Z_growth.1.memwhy");
  write(store.temporary(1));
  EXPECT_EQ(store.publish(store.temporary(1), name).error().code(), ErrorCode::kConflict);
  EXPECT_FALSE(fs::exists(store.temporary(1)));
  write(store.temporary(2));
  EXPECT_TRUE(store.publish(store.temporary(2), "other.memwhy").ok());
  EXPECT_TRUE(fs::exists(folder_ + "/other.memwhy"));
}

// The clock is set back by an hour between two recordings: the later one is the newest, and goes last.
TEST_F(StoreTest, AClockThatIsSetBackMakesNoRecordingOld) {
  const Store store = Store::open(folder_).value();
  constexpr int64_t kHour = 3600;
  const auto now = fs::file_time_type::clock::now();
  const auto close = [&](uint64_t number, const std::string& name, int64_t ago) {
    write(store.temporary(number), 1000);
    fs::last_write_time(store.temporary(number), now - std::chrono::seconds(ago));
    ASSERT_TRUE(store.publish(store.temporary(number), name).ok());
  };
  close(1, "node_web_20261130T125500Z_growth.memwhy", 60);
  close(2, "node_web_20261130T125600Z_growth.memwhy", 0);
  close(3, "node_web_20261130T115700Z_growth.memwhy", kHour);
  close(4, "node_web_20261130T115800Z_growth.memwhy", kHour - 60);
  close(5, "node_web_20261130T135900Z_growth.memwhy", -kHour);
  std::string order;
  for (const StoredRecording& each : store.recordings()) order += each.name.substr(18, 5) + " ";
  EXPECT_EQ(order, "12550 12560 11570 11580 13590 ");
  const std::vector<StoredRecording> removed = store.trim(3000, 0);
  ASSERT_EQ(removed.size(), 2u);
  EXPECT_EQ(removed[1].name, "node_web_20261130T125600Z_growth.memwhy");
}

TEST_F(StoreTest, TheLeastInterestingGoFirst) {
  const Store store = Store::open(folder_).value();
  for (const char* cause : {"oom-kill", "growth", "interrupted", "step", "request", "growth.1", "signal"})
    write(folder_ + "/node_web_20261130T125500Z_" + cause + ".memwhy", 1000);
  EXPECT_TRUE(store.trim(7000, 0).empty());
  std::vector<std::string> causes;
  for (const uint64_t quota : {6999, 5000, 4999, 1000, 0})
    for (const StoredRecording& removed : store.trim(quota, 0))
      causes.push_back(removed.name.substr(removed.name.rfind('_') + 1));
  ASSERT_EQ(causes.size(), 7u);
  EXPECT_EQ(causes[0], "interrupted.memwhy");
  EXPECT_EQ(causes[1], "step.memwhy");
  for (size_t i = 2; i < 5; ++i)
    EXPECT_TRUE(causes[i].starts_with("growth") || causes[i].starts_with("signal"));
  write(folder_ + "/node_web_x_request.memwhy", 1000);
  EXPECT_EQ(store.trim(10'000, 9'500).size(), 1u);  // rings count as well
}

TEST_F(StoreTest, RingsThatWereLeftAreFoundInOrderAndHalfWrittenFilesAreRemoved) {
  const Store store = Store::open(folder_).value();
  const fs::path ring = fs::path(store.rings()) / "web.service";
  for (const char* part : {"ring.10.memwhy", "ring.memwhy", "ring.2.memwhy", "other"}) write(ring / part);
  write(store.temporary(17));
  std::vector<Orphan> orphans = store.orphans();
  EXPECT_FALSE(fs::exists(store.temporary(17)));
  ASSERT_EQ(orphans.size(), 1u);
  EXPECT_EQ(orphans[0].unit, "web.service");
  ASSERT_EQ(orphans[0].parts.size(), 3u);
  EXPECT_TRUE(orphans[0].parts[0].ends_with("/ring.memwhy"));
  EXPECT_TRUE(orphans[0].parts[1].ends_with("/ring.2.memwhy"));
  EXPECT_TRUE(orphans[0].parts[2].ends_with("/ring.10.memwhy"));
  // Aside, it makes room for a ring of the same name, and is found again.
  const Orphan aside = Store::set_aside(orphans[0]);
  EXPECT_FALSE(fs::exists(ring));
  EXPECT_TRUE(fs::exists(aside.parts[2]));
  orphans = store.orphans();
  ASSERT_EQ(orphans.size(), 1u);
  EXPECT_EQ(orphans[0].unit, "web.service");
  Store::remove(orphans[0]);
  EXPECT_FALSE(fs::exists(aside.parts[0]));
}

}  // namespace
}  // namespace memwhy::agent
