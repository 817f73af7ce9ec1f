// SPDX-License-Identifier: Apache-2.0
// The brief has the numbers that it is cut from, keeps to its bytes whatever is in there, and adds up.
#include "mcp/brief.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>
#include <string>

#include "mcp/server.h"

namespace memwhy::mcp {
namespace {

using Json = nlohmann::json;

Json finding(const std::string& id, const std::string& kind, const std::string& claim) {
  return {{"id", id},
          {"kind", kind},
          {"claim", claim},
          {"headline", claim},
          {"bytes", 7000},
          {"confidence", "high"},
          {"recoverable_bytes", 5},
          {"remedy", "Do it."},
          {"against", Json::array()},
          {"evidence", {"seen"}}};
}

// With so many lines in the ledger, i MiB each, and as many cells: each with a stack of its own.
Json process(int pid, int lines) {
  Json out = {{"pid", pid},
              {"comm", "web"},
              {"replaced_by_exec", false},
              {"heap_profile", {{"inuse_bytes", 12}}},
              {"gap_bytes", 34},
              {"verdict", {{"is", "problem"}, {"reason", nullptr}}},
              {"coverage", {{"unattributed_bytes", 1}, {"before_attach_bytes", 2}}},
              {"cgroup_memory", nullptr},
              {"findings", Json::array()},
              {"ledger", Json::array()},
              {"frames",
               {{{"function", "main.work"},
                 {"file", "/src/main.go"},
                 {"line", 12},
                 {"module", "/web"},
                 {"offset", 1},
                 {"kind", "program"}}}},
              {"stacks", Json::array()},
              {"mappings", Json::array()},
              {"cells", Json::array()}};
  int64_t sum = 0;
  for (int i = lines; i > 0; --i) {
    const int64_t bytes = int64_t{i} << 20;
    sum += bytes;
    const std::string id = "owner." + std::to_string(i);
    out["ledger"].push_back({{"id", id}, {"bytes", bytes}, {"growth_bytes_per_s", 1.5}});
    out["stacks"].push_back({{"frames", {0}}, {"truncated", false}});
    out["cells"].push_back({{"owner", id},
                            {"bytes", bytes},
                            {"how", "fault"},
                            {"mapping", nullptr},
                            {"stack", out["stacks"].size() - 1}});
  }
  out["rss"] = {{"bytes", sum}};
  return out;
}

Json answer(const std::vector<Json>& processes) {
  return {{"interval", {{"start", "t"}, {"end", "u"}, {"seconds", 9.0}}},
          {"container", nullptr},
          {"coverage", {{"events_lost", 3}}},
          {"processes", processes}};
}

Json brief(const Result<std::string>& result, size_t most = kBriefBytes) {
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message());
  EXPECT_LE(bytes_in_line(*result), most + 2);
  return Json::parse(*result);
}

int64_t sum_of(const Json& list, const char* key) {
  return std::accumulate(list.begin(), list.end(), int64_t{0},
                         [&](int64_t sum, const Json& each) { return sum + each.at(key).get<int64_t>(); });
}

TEST(Brief, TheLedgerSumsToRssHoweverMuchIsLeftOut) {
  for (const int lines : {0, 1, 5, 40, 400}) {
    Json one = process(7, lines);
    one["findings"].push_back(finding("leak", "problem", "It leaks."));
    const Json out = brief(brief_explanation(answer({one}).dump(), {}));
    EXPECT_EQ(sum_of(out.at("ledger"), "bytes") + out.at("ledger_rest_bytes").get<int64_t>(),
              one["rss"]["bytes"]);
    EXPECT_EQ(out.at("findings")[0].at("remedy"), "Do it.");
    EXPECT_EQ(out.at("coverage").at("events_lost"), 3);
    if (lines == 5) {
      EXPECT_EQ(out.at("ledger_rest_bytes"), 0);
      EXPECT_EQ(out.at("findings")[0].at("evidence"), Json({"seen"})) << "there was room";
    }
  }
}

TEST(Brief, NamesAreHarmlessAndShort) {
  Json one = process(7, 1);
  one["comm"] = "\x1b[31m\u202e" + std::string(5000, 'x');
  one["findings"].push_back(finding("leak", "problem", std::string(100'000, '"')));
  const Json out = brief(brief_explanation(answer({one}).dump(), {}));
  const std::string comm = out.at("comm");
  EXPECT_LE(comm.size(), 120U);
  EXPECT_TRUE(comm.starts_with("\\x1b[31m\\u{202e}xx")) << comm;
  ASSERT_EQ(out.at("findings").size(), 1U);
  EXPECT_LE(out.at("findings")[0].at("claim").get<std::string>().size(), 400U);
}

TEST(Brief, OfSeveralProcessesAListAndThenOne) {
  std::vector<Json> many;
  for (int i = 1; i <= 100; ++i) many.push_back(process(i, i));
  const std::string json = answer(many).dump();
  const Json list = brief(brief_explanation(json, {}));
  EXPECT_EQ(list.at("processes")[0].at("pid"), 100) << "heaviest first";
  EXPECT_EQ(list.at("processes").size() + list.at("processes_left_out").get<size_t>(), 100U);
  int64_t listed = list.at("processes_rest_bytes");
  for (const Json& each : list.at("processes")) listed += each.at("rss").at("bytes").get<int64_t>();
  int64_t sum = 0;
  for (const Json& each : many) sum += each.at("rss").at("bytes").get<int64_t>();
  EXPECT_EQ(listed, sum);
  EXPECT_EQ(brief(brief_explanation(json, {.pid = 42})).at("pid"), 42);
  const Result<std::string> none = brief_explanation(json, {.pid = 4242});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().message(),
            "the recording has no pid 4242; it has 100, 99, 98, 97, 96, 95, 94, 93 and 92 more");
}

TEST(Brief, StacksSumToWhatWasAskedFor) {
  const Json one = process(7, 300);
  for (const size_t most : {kBriefBytes, size_t{20'000}}) {
    const Json out = brief(brief_stacks(answer({one}).dump(), {.most_bytes = most}), most);
    EXPECT_EQ(out.at("bytes"), one["rss"]["bytes"]);
    EXPECT_EQ(sum_of(out.at("stacks"), "bytes") + out.at("rest_bytes").get<int64_t>(), one["rss"]["bytes"]);
    EXPECT_EQ(out.at("stacks")[0].at("frames")[0], "main.work (main.go:12)");
  }
  const Json of_one = brief(brief_stacks(answer({one}).dump(), {.owner = "owner.3"}));
  EXPECT_EQ(of_one.at("bytes"), 3 << 20) << "owner.3, and not owner.30";
  EXPECT_EQ(brief(brief_stacks(answer({one}).dump(), {.owner = "owner"})).at("bytes"), one["rss"]["bytes"]);
  const Result<std::string> none = brief_stacks(answer({process(7, 2)}).dump(), {.owner = "heap"});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().message(), "no page has the owner heap; there are owner.1, owner.2");
}

TEST(Brief, TablesOfADifferenceSumToIt) {
  Json lines = Json::array();
  for (int i = 100; i > 0; --i)
    lines.push_back({{"name", "f" + std::to_string(i)}, {"before", 1}, {"after", 1 + i}, {"change", i}});
  const Json side = {{"name", "a.memwhy"}, {"end", "t"}};
  const Json problems = {
      {"new", {{{"id", "leak"}, {"claim", "It leaks."}}}}, {"gone", Json::array()}, {"still", Json::array()}};
  const Json program = {{"program", "web"},     {"rss_change", 5060},
                        {"before", nullptr},    {"after", {{"rss_bytes", 6000}}},
                        {"problems", problems}, {"by", {{"owner", {{"lines", lines}, {"rest", 10}}}}}};
  const Json all = {{"before", side}, {"after", side}, {"programs", {program}}};
  const Json out = brief(brief_difference(all.dump(), {}));
  const Json& one = out.at("programs")[0];
  EXPECT_EQ(one.at("before"), nullptr);
  EXPECT_EQ(one.at("after"), 6000);
  EXPECT_EQ(one.at("problems").at("new")[0].at("id"), "leak");
  const Json& table = one.at("by").at("owner");
  EXPECT_GT(table.at("lines").size(), 3U);
  EXPECT_EQ(sum_of(table.at("lines"), "change") + table.at("rest").get<int64_t>(), 5060);
}

}  // namespace
}  // namespace memwhy::mcp
