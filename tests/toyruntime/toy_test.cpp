// SPDX-License-Identifier: Apache-2.0
// A second runtime goes the whole way, alone and beside Go: from its events, and from the memory of a live process, through
// a recording, to the ledger, the JSON and the text. Nothing outside this folder knows it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "explain/explainer.h"
#include "procfs/process.h"
#include "procfs/root.h"
#include "record/sampler.h"
#include "report/json.h"
#include "report/text.h"
#include "support/event_script.h"
#include "toyruntime/toy.h"
#include "trace/output.h"
#include "trace/reader.h"
#include "trace/writer.h"
#include "unit/record/scripted_sources.h"

namespace memwhy::toy {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

constexpr uint64_t kPage = 4096;

// Written and read again, as every explanation is made.
explain::Explanation through_a_file(const std::vector<events::Event>& all, const explain::OwnerTable& table) {
  auto writer = trace::Writer::create(*trace::create_unlinked_output(), {});
  for (const events::Event& event : all) (*writer)->on_event(event);
  EXPECT_TRUE((*writer)->finish("stopped").ok());
  explain::Explainer explainer(table);
  const Result<trace::Reader> reader = trace::Reader::open((*writer)->release(), "toy");
  EXPECT_TRUE(reader.ok());
  const Result<trace::ReadSummary> summary = reader->read_all(explainer);
  EXPECT_TRUE(summary.ok() && summary->damage.empty());
  return explainer.finish();
}

explain::OwnerTable with_toy() {
  explain::OwnerTable table;
  EXPECT_TRUE(table.add(toy_lines()).ok());
  return table;
}

// The ledger as JSON has it; its lines sum to the RSS, or the test fails.
std::map<std::string, uint64_t> ledger_of(const Json& process) {
  std::map<std::string, uint64_t> lines;
  uint64_t sum = 0;
  for (const Json& line : process["ledger"]) {
    lines[line["id"]] = line["bytes"];
    sum += line["bytes"].get<uint64_t>();
  }
  EXPECT_EQ(sum, process["rss"]["bytes"].get<uint64_t>());
  return lines;
}

constexpr const char* kProcess = R"(
  @100 info tool=0.1.0 what="pid 7"
  anchor
  binary b1 /srv/api inode=7 go=go1.26.8 cgo
  attach 1 pid=7 comm=api exe=/srv/api binary=b1
  vmas 1
    400+16 r-xp /srv/api inode=7
    c000000+1024 rw-p
    7f000+512 rw-p
  counters 1 anon=4M
)";

TEST(Toy, ReachesTheLedgerTheJsonAndTheTextThroughAFile) {
  const std::string script = std::string(kProcess) + R"(
  @101 runtime-pages 1 toy
    7f000+256 slab live=400K dead=100K free=12K
    7f100+64 spare
  scan 1: 400+4 file, 7f000+128, 7f100+64, 7f1a0+8
  recording-end stopped
  )";
  const explain::Explanation e = through_a_file(memwhy::testing::parse_script(script), with_toy());
  const Json all = Json::parse(report::to_json(e));
  const auto lines = ledger_of(all["processes"][0]);
  EXPECT_EQ(lines.at("toy.used"), 400u << 10);
  EXPECT_EQ(lines.at("toy.dead"), 100u << 10);
  EXPECT_EQ(lines.at("toy.free"), (12u << 10) + 64 * kPage);
  EXPECT_EQ(lines.at("anon.before_attach"), 8 * kPage);
  for (const Json& line : all["processes"][0]["ledger"]) {
    if (line["id"] == "toy.dead") {
      EXPECT_EQ(line["label"], "blocks of the toy that nobody wants");
    }
  }
  const Json& curve = all["processes"][0]["timeline"];
  EXPECT_TRUE(std::any_of(curve.begin(), curve.end(), [](const Json& point) {
    return point["ledger"].value("toy.used", uint64_t{0}) == 400u << 10;
  })) << curve.dump();
  const std::string text = report::to_text(e, {.full = true});
  EXPECT_THAT(text, HasSubstr("toy.used"));
  EXPECT_THAT(text, HasSubstr("blocks of the toy that are in use"));
}

