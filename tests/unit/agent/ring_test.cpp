// SPDX-License-Identifier: Apache-2.0
// Rings, what is deleted of them, and one recording of what is left.
#include "agent/ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "agent/join.h"
#include "unit/trace/samples.h"

namespace memwhy::agent {
namespace {

namespace fs = std::filesystem;
using trace::test::TemporaryDirectory;

constexpr TimeNs kSecond = 1'000'000'000, kFrom = 500 * kSecond;

struct Collected : events::EventSink {
  std::vector<events::Event> events;
  void on_event(const events::Event& event) override { events.push_back(event); }
  template <typename T>
  std::vector<T> all() const {
    std::vector<T> out;
    for (const events::Event& event : events)
      if (const auto* found = std::get_if<T>(&event.payload)) out.push_back(*found);
    return out;
  }
};

constexpr SpaceId kSpace{1};

events::Counters counters(uint64_t at) {
  events::Counters out;
  out.space = kSpace;
  out.rss_anon_bytes = at;
  return out;
}

// A second of a process: its counters, and its table, restated each 5 s.
void second(Ring& ring, uint64_t s) {
  const TimeNs now = kFrom + s * kSecond;
  ring.on_event({now, counters(s)});
  events::PageTableRuns table;
  table.space = kSpace;
  table.restated = s % 5 == 0;
  ring.on_event({now, table});
  ring.tick(now);
}

std::unique_ptr<Ring> opened(const std::string& folder, RingLimits limits) {
  std::unique_ptr<Ring> ring = Ring::open(folder, limits).value();
  events::RecordingInfo info;
  info.host = "node7";
  ring->on_event({kFrom, info});
  events::SpaceStart start;
  start.space = kSpace;
  start.tgid = 4711;
  ring->on_event({kFrom, start});
  return ring;
}

TEST(RingTest, HoldsItsTimeAndLittleMore) {
  const TemporaryDirectory directory;
  const std::string folder = directory / "web";
  const auto ring = opened(folder, {64u << 20, 40 * kSecond});  // parts of 5 s
  for (uint64_t s = 0; s < 200; ++s) second(*ring, s);
  const TimeNs reach = kFrom + 199 * kSecond - ring->from();
  EXPECT_GE(reach, 40 * kSecond);
  EXPECT_LE(reach, 50 * kSecond);
  Collected joined;
  const Result<Joined> done = join(ring->snapshot(), "growth", joined);
  ASSERT_TRUE(done.ok()) << done.error().message();
  EXPECT_EQ(done->damage, std::vector<std::string>());
  // Every second from the first one on, once; the reading before the first part is stated with it.
  std::vector<uint64_t> told;
  for (const events::Counters& each : joined.all<events::Counters>()) told.push_back(each.rss_anon_bytes);
  ASSERT_GE(told.size(), 40u);
  EXPECT_EQ(told.back(), 199u);
  for (size_t i = 1; i < told.size(); ++i) EXPECT_EQ(told[i], told[i - 1] + 1);
  ASSERT_EQ(joined.all<events::RecordingInfo>().size(), 1u);
  EXPECT_EQ(joined.all<events::RecordingInfo>()[0].part, 0u);
  EXPECT_EQ(joined.all<events::RecordingInfo>()[0].host, "node7");
  ASSERT_EQ(joined.all<events::SpaceStart>().size(), 1u);
  EXPECT_EQ(joined.all<events::RecordingEnd>(), std::vector<events::RecordingEnd>{{"growth"}});
  EXPECT_TRUE(std::is_sorted(joined.events.begin(), joined.events.end(),
                             [](const auto& a, const auto& b) { return a.time < b.time; }));
}

TEST(RingTest, HoldsItsQuota) {
  const TemporaryDirectory directory;
  constexpr uint64_t kQuota = 4u << 20;
  const auto ring = opened(directory / "web", {kQuota, 100'000 * kSecond});
  uint32_t noise = 1;
  for (uint64_t s = 0; s < 200; ++s) {
    events::HookReport report;  // something that does not shrink
    for (char& c : report.stack_read.assign(100'000, 'x'))
      c = static_cast<char>((noise = noise * 1664525 + 1013904223) >> 24);
    ring->on_event({kFrom + s * kSecond, report});
    second(*ring, s);
    uint64_t on_disk = 0;
    for (const auto& part : fs::directory_iterator(directory / "web")) on_disk += part.file_size();
    ASSERT_LE(on_disk, kQuota + kQuota / kPartsOfRing + 400'000) << s;
    ASSERT_LE(ring->bytes(), on_disk + 1);
  }
  EXPECT_GE(ring->bytes(), kQuota / 2);
  EXPECT_GT(ring->from(), kFrom + 100 * kSecond);
}

TEST(RingTest, WhatIsPinnedStays) {
  const TemporaryDirectory directory;
  const auto ring = opened(directory / "web", {64u << 20, 20 * kSecond});
  for (uint64_t s = 0; s < 60; ++s) second(*ring, s);
  ring->pin();
  const std::vector<std::string> parts = ring->snapshot();
  for (uint64_t s = 60; s < 120; ++s) second(*ring, s);
  for (const std::string& part : parts) EXPECT_TRUE(fs::exists(part)) << part;
  ring->unpin();
  second(*ring, 120);
  EXPECT_FALSE(fs::exists(parts.front()));
}

TEST(RingTest, IsGoneWithItsFilesUnlessItLeavesThem) {
  const TemporaryDirectory directory;
  opened(directory / "web", {});
  EXPECT_FALSE(fs::exists(directory / "web"));
  opened(directory / "left", {})->leave();
  EXPECT_TRUE(fs::exists(directory / "left/ring.memwhy"));
  EXPECT_FALSE(Ring::open(directory / "left", {}).ok());
  fs::remove_all(directory / "left");
}

TEST(JoinTest, WithoutAPartThatIsGoneAndWithWordsOnOneThatIsDamaged) {
  const TemporaryDirectory directory;
  const auto ring = opened(directory / "web", {64u << 20, 16 * kSecond});
  for (uint64_t s = 0; s < 25; ++s) second(*ring, s);
  const std::vector<std::string> parts = ring->snapshot();
  ASSERT_GE(parts.size(), 3u);
  {
    std::fstream file(parts[1], std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(parts[1]) / 2));
    file << "damaged here";
  }
  fs::remove(parts[0]);
  Collected joined;
  const Result<Joined> done = join(parts, "growth", joined);
  ASSERT_TRUE(done.ok());
  EXPECT_FALSE(done->damage.empty());
  EXPECT_EQ(done->parts, parts.size() - 1);
  EXPECT_FALSE(joined.all<events::SpaceStart>().empty());  // the first that is there opens it
  Collected nothing;
  EXPECT_FALSE(join({parts[0]}, "growth", nothing).ok());
  EXPECT_FALSE(join({}, "growth", nothing).ok());
}

}  // namespace
}  // namespace memwhy::agent
