// SPDX-License-Identifier: Apache-2.0
// Several recordings over one set of programs: each is complete, none sees what is another's, and the machine pays once.
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "memwhy/abi/limits.h"
#include "support.h"

namespace memwhy::kernel_test {
namespace {

#define OPEN_TWO_PORTS(one, two, ...)                                             \
  if (::geteuid() != 0) CANNOT_RUN("BPF needs root");                             \
  auto opened_probe = memwhy::probe::KernelProbe::open(__VA_ARGS__);              \
  if (!opened_probe) CANNOT_RUN(opened_probe.error().message());                  \
  memwhy::probe::KernelProbe& kernel = **opened_probe;                            \
  [[maybe_unused]] auto one##_owner = kernel.port(), two##_owner = kernel.port(); \
  [[maybe_unused]] memwhy::probe::Port &one = *one##_owner, &two = *two##_owner

constexpr size_t kMaps = 200;

// Maps and unmaps kMaps times, and touches `pages` pages through stacks of known sites.
void work(Report& report, size_t pages) {
  char* memory = fresh_pages(pages);
  report.address = reinterpret_cast<uint64_t>(memory);
  touch_by_class(memory, pages);
  for (size_t i = 0; i < kMaps; ++i)
    ::munmap(::mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), kPage);
}

size_t known_pages(Observer& seen, SpaceId space, const Report& report, size_t pages) {
  size_t right = 0;
  for (size_t i = 0; i < pages; ++i) {
    const std::vector<uint64_t> frames = seen.frames(seen.entry(space, report.address + i * kPage).stack);
    right += !frames.empty() && in_site(class_of(i) / kCallers, frames[0]);
  }
  return right;
}

// Mappings of that size; what the runtime of the test program maps besides is larger.
size_t small_maps(Observer& seen, SpaceId space) {
  const auto maps = seen.all<events::VmaMapped>(space);
  return static_cast<size_t>(std::count_if(
      maps.begin(), maps.end(), [](const events::VmaMapped& map) { return map.range.bytes() == kPage; }));
}

uint64_t kind(const events::Coverage& c, const std::string& name, uint64_t events::KindCount::*field) {
  for (const events::KindCount& k : c.kinds)
    if (k.kind == name) return k.*field;
  ADD_FAILURE() << "no kind " << name;
  return 0;
}

TEST(Ports, TwoRecordingsOfTwoProcessesAreBothComplete) {
  OPEN_TWO_PORTS(one, two, {});
  Target first([](Report& report) { work(report, 1000); });
  Target second([](Report& report) { work(report, 3000); });
  TRACE(a, one, first.pid(), false);
  TRACE(b, two, second.pid(), false);
  ASSERT_NE(a, b);
  first.start();
  second.start();
  Observer seen_one(one), seen_two(two);
  // Each drains on a thread of its own, as two sessions do.
  std::atomic<bool> done = false;
  std::thread drains_one([&] {
    while (!done) seen_one.drain();
  });
  std::thread drains_two([&] {
    while (!done) seen_two.drain();
  });
  first.wait_done();
  second.wait_done();
  done = true;
  drains_one.join();
  drains_two.join();
  seen_one.drain();
  seen_two.drain();
  EXPECT_EQ(small_maps(seen_one, a), kMaps);
  EXPECT_EQ(small_maps(seen_two, b), kMaps);
  EXPECT_TRUE(seen_one.all<events::VmaMapped>(b).empty()) << "another's";
  EXPECT_TRUE(seen_two.all<events::VmaUnmapped>(a).empty()) << "another's";
  seen_one.read(a);
  seen_two.read(b);
  EXPECT_EQ(known_pages(seen_one, a, first.report(), 1000), 1000u);
  EXPECT_EQ(known_pages(seen_two, b, second.report(), 3000), 3000u);
  for (probe::Port* port : {&one, &two}) {
    const events::Coverage c = port->coverage();
    EXPECT_EQ(kind(c, "vma_map", &events::KindCount::seen),
              kind(c, "vma_map", &events::KindCount::delivered));
    EXPECT_EQ(kind(c, "vma_map", &events::KindCount::delivered),
              (port == &one ? seen_one : seen_two).all<events::VmaMapped>().size());
    EXPECT_GE(c.faults_recorded, 4000u) << "the faults of both are counted together ...";
    const std::vector<std::string> said = port->hooks().not_seen;
    EXPECT_TRUE(std::any_of(said.begin(), said.end(), [](const std::string& sentence) {
      return sentence.find("Several recordings") != std::string::npos;
    })) << "... which is said";
  }
  EXPECT_GE(kind(kernel.coverage(), "vma_map", &events::KindCount::seen), 2 * kMaps);
}

TEST(Ports, TwoRecordingsOfOneProcessAreBothComplete) {
  OPEN_TWO_PORTS(one, two, {});
  Target target([](Report& report) { work(report, 1000); });
  TRACE(a, one, target.pid(), false);
  TRACE(b, two, target.pid(), false);
  ASSERT_EQ(a, b) << "one address space has one number";
  target.go();
  Observer seen_one(one), seen_two(two);
  for (Observer* seen : {&seen_one, &seen_two}) {
    seen->drain();
    seen->read(a);
    EXPECT_EQ(small_maps(*seen, a), kMaps);
    EXPECT_EQ(seen->all<events::VmaUnmapped>(a).size(), seen_one.all<events::VmaUnmapped>(a).size());
    EXPECT_EQ(known_pages(*seen, a, target.report(), 1000), 1000u);
  }
  EXPECT_EQ(seen_one.stacks().size(), seen_two.stacks().size()) << "each is given every stack that it names";
  target.kill_and_wait();
  for (Observer* seen : {&seen_one, &seen_two}) {
    seen->clear_events();
    seen->drain();
    EXPECT_EQ(seen->all<events::SpaceEnd>(a).size(), 1u);
    EXPECT_EQ(seen->all<events::ProcessExit>(a).size(), 1u);
  }
  one.reclaim(a, std::nullopt);
  one.settle();
  seen_two.table(a).clear();
  EXPECT_TRUE(seen_two.read(a, true)) << "the other has not read the last of it";
  EXPECT_EQ(known_pages(seen_two, a, target.report(), 1000), 1000u);
  two.reclaim(a, std::nullopt);
  two.settle();
  EXPECT_EQ(kernel.coverage().chunks_used, 0u);
  EXPECT_EQ(one.attached(), 0u);
}

TEST(Ports, OneThatComesLaterHearsOfNothingBefore) {
  OPEN_TWO_PORTS(one, two, {});
  Target target([](Report& report) { work(report, 64); });
  TRACE(a, one, target.pid(), false);
  target.go();
  auto later_owner = kernel.port();
  probe::Port& later = *later_owner;
  TRACE(b, later, target.pid(), false);
  ASSERT_EQ(a, b);
  Observer seen(later);
  seen.drain();
  EXPECT_TRUE(seen.all<events::VmaMapped>().empty()) << "of before its trace()";
  const events::Coverage c = later.coverage();
  EXPECT_EQ(kind(c, "vma_map", &events::KindCount::seen), 0u);
  seen.read(a, true);
  EXPECT_EQ(known_pages(seen, a, target.report(), 64), 64u) << "the table it reads whole";
}

TEST(Ports, UntracingByOneLeavesTheOtherRunning) {
  OPEN_TWO_PORTS(one, two, {});
  Target shared([](Report& report) { work(report, 100); });
  Target mine([](Report& report) { work(report, 100); });
  TRACE(a, one, shared.pid(), true);
  TRACE(b, two, shared.pid(), false);
  TRACE(c, one, mine.pid(), false);
  const size_t hooks = one.attached();
  ASSERT_TRUE(one.untrace(a));
  one.reclaim(a, std::nullopt);
  one.settle();
  EXPECT_EQ(one.attached(), hooks);
  shared.go();
  Observer seen_one(one), seen_two(two);
  seen_one.drain();
  seen_two.drain();
  EXPECT_TRUE(seen_one.all<events::VmaMapped>(a).empty());
  EXPECT_EQ(small_maps(seen_two, b), kMaps);
  seen_two.read(b);
  EXPECT_EQ(known_pages(seen_two, b, shared.report(), 100), 100u);
  ASSERT_TRUE(two.untrace(b));
  EXPECT_EQ(two.attached(), hooks) << "the hooks stay while any space is traced";
  two_owner.reset();
  mine.go();
  seen_one.drain();
  EXPECT_EQ(small_maps(seen_one, c), kMaps);
  ASSERT_TRUE(one.untrace(c));
  EXPECT_EQ(one.attached(), 0u);
}

TEST(Ports, OneThatGoesTakesWhatItTracedWithIt) {
  OPEN_TWO_PORTS(one, two, {});
  Target target([](Report& report) { work(report, 100); });
  {
    auto brief = kernel.port();
    TRACE(space, *brief, target.pid(), true);
    EXPECT_GT(one.attached(), 0u);
  }
  EXPECT_EQ(one.attached(), 0u);
}

TEST(Ports, AChildGoesToThePortThatFollows) {
  OPEN_TWO_PORTS(one, two, {});
  Target target([](Report& report) {
    char* memory = fresh_pages(32);
    report.address = reinterpret_cast<uint64_t>(memory);
    const pid_t child = ::fork();
    if (child == 0) {
      touch_by_class(memory, 32);
      ::_exit(7);
    }
    report.pids[0] = child;
    ::waitpid(child, nullptr, 0);
  });
  TRACE(a, one, target.pid(), true);
  TRACE(b, two, target.pid(), false);
  ASSERT_EQ(a, b);
  target.go();
  Observer seen_one(one), seen_two(two);
  seen_one.drain();
  seen_two.drain();
  const auto starts = seen_one.all<events::SpaceStart>();
  ASSERT_EQ(starts.size(), 1u);
  const SpaceId child = starts[0].space;
  EXPECT_EQ(starts[0].tgid, target.report().pids[0]);
  seen_one.read(child);
  EXPECT_EQ(known_pages(seen_one, child, target.report(), 32), 32u);
  EXPECT_EQ(seen_one.all<events::ProcessExit>(child).size(), 1u);
  EXPECT_TRUE(seen_two.all<events::SpaceStart>().empty());
  EXPECT_TRUE(seen_two.all<events::ProcessExit>().empty());
}

// The port that followed has left: what the kernel side followed for it is given back.
TEST(Ports, ChildrenThatNobodyFollowsAnyMoreAreLetGo) {
  OPEN_TWO_PORTS(one, two, {});
  Target target([](Report&) {
    for (int i = 0; i < 20; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        touch_by_class(fresh_pages(32), 32);
        ::_exit(0);
      }
      ::waitpid(child, nullptr, 0);
    }
  });
  TRACE(a, one, target.pid(), true);
  TRACE(b, two, target.pid(), false);
  one_owner.reset();
  target.go();
  Observer seen(two);
  seen.drain();
  EXPECT_TRUE(seen.all<events::SpaceStart>().empty());
  ASSERT_TRUE(two.untrace(b));
  two.settle();
  EXPECT_EQ(two.attached(), 0u);
  EXPECT_EQ(kernel.coverage().chunks_used, 0u);
}

