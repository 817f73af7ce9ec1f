// SPDX-License-Identifier: Apache-2.0
// Probes on rare functions of the Go runtime, on the running kernel: what was seen is exactly what the program did, and
// what the program computes does not change. The program is tests/workloads/go_probed, by every Go release.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "app/go_reader.h"
#include "probe/kernel_probe.h"
#include "procfs/process.h"
#include "procfs/root.h"
#include "symbols/local_binaries.h"
#include "symbols/symbolizer.h"
#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"

namespace memwhy::kernel_test {
namespace {

using events::GoFunction;
using goruntime::test::Build;
using goruntime::test::LiveTarget;
using goruntime::test::Variant;

constexpr uint64_t kGoPage = 8192;
constexpr uint64_t kBase = 5 << 20;  // sizes that nothing else in the program has

Build build(int minor, Variant variant) { return {goruntime::test::release(minor), variant, "go_probed"}; }

// A program, the probe on it, and what it said.
// A function of its own: inlined, g++ 12 takes the empty result for a pointer that is freed.
[[gnu::noinline]] Result<std::unique_ptr<remote::RemoteMemory>> opened(Result<remote::ProcessMemory> memory) {
  if (!memory) return std::move(memory).error();
  return std::unique_ptr<remote::RemoteMemory>(std::make_unique<remote::ProcessMemory>(*std::move(memory)));
}

class Watched {
 public:
  explicit Watched(const std::string& path, const probe::Options& options = {}) : target(path) {
    EXPECT_TRUE(target.wait_for("ready"));
    auto opened = probe::open_port(options);
    if (!opened) {
      ADD_FAILURE() << opened.error().message();
      return;
    }
    probe = std::move(*opened);
    const Result<SpaceId> traced = probe->trace(target.pid(), false);
    EXPECT_TRUE(traced.ok());
    if (traced) space = *traced;
    proc.emplace(std::move(*procfs::Root::open("/proc")));
    process.emplace(std::move(*procfs::Process::open(*proc, target.pid())));
    vmas = std::move(*process->vmas());
  }

