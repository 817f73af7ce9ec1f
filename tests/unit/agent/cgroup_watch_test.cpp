// SPDX-License-Identifier: Apache-2.0
// What readings of cgroups fire: counters, pressure, a limit that comes nearer.
#include "agent/cgroup_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace memwhy::agent {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;
constexpr uint64_t kMiB = 1 << 20;

events::CgroupMemory reading(uint64_t usage_mib, uint64_t limit_mib = 512) {
  events::CgroupMemory memory;
  memory.path = "/pod/web";
  memory.unified = true;
  memory.usage_bytes = usage_mib * kMiB;
  memory.limit_bytes = limit_mib * kMiB;
  return memory;
}

// One reading a second, and what each fired.
class Watched {
 public:
  explicit Watched(CgroupRules rules = {}) : watch_(rules) {}
  std::vector<std::string> second(const events::CgroupMemory& memory) {
    now_ += kSecond;
    std::vector<std::string> out;
    for (const CgroupWatch::Fired& each : watch_.see(now_, memory))
      out.push_back(std::string(word(each.trigger)) + ": " + each.what);
    return out;
  }
  // Seconds until it fires; what that was.
  std::pair<int, std::string> until_fired(int seconds, const std::function<events::CgroupMemory(int)>& at) {
    for (int i = 1; i <= seconds; ++i)
      if (const auto fired = second(at(i)); !fired.empty()) return {i, fired.front()};
    return {0, ""};
  }

 private:
  CgroupWatch watch_;
  TimeNs now_ = 1000 * kSecond;
};

TEST(CgroupWatchTest, CountersFireWhenTheyMove) {
  Watched watched;
  events::CgroupMemory memory = reading(90, 100);
  memory.high_events = 1;
  memory.max_events = 3;
  EXPECT_EQ(watched.second(memory), std::vector<std::string>{});
  EXPECT_EQ(watched.second(memory), std::vector<std::string>{});
  memory.max_events = 4;
  EXPECT_EQ(watched.second(memory), std::vector<std::string>{"cgroup-max: hit its limit of 100.0 MiB"});
  memory.high_events = 2;
  EXPECT_EQ(watched.second(memory), std::vector<std::string>{"cgroup-high: is above its memory.high"});
}

TEST(CgroupWatchTest, TasksThatWaitForMemory) {
  const auto waiting = [](uint64_t us_a_second) {
    return [us_a_second](int second) {
      events::CgroupMemory memory = reading(100);
      memory.waited_some_us = 5'000'000 + us_a_second * static_cast<uint64_t>(second);
      return memory;
    };
  };
  EXPECT_EQ(Watched().until_fired(60, waiting(90'000)), std::pair(0, std::string()));
  EXPECT_EQ(Watched().until_fired(60, waiting(230'000)),
            std::pair(11, std::string("pressure: had tasks that waited for memory 23 % of 10 s")));
  EXPECT_EQ(Watched({0, 0, 0}).until_fired(60, waiting(900'000)), std::pair(0, std::string()));
}

TEST(CgroupWatchTest, ACgroupThatIsMadeAnewWaitsFromItsOwnBeginning) {
  Waits waits;
  waits.at(0, 50'000'000);
  EXPECT_FALSE(waits.at(11 * kSecond, 100));
  EXPECT_DOUBLE_EQ(*waits.at(21 * kSecond, 5'000'100), 0.5);
}

TEST(CgroupWatchTest, ALimitThatComesNearer) {
  const auto rising = [](double mib_a_second) {
    return [mib_a_second](int second) { return reading(static_cast<uint64_t>(100 + mib_a_second * second)); };
  };
  // 0.5 MiB/s: half an hour is 900 MiB, so that it is seen as far as it may be said: 6 times what was watched.
  const auto [seconds, what] = Watched().until_fired(600, rising(0.5));
  EXPECT_GT(seconds, 90);
  EXPECT_LT(seconds, 130);
  EXPECT_TRUE(what.starts_with("forecast: reaches its limit of 512.0 MiB in about 1")) << what;
  // 1 GiB of room by 0.5 MiB/s is more than half an hour.
  EXPECT_EQ(
      Watched()
          .until_fired(300, [](int second) { return reading(100 + static_cast<uint64_t>(second / 2), 1200); })
          .first,
      0);
  // A start that ends: it stands still again before anything is certain.
  EXPECT_EQ(
      Watched()
          .until_fired(300,
                       [](int second) {
                         return reading(std::min<uint64_t>(100 + 10 * static_cast<uint64_t>(second), 250));
                       })
          .first,
      0);
  // No limit, no forecast; and not when it is not asked for.
  EXPECT_EQ(Watched({0.1, 0, 300 * kSecond}).until_fired(600, rising(0.5)).first, 0);
}

TEST(CgroupWatchTest, ALimitThatIsRaisedIsAnother) {
  Watched watched;
  const auto before =
      watched.until_fired(80, [](int second) { return reading(100 + static_cast<uint64_t>(second / 2)); });
  EXPECT_EQ(before.first, 0);
  const auto after = watched.until_fired(
      60, [](int second) { return reading(140 + static_cast<uint64_t>(second / 2), 600); });
  EXPECT_EQ(after.first, 0);
}

}  // namespace
}  // namespace memwhy::agent