TEST(Ports, AnExecGoesToEveryPort) {
  OPEN_TWO_PORTS(one, two, {});
  int tell[2], hold[2];
  ASSERT_EQ(::pipe(tell), 0);
  ASSERT_EQ(::pipe(hold), 0);
  Target target([&](Report&) { exec_target(tell[1], hold[0]); });
  TRACE(a, one, target.pid(), false);
  TRACE(b, two, target.pid(), true);
  target.start();
  uint64_t address = 0;
  ASSERT_EQ(::read(tell[0], &address, sizeof address), static_cast<ssize_t>(sizeof address));
  Observer seen_one(one), seen_two(two);
  for (Observer* seen : {&seen_one, &seen_two}) {
    seen->drain();
    const auto starts = seen->all<events::SpaceStart>();
    ASSERT_EQ(starts.size(), 1u);
    EXPECT_EQ(starts[0].parent, a);
    seen->read(starts[0].space);
    size_t touched = 0;
    for (size_t i = 0; i < 64; ++i)
      touched += seen->entry(starts[0].space, address + i * kPage).stack != StackId::kNone;
    EXPECT_EQ(touched, 64u);
  }
  ASSERT_EQ(::write(hold[1], "x", 1), 1);
  for (const int fd : {tell[0], tell[1], hold[0], hold[1]}) ::close(fd);
}