  std::optional<events::GoProbePlan> plan() const {
    const app::MemoryOpener open_memory = [](const Fd& folder,
                                             Pid) -> Result<std::unique_ptr<remote::RemoteMemory>> {
      return opened(remote::ProcessMemory::open(folder));
    };
    symbols::LocalBinaries binaries(Fd(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    goruntime::FilesWithoutGo without;
    const auto reader =
        app::open_go({binaries, {}}, open_memory, process->directory(), target.pid(), vmas, without);
    std::optional<events::RuntimeProbes> probes =
        reader ? reader->probe_plan({.allowed = true}) : std::nullopt;
    if (!probes) return std::nullopt;
    return std::get<events::GoProbePlan>(*std::move(probes));
  }
  void attach() {
    std::optional<events::GoProbePlan> made = plan();
    ASSERT_TRUE(made);
    sites = made->sites;
    probe->probe_go(space, std::move(*made));
  }
  void drain() {
    probe->drain([this](events::Event event) {
      if (const auto* call = std::get_if<events::GoCall>(&event.payload)) calls.push_back(*call);
      if (const auto* stack = std::get_if<events::Stack>(&event.payload)) stacks[stack->id] = *stack;
    });
  }
  // Asks, and takes what was seen of it.
  nlohmann::json ask(const std::string& command) {
    drain();
    calls.clear();
    nlohmann::json answer = target.ask(command);
    drain();
    return answer;
  }
  std::vector<events::GoCall> of(GoFunction function) const {
    std::vector<events::GoCall> out;
    for (const events::GoCall& call : calls)
      if (call.function == function) out.push_back(call);
    return out;
  }
  uint64_t byte_at(uint64_t address) const {
    const Fd memory(::open(("/proc/" + std::to_string(target.pid()) + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
    uint8_t byte = 0;
    EXPECT_EQ(::pread(memory.get(), &byte, 1, static_cast<off_t>(address)), 1);
    return byte;
  }
  // Names of a stack, innermost first.
  std::vector<std::string> names(StackId id) const {
    std::vector<std::string> out;
    if (!stacks.contains(id)) return out;
    symbols::LocalBinaries binaries(Fd(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    symbols::Symbolizer symbolizer(binaries);
    const events::Stack& stack = stacks.at(id);
    std::map<uint64_t, std::vector<events::SourceFrame>> frames;
    symbolizer.resolve(target.pid(), space, vmas, std::span(&stack, 1), [&](const events::Event& event) {
      if (const auto* symbol = std::get_if<events::SymbolInfo>(&event.payload))
        frames[symbol->address] = symbol->frames;
    });
    for (const uint64_t address : stack.frames)
      for (const events::SourceFrame& frame : frames[address]) out.push_back(frame.function);
    return out;
  }
  bool has_hook(const std::string& name, const std::string& attach) const {
    const events::HookReport report = probe->hooks();
    return std::any_of(report.hooks.begin(), report.hooks.end(),
                       [&](const events::Hook& hook) { return hook.name == name && hook.attach == attach; });
  }

  LiveTarget target;
  std::unique_ptr<probe::Port> probe;
  SpaceId space{};
  std::optional<procfs::Root> proc;
  std::optional<procfs::Process> process;
  std::vector<events::Vma> vmas;
  std::vector<events::GoSite> sites;
  std::vector<events::GoCall> calls;
  std::map<StackId, events::Stack> stacks;
};

// What `large` allocates, by size; nothing else of the program is as large.
std::map<uint64_t, int> sizes(const std::vector<events::GoCall>& calls) {
  std::map<uint64_t, int> out;
  for (const events::GoCall& call : calls)
    if (call.bytes >= kBase) ++out[call.bytes];
  return out;
}
std::map<uint64_t, int> wanted(int count) {
  std::map<uint64_t, int> out;
  for (int i = 0; i < count; ++i) ++out[kBase + static_cast<uint64_t>(i) * kGoPage];
  return out;
}
std::string command(const char* what, int count) {
  return std::string(what) + " " + std::to_string(count) + " " + std::to_string(kBase);
}
bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}
// How often a probe met a call whose stack had to grow first.
uint64_t hits(probe::Port& probe, const std::string& program) {
  for (const events::ProgramCost& cost : probe.coverage().programs)
    if (cost.program == program) return cost.runs;
  return 0;
}

std::vector<Build> matrix() {
  std::vector<Build> out;
  for (const goruntime::test::Release release : goruntime::test::kReleases)
    out.push_back(build(release.minor, Variant::kPlain));
  for (const Variant variant : {Variant::kStripped, Variant::kPie, Variant::kRace, Variant::kCgo}) {
    out.push_back(build(19, variant));
    out.push_back(build(27, variant));
  }
  return out;
}

class GoProbes : public testing::TestWithParam<Build> {};
INSTANTIATE_TEST_SUITE_P(Go, GoProbes, testing::ValuesIn(matrix()), goruntime::test::name_of);

#define BUILT(path, program)                                \
  if (::geteuid() != 0) GTEST_SKIP() << "BPF needs root";   \
  const std::string path = goruntime::test::built(program); \
  MEMWHY_REQUIRE_BUILT(path, program)

TEST_P(GoProbes, SeeExactlyWhatTheProgramDid) {
  constexpr int kObjects = 300, kPanics = 100, kCycles = 5;
  BUILT(path, GetParam());
  LiveTarget alone(path);
  ASSERT_TRUE(alone.wait_for("ready"));
  Watched w(path);
  w.attach();
  ASSERT_EQ(w.sites.size(), events::kGoFunctions);
  for (const events::GoSite& site : w.sites) EXPECT_EQ(w.byte_at(site.address), 0xcc);

  // Larger than anything that is free: the page heap asks for at least as much, for this one.
  constexpr uint64_t kHuge = 256 << 20;
  w.ask("grow " + std::to_string(kHuge));
  const std::vector<events::GoCall> grown = w.of(GoFunction::kHeapGrow);
  const auto huge =
      std::find_if(grown.begin(), grown.end(), [](const auto& call) { return call.bytes == kHuge; });
  ASSERT_NE(huge, grown.end());
  EXPECT_TRUE(contains(w.names(huge->stack), "main.growHeap"))
      << testing::PrintToString(w.names(huge->stack));

  // Deep stacks that grow on the way: for some of them in the probed function itself.
  nlohmann::json answer = w.ask(command("large", kObjects));
  EXPECT_EQ(answer["count"], kObjects);
  EXPECT_EQ(answer["checksum"], alone.ask(command("large", kObjects))["checksum"]);
  EXPECT_EQ(sizes(w.of(GoFunction::kLargeAllocation)), wanted(kObjects));
  EXPECT_GT(hits(*w.probe, "go_large_allocation"), static_cast<uint64_t>(kObjects)) << "no stack grew in it";
  for (const events::GoCall& call : w.of(GoFunction::kLargeAllocation)) {
    if (call.bytes < kBase) continue;
    const std::vector<std::string> names = w.names(call.stack);
    EXPECT_TRUE(contains(names, "main.allocateLarge")) << call.bytes;
    EXPECT_EQ(static_cast<uint64_t>(std::count(names.begin(), names.end(), "main.descend")),
              std::min<uint64_t>((call.bytes - kBase) / kGoPage + 1, 127));
    break;
  }

  answer = w.ask(command("panics", kPanics));
  EXPECT_EQ(answer["count"], kPanics);
  EXPECT_EQ(answer["checksum"], alone.ask(command("panics", kPanics))["checksum"]);
  EXPECT_EQ(sizes(w.of(GoFunction::kLargeAllocation)), wanted(kPanics));

  EXPECT_EQ(w.ask("gc " + std::to_string(kCycles))["count"], kCycles);
  EXPECT_EQ(w.of(GoFunction::kCollectionStart).size(), static_cast<size_t>(kCycles));
  EXPECT_EQ(w.of(GoFunction::kMarkEnd).size(), static_cast<size_t>(kCycles));
  for (const events::GoCall& call : w.of(GoFunction::kCollectionStart))
    EXPECT_TRUE(contains(w.names(call.stack), "runtime.GC"));

  w.ask("scavenge 2");
  const std::vector<events::GoCall> scavenged = w.of(GoFunction::kScavenge);
  EXPECT_EQ(
      std::count_if(scavenged.begin(), scavenged.end(), [](const auto& call) { return call.bytes == ~0ull; }),
      2);

  const events::Coverage coverage = w.probe->coverage();
  const auto kind = std::find_if(coverage.kinds.begin(), coverage.kinds.end(),
                                 [](const events::KindCount& each) { return each.kind == "go_call"; });
  ASSERT_NE(kind, coverage.kinds.end());
  EXPECT_EQ(kind->lost, 0u);
  EXPECT_EQ(kind->seen, kind->delivered);

  w.probe->unprobe_go(w.space);
  for (const events::GoSite& site : w.sites) EXPECT_EQ(w.byte_at(site.address), site.byte);
  EXPECT_EQ(w.ask(command("large", 3))["checksum"], alone.ask(command("large", 3))["checksum"]);
  EXPECT_TRUE(w.calls.empty());
}

// With a sample of every object: the size is in another register from Go 1.23 on.
TEST(GoProbe, SampledAllocationsHaveTheirSize) {
  ::setenv("SAMPLE_ALL", "1", 1);
  for (const int minor : {19, 22, 23, 27}) {
    BUILT(path, build(minor, Variant::kPlain));
    probe::Options options;
    options.go_hits_per_s = 1'000'000;
    Watched w(path, options);
    w.attach();
    EXPECT_EQ(w.ask(command("large", 100))["count"], 100) << minor;
    EXPECT_EQ(sizes(w.of(GoFunction::kSampledAllocation)), wanted(100)) << minor;
  }
  ::unsetenv("SAMPLE_ALL");
}

TEST(GoProbe, PerfEventsDoWhereThereIsNoMultiLink) {
  BUILT(path, build(27, Variant::kPlain));
  probe::Options options;
  options.go_probes = "uprobe";
  Watched w(path, options);
  w.attach();
  EXPECT_TRUE(w.has_hook("go_large_allocation", "uprobe"));
  EXPECT_EQ(w.ask(command("large", 100))["count"], 100);
  EXPECT_EQ(sizes(w.of(GoFunction::kLargeAllocation)), wanted(100));
}

// The budget is looked at once a second; what is above it goes, the others stay.
TEST(GoProbe, AboveTheBudgetAFunctionIsGivenUp) {
  BUILT(path, build(27, Variant::kPlain));
  probe::Options options;
  options.go_hits_per_s = 50;
  Watched w(path, options);
  w.attach();
  EXPECT_FALSE(w.probe->govern());
  // govern() says that some hook changed: on a fast machine the page fault table is full first.
  bool given_up = false;
  for (int asked = 0; !given_up && asked < 1000; ++asked) {
    w.ask(command("large", 100));
    given_up = w.probe->govern() && w.has_hook("go_large_allocation", "none");
  }
  ASSERT_TRUE(given_up);
  EXPECT_FALSE(w.has_hook("go_collection_start", "none"));
  const events::Coverage coverage = w.probe->coverage();
  for (const events::KindCount& kind : coverage.kinds)
    EXPECT_GE(kind.seen, kind.delivered + kind.lost) << kind.kind;
  w.ask(command("large", 100));
  EXPECT_TRUE(w.of(GoFunction::kLargeAllocation).empty());
  w.ask("gc 1");
  EXPECT_EQ(w.of(GoFunction::kCollectionStart).size(), 1u);
}

// Code that is not the file's is left alone: here another tracer's breakpoints stand in it.
TEST(GoProbe, CodeThatDiffersFromTheFileIsRefused) {
  BUILT(path, build(27, Variant::kPlain));
  Watched w(path);
  w.attach();
  const std::optional<events::GoProbePlan> second = w.plan();
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->sites.empty());
  EXPECT_EQ(second->not_probed.size(), w.sites.size());
}

// Attached and detached again and again while stacks grow, collections run and panics fly; the program checks itself.
TEST(GoProbe, ChurnDoesNotHarmTheProgram) {
  constexpr int kCycles = 100;
  for (const int minor : {19, 27}) {
    BUILT(path, build(minor, Variant::kPlain));
    LiveTarget alone(path);
    ASSERT_TRUE(alone.wait_for("ready"));
    Watched w(path);
    w.target.tell("churn");
    for (int i = 0; i < kCycles; ++i) {
      w.attach();
      w.calls.clear();
      do {  // bounded by the test's own time: the program calls them all the time
        w.drain();
      } while (w.calls.size() < 5);
      w.probe->unprobe_go(w.space);
      ASSERT_FALSE(w.sites.empty());
      for (const events::GoSite& site : w.sites) ASSERT_EQ(w.byte_at(site.address), site.byte) << i;
    }
    const nlohmann::json answer = w.ask("stop");
    ASSERT_TRUE(answer.contains("count")) << "the program ended";
    EXPECT_GT(answer["count"], 0);
    EXPECT_EQ(w.ask(command("large", 100))["checksum"], alone.ask(command("large", 100))["checksum"]);
  }
}

}  // namespace
}  // namespace memwhy::kernel_test
