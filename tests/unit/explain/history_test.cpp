// SPDX-License-Identifier: Apache-2.0
#include "explain/history.h"

#include <gtest/gtest.h>

#include "explain/container.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;

Sample sample(uint64_t seconds, uint64_t bytes) {
  Sample out;
  out.time = seconds * kSecond;
  out.rss_bytes = bytes;
  of(out.bytes, Owner::kAnonOther) = bytes;
  of(out.arrived, Owner::kAnonOther) = 3;
  of(out.left, Owner::kAnonOther) = 1;
  return out;
}

TEST(History, ThinsEvenlyAndKeepsTheSums) {
  History history;
  for (uint64_t i = 0; i < 10'000; ++i) history.add(sample(i, i), {});
  std::vector<Sample> samples = history.settled(Owners(std::make_shared<const OwnerTable>()));
  EXPECT_EQ(history.scans(), 10'000u);
  EXPECT_LE(samples.size(), kHistorySamples);
  EXPECT_GE(samples.size(), kHistorySamples / 2);
  EXPECT_EQ(samples.front().rss_bytes, 0u);
  EXPECT_EQ(samples.back().rss_bytes, 9'999u);
  TimeNs step = samples[1].time - samples[0].time;
  uint64_t arrived = 0, left = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    arrived += of(samples[i].arrived, Owner::kAnonOther);
    left += of(samples[i].left, Owner::kAnonOther);
    if (i > 0 && i + 1 < samples.size()) {
      EXPECT_EQ(samples[i].time - samples[i - 1].time, step);
    }
  }
  EXPECT_EQ(arrived, 30'000u);
  EXPECT_EQ(left, 10'000u);
}

TEST(Units, Sentences) {
  EXPECT_EQ(human_rate_per_min(1024.0 * 1024), "+60.0 MiB/min");
  EXPECT_EQ(human_rate_per_min(-1024.0), "-60.0 KiB/min");
  EXPECT_EQ(human_share(0.842), "84 %");
  EXPECT_EQ(human_seconds(2.5), "2.5 s");
  EXPECT_EQ(human_seconds(180), "3 min");
}

TEST(Container, FromTheCgroupPath) {
  std::string id(64, 'a');
  EXPECT_EQ(container_of("/docker/" + id), id);
  EXPECT_EQ(container_of("/system.slice/docker-" + id + ".scope"), id);
  EXPECT_EQ(container_of("/system.slice/" + id + "a"), std::nullopt);
  EXPECT_EQ(container_of(""), std::nullopt);
  EXPECT_EQ(pod_of("/kubepods/burstable/pod0a1b2c3d-0a1b-4c3d-8e9f-00112233aabb/" + id),
            "0a1b2c3d-0a1b-4c3d-8e9f-00112233aabb");
  EXPECT_EQ(pod_of("/kubepods-pod0a1b2c3d_0a1b_4c3d_8e9f_00112233aabb.slice"),
            "0a1b2c3d-0a1b-4c3d-8e9f-00112233aabb");
  EXPECT_EQ(pod_of("/podman/x"), std::nullopt);
}

}  // namespace
}  // namespace memwhy::explain