// A recording that does not drain loses its own events, counts them, and costs the other nothing.
TEST(Ports, OneThatStandsStillLosesItsOwnEventsOnly) {
  OPEN_TWO_PORTS(one, two, {});
  constexpr size_t kRounds = 80, kEach = 1000;  // 160,000 events: more than wait for anyone
  Target target([](Report& report) {
    report.values[0] = 1;
    for (size_t round = 0; round < kRounds * kEach; ++round)
      ::munmap(::mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), kPage);
  });
  TRACE(a, one, target.pid(), false);
  TRACE(b, two, target.pid(), false);
  ASSERT_EQ(a, b);
  std::atomic<bool> done = false;
  Observer seen_one(one), seen_two(two);
  std::thread drains([&] {
    while (!done) seen_one.drain();
  });
  target.go();
  done = true;
  drains.join();
  seen_one.drain();
  seen_two.drain();
  const uint64_t ring_lost = kind(one.coverage(), "vma_map", &events::KindCount::lost);
  EXPECT_EQ(small_maps(seen_one, a) + ring_lost, kRounds * kEach);
  const uint64_t lost = seen_two.lost("mapping");
  EXPECT_GT(lost, ring_lost);
  EXPECT_EQ(small_maps(seen_two, a) + lost, kRounds * kEach) << "what did not arrive is counted";
  const events::Coverage c = two.coverage();
  EXPECT_EQ(kind(c, "vma_map", &events::KindCount::lost), lost);
  EXPECT_EQ(kind(c, "vma_map", &events::KindCount::seen), kRounds * kEach);
  target.kill_and_wait();
  seen_two.clear_events();
  seen_two.drain();
  EXPECT_EQ(seen_two.all<events::SpaceEnd>(a).size(), 1u);
}

