// SPDX-License-Identifier: Apache-2.0
// The attribution table in JSON: there when it is asked for, and it adds up to what stands beside it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "explain/explainer.h"
#include "report/json.h"
#include "support/event_script.h"

namespace memwhy::report {
namespace {

nlohmann::json process(const JsonOptions& options) {
  explain::Explainer explainer;
  memwhy::testing::play(R"(@10 binary b1 /bin/c inode=7
attach 1 pid=5 comm=c exe=/bin/c binary=b1
symbol 1 0x401e00 binary=b1 work@/src/main.c:13
stack s1 1 0x401e00
vmas 1
  400+16 r-xp /bin/c inode=7
  900+64 rw-p
@11 scan 1: 400+3 file, 920+2
@12 table 1: 900+5 s1 @11.5 w
@13 scan 1: 400+3 file, 900+5, 920+2
)",
                        explainer);
  return nlohmann::json::parse(to_json(explainer.finish(), options)).at("processes").at(0);
}

TEST(JsonCells, OnlyWhenAskedFor) {
  const auto plain = process({});
  for (const char* key : {"cells", "mappings", "stacks", "frames"}) {
    EXPECT_FALSE(plain.contains(key)) << key;
    EXPECT_TRUE(process({true}).contains(key)) << key;
  }
}

TEST(JsonCells, AddUpAndNameWhatIsThere) {
  const auto all = process({true});
  uint64_t sum = 0;
  for (const auto& cell : all["cells"]) sum += cell["bytes"].get<uint64_t>();
  EXPECT_EQ(all["rss"]["bytes"], sum);
  const auto& cell = all["cells"][1];
  EXPECT_EQ(cell["owner"], "anon.other");
  EXPECT_EQ(cell["how"], "fault");
  EXPECT_EQ(cell["rest"], false);
  EXPECT_EQ(cell["bytes"], 5 * 4096);
  const auto& mapping = all["mappings"][cell["mapping"].get<size_t>()];
  EXPECT_EQ(mapping["start"], 0x900000);
  EXPECT_EQ(mapping["permissions"], "rw-p");
  EXPECT_TRUE(mapping["file"].is_null());
  const auto& stack = all["stacks"][cell["stack"].get<size_t>()];
  EXPECT_EQ(stack["truncated"], true);
  const auto& frame = all["frames"][stack["frames"][0].get<size_t>()];
  EXPECT_EQ(frame["function"], "work");
  EXPECT_EQ(frame["file"], "/src/main.c");
  EXPECT_EQ(frame["line"], 13);
  EXPECT_EQ(frame["kind"], "program");
  EXPECT_EQ(frame["address"], 0x401e00);
}

// The earlier moments of a page: after an exec a pid has two entries, and the time of its last scan tells them apart.
TEST(JsonMoment, OfEachProgramOfAPidByTheClockOfTheAnswer) {
  explain::Explainer explainer;
  memwhy::testing::play(R"(@10 binary b1 /bin/c inode=7
attach 1 pid=5 comm=c exe=/bin/c binary=b1
vmas 1
  900+64 rw-p
@11 scan 1: 900+3
@12 exec 3 from 1 pid=5 comm=d
@12 space-end 1 execed
vmas 3
  800+64 rw-p
@13 scan 3: 800+5
)",
                        explainer);
  const events::ClockAnchor anchor = {
      .monotonic_ns = 10'000'000'000, .boottime_ns = 0, .realtime_ns = 1'000'000'000'000, .tick = 0};
  const auto processes = nlohmann::json::parse(moment_to_json(explainer.finish(), anchor)).at("processes");
  ASSERT_EQ(processes.size(), 2u);
  EXPECT_EQ(processes[0]["pid"], 5);
  EXPECT_EQ(processes[0]["scan_time"], "1970-01-01T00:16:43.000Z");
  EXPECT_EQ(processes[0]["rss_bytes"], 5 * 4096);
  EXPECT_EQ(processes[1]["pid"], 5);
  EXPECT_EQ(processes[1]["scan_time"], "1970-01-01T00:16:41.000Z");
  EXPECT_EQ(processes[1]["rss_bytes"], 3 * 4096);
}

}  // namespace
}  // namespace memwhy::report
