// SPDX-License-Identifier: Apache-2.0
// Each format of the same answer: the sums, the names, and that nothing hostile gets through. That other programs read them is
// tests/readers.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <map>
#include <nlohmann/json.hpp>
#include <protozero/pbf_reader.hpp>
#include <sstream>

#include "unit/export/material.h"

namespace memwhy::exports {
namespace {

using nlohmann::json;
using test::Played;

constexpr uint64_t kPage = 4096;

TEST(Folded, OneLineForEachStackRootFirst) {
  EXPECT_EQ(Played(test::kTwoProcesses).as(write_folded),
            "c (pid 5);anon.before_attach;[anonymous] 8192\n"
            "c (pid 5);anon.other;[truncated];[u8: 32]::of;work 20480\n"
            "c (pid 5);file.text;[/bin/c] 12288\n"
            "d (pid 6);anon.before_attach;[anonymous] 4096\n");
}

TEST(Speedscope, AProfileForEachOwnerHeaviestFirst) {
  const json file = json::parse(Played(test::kTwoProcesses).as(write_speedscope));
  std::vector<std::pair<std::string, uint64_t>> profiles;
  for (const json& profile : file["profiles"]) profiles.emplace_back(profile["name"], profile["endValue"]);
  EXPECT_EQ(profiles,
            (std::vector<std::pair<std::string, uint64_t>>{{"c (pid 5) anon.other", 5 * kPage},
                                                           {"c (pid 5) file.text", 3 * kPage},
                                                           {"c (pid 5) anon.before_attach", 2 * kPage},
                                                           {"d (pid 6) anon.before_attach", kPage}}));
  const json& stack = file["profiles"][0]["samples"][0];
  std::vector<std::string> names;
  for (const json& frame : stack) names.push_back(file["shared"]["frames"][frame.get<size_t>()]["name"]);
  EXPECT_EQ(names, (std::vector<std::string>{"[truncated]", "[u8; 32]::of", "work"}));
}

TEST(Firefox, SamplesAndCountersHaveTheBytes) {
  const json file = json::parse(Played(test::kTwoProcesses).as(write_firefox));
  ASSERT_EQ(file["threads"].size(), 2);
  const json& thread = file["threads"][0];
  uint64_t sum = 0, allocated = 0;
  for (const json& weight : thread["samples"]["weight"]) sum += weight.get<uint64_t>();
  for (const json& weight : thread["nativeAllocations"]["weight"]) allocated += weight.get<uint64_t>();
  EXPECT_EQ(sum, 10 * kPage);
  EXPECT_EQ(allocated, 10 * kPage);
  int64_t counters = 0;  // each a sum of differences
  for (const json& counter : file["counters"])
    for (const json& change : counter["samples"]["count"]) counters += change.get<int64_t>();
  EXPECT_EQ(counters, 11 * kPage);
}

TEST(Rows, NdjsonHasEachTableAndItsSums) {
  std::istringstream lines(Played(test::kTwoProcesses).as(write_ndjson));
  std::map<std::string, size_t> rows;
  uint64_t cells = 0, ledger = 0;
  for (std::string line; std::getline(lines, line);) {
    const json row = json::parse(line);
    ++rows[row["row"]];
    if (row["row"] == "cell") cells += row["bytes"].get<uint64_t>();
    if (row["row"] == "ledger") ledger += row["bytes"].get<uint64_t>();
    if (row["row"] == "cell" && row["owner"] == "anon.other") {
      EXPECT_EQ(row["stack"], (json{"work", "[u8; 32]::of", "[truncated]"}));
    }
  }
  EXPECT_EQ(rows["recording"], 1);
  EXPECT_EQ(rows["process"], 2);
  EXPECT_EQ(rows["cell"], 4);
  EXPECT_EQ(rows["frame"], 2);
  EXPECT_EQ(cells, 11 * kPage);
  EXPECT_EQ(ledger, 11 * kPage);
}

TEST(Rows, SqliteHoldsThem) {
  std::string image = Played(test::kTwoProcesses).as(write_sqlite);
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(":memory:", &db), SQLITE_OK);
  const auto size = static_cast<sqlite3_int64>(image.size());
  ASSERT_EQ(sqlite3_deserialize(db, "main", reinterpret_cast<unsigned char*>(image.data()), size, size,
                                SQLITE_DESERIALIZE_READONLY),
            SQLITE_OK);
  std::string answer;
  const auto take = [](void* into, int columns, char** values, char** /*names*/) {
    for (int i = 0; i < columns; ++i) *static_cast<std::string*>(into) += std::string(values[i]) + " ";
    return 0;
  };
  ASSERT_EQ(sqlite3_exec(db, "select sum(bytes), count(*) from cell", take, &answer, nullptr), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "select stack from cell where owner = 'anon.other'", take, &answer, nullptr),
            SQLITE_OK);
  EXPECT_EQ(answer, "45056 4 work < [u8; 32]::of < [truncated] ");
  sqlite3_close(db);
}