// Faults of the whole machine since it started.
uint64_t machine_faults() {
  std::ifstream file("/proc/vmstat");
  uint64_t count = 0;
  for (std::string name; file >> name >> count;)
    if (name == "pgfault") return count;
  return 0;
}

// Another process pays for one program at each of its faults, however many recordings there are. Other processes of the
// machine fault too: the programs ran at most as often as there were faults at all.
TEST(Ports, AnUntracedProcessRunsOneProgramForEachFault) {
  probe::Options options;
  options.run_time = probe::RunTime::Mode::kAlways;
  OPEN_TWO_PORTS(one, two, options);
  constexpr size_t kPages = 20000;
  Target first([](Report&) {});
  Target second([](Report&) {});
  Target bystander([](Report&) { touch_by_class(fresh_pages(kPages), kPages); });
  TRACE(a, one, first.pid(), false);
  TRACE(b, two, second.pid(), false);
  const auto runs = [&] {
    uint64_t n = 0;
    for (const events::ProgramCost& p : kernel.coverage().programs)
      if (p.program.rfind("fault_user", 0) == 0) n += p.runs;
    return n;
  };
  const uint64_t all_before = machine_faults(), before = runs();
  bystander.go();
  const uint64_t ran = runs() - before, all = machine_faults() - all_before;
  EXPECT_GE(ran, kPages);
  // A fault that the kernel tries again, for a lock that others hold, is two of ours and one of its own.
  EXPECT_LE(ran, all + all / 2) << "two for a fault would be about twice as many";
  EXPECT_EQ(one.coverage().faults_recorded, 0u);
}

TEST(Ports, AFullTableIsSaidWithItsSize) {
  probe::Options options;
  options.chunks = 16;
  OPEN_TWO_PORTS(one, two, options);
  Target target([](Report&) {
    char* memory = fresh_pages(64 * 512);
    for (size_t i = 0; i < 64; ++i) *static_cast<volatile char*>(memory + (i << 21)) = 1;
  });
  TRACE(a, one, target.pid(), false);
  const auto full = [](const probe::Port& port) {
    for (const std::string& sentence : port.hooks().not_seen)
      if (sentence.find("16 chunks of 2.0 MiB, 32.0 MiB of address space") != std::string::npos) return true;
    return false;
  };
  EXPECT_FALSE(full(one));
  one.govern();
  target.go();
  EXPECT_TRUE(one.govern()) << "there is something new to say";
  EXPECT_TRUE(full(one));
  EXPECT_FALSE(one.govern());
}

}  // namespace
}  // namespace memwhy::kernel_test