TEST(Toy, BesideGoBothReachTheLedgerAndItAddsUp) {
  const std::string script = std::string(kProcess) + R"(
  @101 go-heap 1 quiet spans=3 in_use=2M
    c000000+512 heap live=1M dead=512K free=512K
    c000200+32 idle
  runtime-pages 1 toy
    7f000+256 slab live=400K dead=100K free=12K
  scan 1: 400+4 file, c000000+544, 7f000+128
  recording-end stopped
  )";
  const Json all =
      Json::parse(report::to_json(through_a_file(memwhy::testing::parse_script(script), with_toy())));
  const Json& process = all["processes"][0];
  const auto lines = ledger_of(process);
  EXPECT_EQ(lines.at("go.heap.live"), 1u << 20);
  EXPECT_EQ(lines.at("go.heap.unmarked"), 512u << 10);
  EXPECT_EQ(lines.at("go.heap.idle"), 32 * kPage);
  EXPECT_EQ(lines.at("toy.used"), 400u << 10);
  EXPECT_EQ(process["coverage"]["runtimes"].size(), 2u);
  EXPECT_EQ(process["coverage"]["runtimes"][0]["runtime"], "go");
  EXPECT_EQ(process["coverage"]["runtimes"][1]["conflict_bytes"], 0);
}

// Pages 0..7 of the toy's block are Go's, who was told first: no page is counted twice, and of the toy's bytes, which may lie
// in pages that it does not have, none is believed.
TEST(Toy, WhatTwoClaimIsTheFirstOnesAndTold) {
  const std::string script = std::string(kProcess) + R"(
  @101 go-heap 1 quiet
    7f000+8 heap live=32K
  runtime-pages 1 toy
    7f000+128 slab live=400K dead=100K free=12K
    7f100+4 spare
  scan 1: 7f000+128, 7f100+4
  recording-end stopped
  )";
  const explain::Explanation e = through_a_file(memwhy::testing::parse_script(script), with_toy());
  const Json all = Json::parse(report::to_json(e));
  const auto lines = ledger_of(all["processes"][0]);
  EXPECT_EQ(lines.at("go.heap.live"), 8 * kPage);
  EXPECT_EQ(lines.count("toy.used"), 0u);
  EXPECT_EQ(lines.at("toy.free"), (120 + 4) * kPage);
  EXPECT_EQ(all["processes"][0]["coverage"]["runtimes"][1]["conflict_bytes"], 8 * kPage);
  EXPECT_THAT(report::to_text(e), HasSubstr("toy: 32.0 KiB that it claims belong to another runtime."));
}

TEST(Toy, UnknownToAnExplainerItIsNamedAndItsPagesAreWhatTheirMappingIs) {
  const std::string script = std::string(kProcess) + R"(
  @101 runtime-pages 1 toy: 7f000+256 slab live=400K
  scan 1: 7f000+128
  recording-end stopped
  )";
  const Json all = Json::parse(report::to_json(through_a_file(memwhy::testing::parse_script(script), {})));
  EXPECT_EQ(ledger_of(all["processes"][0]).at("anon.before_attach"), 128 * kPage);
  EXPECT_EQ(all["processes"][0]["coverage"]["runtimes"][0]["problem"],
            "this memwhy has no lines for it: its pages are what their mappings are");
}

TEST(Toy, PagesThatLeaveAreItsOwnAndAUseThatIsNotKnownHasItsLine) {
  const std::string script = std::string(kProcess) + R"(
  @101 runtime-pages 1 toy: 7f000+128 slab live=512K, 7f100+64 novel
  scan 1: 7f000+128, 7f100+64
  @111 runtime-pages 1 toy: 7f000+128 slab live=512K
  scan 1: 7f000+128
  recording-end stopped
  )";
  const explain::Explanation e = through_a_file(memwhy::testing::parse_script(script), with_toy());
  ASSERT_EQ(e.processes.size(), 1u);
  const auto& curve = e.processes[0].timeline;
  const auto with_ledger = [](const explain::TimelinePoint& point) { return !point.ledger.empty(); };
  const auto first = std::find_if(curve.begin(), curve.end(), with_ledger);
  ASSERT_NE(first, curve.end());
  const explain::Attribution& attribution = e.processes[0].attribution;
  const auto is_free = [&](const auto& each) { return attribution.owner_id(each.owner) == "toy.free"; };
  const auto held = std::find_if(first->ledger.begin(), first->ledger.end(), is_free);
  ASSERT_NE(held, first->ledger.end());
  EXPECT_EQ(held->bytes, 64 * kPage);
  const auto second = std::find_if(std::next(first), curve.end(), with_ledger);
  ASSERT_NE(second, curve.end());
  const auto flow = std::find_if(second->flows.begin(), second->flows.end(), is_free);
  ASSERT_NE(flow, second->flows.end());
  EXPECT_EQ(flow->left, 64 * kPage);
}