TEST(Pprof, SamplesSumToTheResidentBytes) {
  const std::string plain = test::inflated(Played(test::kTwoProcesses).as(write_pprof));
  int64_t sum = 0;
  protozero::pbf_reader profile(plain);
  while (profile.next(2)) {
    protozero::pbf_reader sample = profile.get_message();
    while (sample.next(2))
      for (const int64_t value : sample.get_packed_int64()) sum += value;
  }
  EXPECT_EQ(sum, 11 * static_cast<int64_t>(kPage));
}

// Names that a hostile program gives itself, its files and its functions.
std::vector<events::Event> hostile(const std::string& evil) {
  std::vector<events::Event> events = memwhy::testing::parse_script(test::kTwoProcesses);
  for (events::Event& event : events) {
    if (auto* start = std::get_if<events::SpaceStart>(&event.payload))
      start->comm = start->exe = start->cgroup = evil;
    if (auto* binary = std::get_if<events::BinaryInfo>(&event.payload))
      binary->path = binary->build_id = evil;
    if (auto* symbol = std::get_if<events::SymbolInfo>(&event.payload))
      symbol->frames[0].function = symbol->frames[0].file = evil;
    if (auto* list = std::get_if<events::VmaList>(&event.payload))
      for (events::Vma& vma : list->vmas) vma.name = evil;
  }
  return events;
}

TEST(Formats, HostileNamesAreHarmlessAndBounded) {
  const std::string evil = fmt::format("a\x1b[2J\xe2\x80\xae\xff\n\";b{:x>100000}", "");
  const std::string too_long = fmt::format("{:x>4097}", "");
  const Played played(hostile(evil));
  for (auto* const write : {write_folded, write_speedscope, write_firefox, write_ndjson}) {
    const std::string out = played.as(write);
    for (const char c : out)
      ASSERT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << static_cast<int>(c);
    EXPECT_EQ(out.find("\xe2\x80\xae"), std::string::npos);
    EXPECT_EQ(out.find(too_long), std::string::npos);
  }
  std::istringstream folded(played.as(write_folded));
  for (std::string line; std::getline(folded, line);)
    EXPECT_LE(std::count(line.begin(), line.end(), ';'), 5) << "a name became two frames";
  EXPECT_TRUE(json::accept(played.as(write_firefox)));
  EXPECT_TRUE(json::accept(played.as(write_speedscope)));
  for (auto* const write : {write_pprof, write_perfetto, write_otlp, write_sqlite})
    EXPECT_EQ(played.as(write).find("\x1b[2J"), std::string::npos);
}

TEST(Formats, ARecordingWithoutAScanIsNoBytes) {
  const Played played("@10 info tool=1 host=h\nanchor\nattach 1 pid=5 comm=c\nrecording-end stopped\n");
  EXPECT_EQ(played.as(write_folded), "");
  EXPECT_TRUE(json::parse(played.as(write_speedscope))["profiles"].empty());
  for (auto* const write :
       {write_pprof, write_perfetto, write_otlp, write_sqlite, write_firefox, write_ndjson})
    EXPECT_FALSE(played.as(write).empty());
}

}  // namespace
}  // namespace memwhy::exports
