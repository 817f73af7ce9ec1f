// SPDX-License-Identifier: Apache-2.0
// Every way to attach a hook that this kernel allows gives the same values; nothing is attached for nobody.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <set>

#include "probe/features.h"
#include "support.h"

namespace memwhy::kernel_test {
namespace {

struct Forced {
  const char* hook;
  const char* way;
};
void PrintTo(const Forced& f, std::ostream* out) { *out << f.hook << " by " << f.way; }

class EachWay : public testing::TestWithParam<Forced> {};
INSTANTIATE_TEST_SUITE_P(
    Hook, EachWay,
    testing::Values(Forced{"page_fault_user", "tp_btf"}, Forced{"page_fault_user", "raw_tp"},
                    Forced{"page_fault_user", "tracepoint"}, Forced{"page_fault_user", "fentry"},
                    Forced{"page_fault_user", "kprobe"}, Forced{"page_fault_user", "perf_event"},
                    Forced{"page_fault_kernel", "tp_btf"}, Forced{"page_fault_kernel", "raw_tp"},
                    Forced{"page_fault_kernel", "tracepoint"}, Forced{"fork", "tp_btf"},
                    Forced{"fork", "raw_tp"}, Forced{"exit", "tp_btf"}, Forced{"exit", "raw_tp"},
                    Forced{"exit", "tracepoint"}, Forced{"exit_mmap", "tp_btf"},
                    Forced{"exit_mmap", "raw_tp"}),
    [](const auto& p) { return std::string(p.param.hook) + "_" + p.param.way; });

TEST_P(EachWay, GivesTheSameValues) {
  if (::geteuid() != 0) CANNOT_RUN("BPF needs root");
  probe::Options options;
  options.force_hook = {{GetParam().hook, GetParam().way}};
  auto opened = probe::open_port(options);
  const bool rare =
      std::string_view(GetParam().way) == "fentry" || std::string_view(GetParam().way) == "kprobe";
  if (!opened && rare) GTEST_SKIP() << opened.error().message();  // locked down here; the VM lane has them
  ASSERT_TRUE(opened) << opened.error().message();
  probe::Port& probe = **opened;

  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  Target target([&ends](Report& report) {
    static char filler[kPage];
    char* memory = fresh_pages(512 + 16);
    report.address = reinterpret_cast<uint64_t>(memory);
    touch_by_class(memory, 512);
    for (size_t i = 512; i < 512 + 16; ++i) {
      (void)!::write(ends[1], filler, kPage);
      raw_read(ends[0], memory + i * kPage, kPage);
    }
    const pid_t child = ::fork();
    if (child == 0) ::_exit(3);
    report.pids[0] = child;
    ::waitpid(child, nullptr, 0);
  });
  TRACE(space, probe, target.pid(), true);
  target.go();
  Observer seen(probe);
  seen.drain();
  seen.read(space);
  std::map<size_t, std::set<StackId>> stacks_of;
  for (size_t i = 0; i < 512; ++i) {
    const Entry entry = seen.entry(space, target.report().address + i * kPage);
    stacks_of[class_of(i)].insert(entry.stack);
    const std::vector<uint64_t> frames = seen.frames(entry.stack);
    ASSERT_FALSE(frames.empty()) << "page " << i;
    EXPECT_TRUE(in_site(class_of(i) / kCallers, frames[0])) << "page " << i;
    EXPECT_EQ(entry.flags & events::kFaultKernel, 0);
  }
  std::set<StackId> distinct;
  for (const auto& [which, stacks] : stacks_of) {
    EXPECT_EQ(stacks.size(), 1u);
    distinct.insert(*stacks.begin());
  }
  EXPECT_EQ(distinct.size(), kClasses);
  for (size_t i = 512; i < 512 + 16; ++i) {
    const Entry entry = seen.entry(space, target.report().address + i * kPage);
    EXPECT_NE(entry.stack, StackId::kNone);
    EXPECT_NE(entry.flags & events::kFaultKernel, 0);
  }
  SpaceId child{};
  for (const events::Event& event : seen.events())
    if (const auto* start = std::get_if<events::SpaceStart>(&event.payload)) child = start->space;
  ASSERT_NE(child, SpaceId::kNone);
  ASSERT_EQ(seen.all<events::ProcessExit>(child).size(), 1u);
  EXPECT_EQ(seen.all<events::ProcessExit>(child)[0].exit_code, 3u << 8);
  EXPECT_EQ(seen.all<events::SpaceEnd>(child).size(), 1u);

  bool named = false;
  for (const events::Hook& hook : probe.hooks().hooks)
    named |= hook.name == GetParam().hook && hook.attach == GetParam().way;
  EXPECT_TRUE(named) << "the report says which way is used";
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Hooks, AreAttachedOnlyWhileSomebodyIsTraced) {
  probe::Options options;
  options.run_time = probe::RunTime::Mode::kAlways;
  OPEN_PROBE(probe, options);
  const auto runs = [&] {
    uint64_t n = 0;
    for (const events::ProgramCost& p : probe.coverage().programs)
      if (p.program.rfind("fault_user", 0) == 0) n += p.runs;
    return n;
  };
  EXPECT_EQ(probe.attached(), 0u);
  Target target([](Report&) { touch_by_class(fresh_pages(1000), 1000); });
  Target bystander([](Report&) { touch_by_class(fresh_pages(1000), 1000); });
  {
    TRACE(space, probe, target.pid(), false);
    EXPECT_GT(probe.attached(), 10u);
    target.go();
    EXPECT_GE(runs(), 1000u);
    uint64_t time = 0;
    for (const events::ProgramCost& p : probe.coverage().programs) time += p.run_time_ns;
    EXPECT_GT(time, 0u);
    ASSERT_TRUE(probe.untrace(space));
  }
  EXPECT_EQ(probe.attached(), 0u);
  const uint64_t before = runs();
  bystander.go();
  EXPECT_EQ(runs(), before);
}

TEST(Hooks, WhatIsLeftOutIsSaid) {
  probe::Options options;
  options.force_hook = {{"page_fault_kernel", "none"}};
  OPEN_PROBE(probe, options);
  bool said = false;
  for (const std::string& sentence : probe.hooks().not_seen)
    said |= sentence.find("read(2)") != std::string::npos;
  EXPECT_TRUE(said);
}

TEST(Hooks, UnknownNamesAreRefused) {
  probe::Options options;
  options.force_hook = {{"page_fault", "tp_btf"}};
  const auto opened = probe::open_port(options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::kUsage);
}

TEST(Open, SaysWhichCapabilityIsMissing) {
  if (::geteuid() != 0) CANNOT_RUN("starts as root");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(65534) != 0) ::_exit(1);
    const auto opened = probe::open_port();
    const std::string said = opened ? "opened" : opened.error().message();
    (void)!::write(ends[1], said.data(), said.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said(1024, '\0');
  said.resize(static_cast<size_t>(std::max<ssize_t>(0, ::read(ends[0], said.data(), said.size()))));
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  EXPECT_NE(said.find("CAP_BPF and CAP_PERFMON"), std::string::npos) << said;
}

// perf_event_open() gives EACCES from here on, as kernel.perf_event_paranoid of Debian or a container's filter has it.
void refuse_perf_events() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_perf_event_open, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program = {std::size(code), code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    ::_exit(1);
}

TEST(Hook, WithoutPerfEventsTheNextWayIsTaken) {
  OPEN_PROBE(before, {});
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    refuse_perf_events();
    std::string said;
    auto opened = probe::open_port();
    Result<SpaceId> space =
        opened ? (*opened)->trace(::getppid(), false) : Result<SpaceId>(std::move(opened).error());
    if (!space) {
      said = space.error().message();
    } else {
      for (const events::Hook& hook : (*opened)->hooks().hooks) said += hook.name + " " + hook.attach + "\n";
    }
    (void)!::write(ends[1], said.data(), said.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said, part(4096, '\0');
  for (ssize_t n = 0; (n = ::read(ends[0], part.data(), part.size())) > 0;)
    said.append(part, 0, static_cast<size_t>(n));
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  for (const events::Hook& hook : before.hooks().hooks)
    EXPECT_NE(said.find(hook.name + " "), std::string::npos) << hook.name << " is missing in:\n" << said;
  EXPECT_NE(said.find("system_calls raw_tp"), std::string::npos) << said;
  EXPECT_EQ(said.find(" tracepoint"), std::string::npos) << said;
}

TEST(Clock, AgreesWithTheSystem) {
  OPEN_PROBE(probe, {});
  const auto now = [](clockid_t which) {
    timespec t{};
    ::clock_gettime(which, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
  };
  const uint64_t before = now(CLOCK_MONOTONIC), boot_before = now(CLOCK_BOOTTIME);
  const auto first = probe.clock();
  const uint64_t after = now(CLOCK_MONOTONIC), boot_after = now(CLOCK_BOOTTIME);
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_GE(first->monotonic_ns, before);
  EXPECT_LE(first->monotonic_ns, after);
  EXPECT_GE(first->boottime_ns, boot_before);
  EXPECT_LE(first->boottime_ns, boot_after);
  EXPECT_LT(std::abs(static_cast<int64_t>(now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC)) -
                     static_cast<int64_t>(first->realtime_ns - first->monotonic_ns)),
            1'000'000'000);
  // Until ten ticks have gone by; a tick is 1 to 10 ms.
  auto second = probe.clock();
  while (second && second->tick < first->tick + 10) second = probe.clock();
  ASSERT_TRUE(second);
  const double tick_ns = static_cast<double>(second->monotonic_ns - first->monotonic_ns) /
                         static_cast<double>(second->tick - first->tick);
  EXPECT_GT(tick_ns, 0.8e6);
  EXPECT_LT(tick_ns, 12e6);
}

TEST(Doctor, NamesEveryHook) {
  if (::geteuid() != 0) CANNOT_RUN("BPF needs root");
  size_t hooks = 0;
  for (const probe::Feature& feature : probe::features()) {
    std::printf("%-36s %s %s\n", feature.name.c_str(), feature.present ? "yes" : "no ",
                feature.detail.c_str());
    hooks += feature.name.rfind("hook ", 0) == 0;
  }
  EXPECT_EQ(hooks, 8u);
}

}  // namespace
}  // namespace memwhy::kernel_test