TEST(OwnerTable, RefusesWhatItCannotKeepApart) {
  explain::OwnerTable table;
  EXPECT_FALSE(table.add({events::kGoRuntime, {}, {}, "go.stacks"}).ok()) << "the lines of Go are built in";
  EXPECT_FALSE(table.add({"x", {{"go.stacks", "", ""}}, {}, "go.stacks"}).ok()) << "an id of another line";
  EXPECT_FALSE(table.add({"x", {}, {}, "x.nowhere"}).ok()) << "a line that is not there";
  events::RuntimeLines many{"x", {}, {}, "go.stacks"};
  for (int i = 0; i < 100; ++i) many.owners.push_back({"x." + std::to_string(i), "", "x"});
  EXPECT_FALSE(table.add(many).ok());
  const explain::OwnerTable copy = with_toy();
  EXPECT_EQ(explain::OwnerTable(copy).name(copy.of("toy", "slab")->owner).id, "toy.used");
  EXPECT_EQ(table.of("go", "heap")->owner, explain::Owner::kGoHeapLive);
}

// ---- a live process ----

class ToyProgram {
 public:
  ToyProgram() {
    int in[2], out[2];
    if (::pipe(in) != 0 || ::pipe(out) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      for (int fd : {in[0], in[1], out[0], out[1]}) ::close(fd);
      ::execl(MEMWHY_TOY, MEMWHY_TOY, nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    in_ = Fd(in[1]);
    char text[64] = {};
    if (::read(out[0], text, sizeof text - 1) > 0) table = std::stoull(text, nullptr, 16);
    ::close(out[0]);
  }
  ~ToyProgram() {
    in_ = Fd();
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }
  ToyProgram(const ToyProgram&) = delete;
  ToyProgram& operator=(const ToyProgram&) = delete;
  Pid pid() const { return pid_; }
  uint64_t table = 0;

 private:
  Fd in_;
  Pid pid_ = -1;
};

class LiveSource final : public record::ProcessSource {
 public:
  LiveSource(procfs::Process process, std::unique_ptr<record::RuntimeSource> runtime)
      : process_(std::move(process)), runtime_(std::move(runtime)) {}
  bool alive() const override { return process_.alive(); }
  Result<events::SpaceStart> identity() override { return process_.identity(); }
  Result<events::Counters> counters() override { return process_.counters(); }
  Result<std::vector<events::Vma>> vmas() override { return process_.vmas(); }
  Result<events::PageScan> scan(const std::vector<events::Vma>& vmas) override { return process_.scan(vmas); }
  std::vector<record::RuntimeSource*> runtimes(const std::vector<events::Vma>&) override {
    return {runtime_.get()};
  }

 private:
  procfs::Process process_;
  std::unique_ptr<record::RuntimeSource> runtime_;
};

class LiveOpener final : public record::ProcessOpener {
 public:
  LiveOpener(const procfs::Root& root, uint64_t table) : root_(root), table_(table) {}
  Result<std::unique_ptr<record::ProcessSource>> open(Pid tgid) override {
    Result<procfs::Process> process = procfs::Process::open(root_, tgid);
    if (!process) return std::move(process).error();
    Result<remote::ProcessMemory> memory = remote::ProcessMemory::open(process->directory());
    if (!memory) return std::move(memory).error();
    auto toy =
        std::make_unique<ToyRuntime>(std::make_unique<remote::ProcessMemory>(*std::move(memory)), table_);
    return std::unique_ptr<record::ProcessSource>(
        std::make_unique<LiveSource>(*std::move(process), std::move(toy)));
  }

 private:
  const procfs::Root& root_;
  uint64_t table_;
};

TEST(ToyLive, ItsPagesAreReadOutOfALiveProcess) {
  ToyProgram program;
  ASSERT_NE(program.table, 0u);
  const Result<procfs::Root> root = procfs::Root::open("/proc");
  ASSERT_TRUE(root.ok());
  LiveOpener processes(*root, program.table);
  record::ManualClock clock;
  record::ScriptedKernel kernel(clock);
  record::ScriptedSymbols symbols;
  std::vector<events::Event> all;
  record::Sampler sampler(kernel, processes, symbols, clock, {},
                          [&](events::Event event) { all.push_back(std::move(event)); });
  const Result<SpaceId> added = sampler.add(program.pid());
  ASSERT_TRUE(added.ok()) << added.error().message();
  sampler.finish();
  const Json told = Json::parse(report::to_json(through_a_file(all, with_toy())));
  const auto lines = ledger_of(told["processes"][0]);
  EXPECT_EQ(lines.at("toy.used"), 40 * kPage + 100);
  EXPECT_EQ(lines.at("toy.dead"), 16 * kPage);
  EXPECT_EQ(lines.at("toy.free"), (96 - 40 - 16) * kPage - 100 + 64 * kPage);
}

}  // namespace
}  // namespace memwhy::toy
