// SPDX-License-Identifier: Apache-2.0
// Address spaces: threads share one, fork and exec get a new one, each ends once.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "cgroups.h"
#include "support.h"

namespace memwhy::kernel_test {
namespace {

void touch(char* memory, size_t pages) {
  for (size_t i = 0; i < pages; ++i) *static_cast<volatile char*>(memory + i * kPage) = 1;
}

// vfork, then exec of ourselves as run_exec_target.
pid_t spawn_by_vfork(int tell, int wait) {
  const pid_t child = ::vfork();
  if (child == 0) exec_target(tell, wait);
  return child;
}

// Drains until `done`; no longer than the test's own time limit.
template <typename Done>
void drain_until(Observer& seen, Done done) {
  for (int i = 0; i < 20000 && !done(); ++i) {
    seen.drain();
    ::poll(nullptr, 0, 1);
  }
  EXPECT_TRUE(done());
}

size_t entries_of(Observer& seen, SpaceId space, uint64_t address, size_t pages) {
  size_t n = 0;
  for (size_t i = 0; i < pages; ++i) n += seen.entry(space, address + i * kPage).stack != StackId::kNone;
  return n;
}

TEST(Spaces, ThreadsShareOne) {
  OPEN_PROBE(probe, {});
  Target target([](Report& report) {
    char* memory = fresh_pages(64);
    report.address = reinterpret_cast<uint64_t>(memory);
    pthread_t thread;
    ::pthread_create(
        &thread, nullptr,
        [](void* m) -> void* {
          touch(static_cast<char*>(m), 64);
          return nullptr;
        },
        memory);
    ::pthread_join(thread, nullptr);
  });
  TRACE(space, probe, target.pid(), false);
  TRACE(again, probe, target.pid(), false);
  EXPECT_EQ(space, again);
  target.go();
  Observer seen(probe);
  seen.drain();
  seen.read(space);
  EXPECT_EQ(entries_of(seen, space, target.report().address, 64), 64u);
}

TEST(Spaces, ForkFromAThreadGetsANewOne) {
  OPEN_PROBE(probe, {});
  Target target([](Report& report) {
    char* memory = fresh_pages(64);
    report.address = reinterpret_cast<uint64_t>(memory);
    touch(memory, 32);
    static Report* shared;
    shared = &report;
    pthread_t thread;
    ::pthread_create(
        &thread, nullptr,
        [](void* m) -> void* {
          const pid_t child = ::fork();
          if (child == 0) {
            touch(static_cast<char*>(m) + 32 * kPage, 32);
            ::_exit(5);
          }
          shared->pids[0] = child;
          ::waitpid(child, nullptr, 0);
          return nullptr;
        },
        memory);
    ::pthread_join(thread, nullptr);
  });
  TRACE(parent, probe, target.pid(), true);
  target.go();
  Observer seen(probe);
  seen.drain();
  SpaceId child{};
  for (const events::Event& event : seen.events())
    if (const auto* start = std::get_if<events::SpaceStart>(&event.payload)) {
      EXPECT_EQ(start->how, events::StartHow::kForked);
      EXPECT_EQ(start->parent, parent);
      EXPECT_EQ(start->tgid, target.report().pids[0]);
      EXPECT_EQ(child, SpaceId::kNone) << "one fork, one start";
      child = start->space;
    }
  ASSERT_NE(child, SpaceId::kNone);
  EXPECT_NE(child, parent);
  seen.read(parent);
  seen.read(child);
  const uint64_t at = target.report().address;
  EXPECT_EQ(entries_of(seen, parent, at, 64), 32u);
  EXPECT_EQ(entries_of(seen, child, at, 32), 0u);
  EXPECT_EQ(entries_of(seen, child, at + 32 * kPage, 32), 32u);
  const auto exits = seen.all<events::ProcessExit>(child);
  ASSERT_EQ(exits.size(), 1u);
  EXPECT_EQ(exits[0].exit_code, 5u << 8);
  const auto ends = seen.all<events::SpaceEnd>(child);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].why, events::EndWhy::kExited);
  EXPECT_TRUE(seen.all<events::SpaceEnd>(parent).empty());
}

TEST(Spaces, ForkIsNotFollowedUnlessAsked) {
  OPEN_PROBE(probe, {});
  Target target([](Report&) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ::waitpid(child, nullptr, 0);
  });
  TRACE(space, probe, target.pid(), false);
  target.go();
  Observer seen(probe);
  seen.drain();
  for (const events::Event& event : seen.events()) {
    EXPECT_FALSE(std::holds_alternative<events::SpaceStart>(event.payload));
    EXPECT_FALSE(std::holds_alternative<events::ProcessExit>(event.payload));
  }
}

// Go's os/exec: CLONE_VFORK | CLONE_VM, then exec. Until the exec the child is on the parent's space; it must
// not end it.
class VforkExec : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Follow, VforkExec, testing::Bool());
TEST_P(VforkExec, LeavesTheParentAlone) {
  OPEN_PROBE(probe, {});
  int tell[2], hold[2];
  ASSERT_EQ(::pipe(tell), 0);
  ASSERT_EQ(::pipe(hold), 0);
  Target target([&](Report& report) {
    report.pids[0] = spawn_by_vfork(tell[1], hold[0]);
    char* memory = fresh_pages(16);
    report.values[0] = reinterpret_cast<uint64_t>(memory);
    touch(memory, 16);
  });
  TRACE(parent, probe, target.pid(), GetParam());
  target.go();
  uint64_t address = 0;
  ASSERT_EQ(::read(tell[0], &address, sizeof address), static_cast<ssize_t>(sizeof address));
  Observer seen(probe);
  seen.drain();
  SpaceId child{};
  for (const auto& start : seen.all<events::SpaceStart>()) {
    EXPECT_EQ(start.how, events::StartHow::kExeced);
    EXPECT_EQ(start.parent, SpaceId::kNone) << "it replaces nothing";
    EXPECT_EQ(start.tgid, target.report().pids[0]);
    child = start.space;
  }
  EXPECT_EQ(child != SpaceId::kNone, GetParam());
  EXPECT_TRUE(seen.all<events::SpaceEnd>(parent).empty());
  seen.read(parent);
  EXPECT_EQ(entries_of(seen, parent, target.report().values[0], 16), 16u);
  if (GetParam()) {
    seen.read(child);
    EXPECT_EQ(entries_of(seen, child, address, 64), 64u);
  }
  ASSERT_EQ(::write(hold[1], "x", 1), 1);
  for (const int fd : {tell[0], tell[1], hold[0], hold[1]}) ::close(fd);
}

TEST(Spaces, ExecContinuesAsANewOne) {
  OPEN_PROBE(probe, {});
  int tell[2], hold[2];
  ASSERT_EQ(::pipe(tell), 0);
  ASSERT_EQ(::pipe(hold), 0);
  Target target([&](Report&) { exec_target(tell[1], hold[0]); });
  TRACE(old, probe, target.pid(), false);
  target.start();
  uint64_t address = 0;
  ASSERT_EQ(::read(tell[0], &address, sizeof address), static_cast<ssize_t>(sizeof address));
  Observer seen(probe);
  seen.drain();
  const auto ends = seen.all<events::SpaceEnd>(old);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].why, events::EndWhy::kExeced);
  SpaceId next{};
  for (const auto& start : seen.all<events::SpaceStart>()) {
    EXPECT_EQ(start.how, events::StartHow::kExeced);
    EXPECT_EQ(start.parent, old);
    EXPECT_EQ(start.tgid, target.pid());
    next = start.space;
  }
  ASSERT_NE(next, SpaceId::kNone);
  seen.read(next);
  EXPECT_EQ(entries_of(seen, next, address, 64), 64u);
  ASSERT_EQ(::write(hold[1], "x", 1), 1);
  drain_until(seen, [&] { return !seen.all<events::ProcessExit>(next).empty(); });
  EXPECT_EQ(seen.all<events::ProcessExit>(next)[0].exit_code, 7u << 8);
  drain_until(seen, [&] { return !seen.all<events::SpaceEnd>(next).empty(); });
  for (const int fd : {tell[0], tell[1], hold[0], hold[1]}) ::close(fd);
}

// The end of the old space is heard of, and its chunks are given back, while the exec still builds the new one: nothing is
// traced at that moment, and yet the hooks must stay.
TEST(Spaces, AnExecThatTakesLongIsNotLost) {
  OPEN_PROBE(probe, {});
  constexpr size_t kManyArguments = 200'000;  // 1.8 MB of the 2 that exec takes
  int tell[2], hold[2];
  ASSERT_EQ(::pipe(tell), 0);
  ASSERT_EQ(::pipe(hold), 0);
  Target target([&](Report&) { exec_target(tell[1], hold[0], kManyArguments); });
  TRACE(old, probe, target.pid(), false);
  Observer seen(probe);
  target.start();
  while (seen.all<events::SpaceEnd>(old).empty()) seen.drain();
  probe.reclaim(old, std::nullopt);
  uint64_t address = 0;
  ASSERT_EQ(::read(tell[0], &address, sizeof address), static_cast<ssize_t>(sizeof address));
  seen.drain();
  const auto starts = seen.all<events::SpaceStart>();
  ASSERT_EQ(starts.size(), 1u);
  const SpaceId next = starts[0].space;
  ASSERT_NE(next, SpaceId::kNone);
  seen.read(next);
  EXPECT_EQ(entries_of(seen, next, address, 64), 64u);
  EXPECT_EQ(target.kill_and_wait(), SIGKILL);
  drain_until(seen, [&] {
    return !seen.all<events::SpaceEnd>(next).empty() && !seen.all<events::ProcessExit>(next).empty();
  });
  probe.reclaim(next, std::nullopt);
  EXPECT_EQ(probe.attached(), 0u);
  for (const int fd : {tell[0], tell[1], hold[0], hold[1]}) ::close(fd);
}

TEST(Spaces, EndsWithoutTheExitMmapHookToo) {
  probe::Options options;
  options.force_hook = {{"exit_mmap", "none"}};
  OPEN_PROBE(probe, options);
  Target target([](Report&) {});
  TRACE(space, probe, target.pid(), false);
  target.go();
  EXPECT_EQ(target.kill_and_wait(), SIGKILL);
  Observer seen(probe);
  seen.drain();
  EXPECT_EQ(seen.all<events::SpaceEnd>(space).size(), 1u);
  ASSERT_EQ(seen.all<events::ProcessExit>(space).size(), 1u);
  EXPECT_EQ(seen.all<events::ProcessExit>(space)[0].exit_code, static_cast<uint32_t>(SIGKILL));
  probe.reclaim(space, std::nullopt);
  EXPECT_EQ(probe.attached(), 0u);
}

TEST(Spaces, ThreadsAreListedWithTheirStacks) {
  OPEN_PROBE(probe, {});
  Target target([](Report& report) {
    static Report* shared;
    shared = &report;
    static pthread_barrier_t ready;
    ::pthread_barrier_init(&ready, nullptr, 4);
    for (uintptr_t i = 1; i < 4; ++i) {
      pthread_t thread;
      ::pthread_create(
          &thread, nullptr,
          [](void* n) -> void* {
            const auto me = reinterpret_cast<uintptr_t>(n);
            shared->pids[me] = static_cast<pid_t>(::syscall(SYS_gettid));
            shared->sp[me] = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
            shared->tls[me] = ::pthread_self();
            ::pthread_barrier_wait(&ready);
            for (;;) ::pause();
          },
          reinterpret_cast<void*>(i));
    }
    ::pthread_barrier_wait(&ready);
  });
  TRACE(space, probe, target.pid(), false);
  target.go();
  const auto list = probe.threads(space);
  ASSERT_TRUE(list) << list.error().message();
  ASSERT_EQ(list->threads.size(), 4u);
  const Report& truth = target.report();
  for (size_t i = 1; i < 4; ++i) {
    const auto found = std::find_if(list->threads.begin(), list->threads.end(),
                                    [&](const events::Thread& t) { return t.tid == truth.pids[i]; });
    ASSERT_NE(found, list->threads.end());
    EXPECT_EQ(found->tls, truth.tls[i]);
    EXPECT_LT(truth.sp[i] - found->stack_pointer, 8192u);
  }
}

TEST(Targets, AreRefusedWithASentence) {
  OPEN_PROBE(probe, {});
  const auto kernel_thread = probe.trace(2, false);
  ASSERT_FALSE(kernel_thread);
  EXPECT_EQ(kernel_thread.error().code(), ErrorCode::kUsage);
  EXPECT_NE(kernel_thread.error().message().find("kernel thread"), std::string::npos);
  const auto nobody = probe.trace(0x3ffffff, false);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code(), ErrorCode::kTargetGone);
  EXPECT_EQ(probe.attached(), 0u);
}

TEST(Oom, TheVictimIsNamed) {
  const MemoryCgroup cgroup;
  if (cgroup.path.empty()) GTEST_SKIP() << "no memory cgroup can be made here";
  OPEN_PROBE(probe, {});
  Target target([](Report&) { touch(fresh_pages(16384), 16384); });
  cgroup.put(cgroup.limit, std::to_string(16 << 20));
  cgroup.put(cgroup.path + "/cgroup.procs", std::to_string(target.pid()));
  TRACE(space, probe, target.pid(), false);
  target.start();
  Observer seen(probe);
  drain_until(seen, [&] { return !seen.all<events::ProcessExit>(space).empty(); });
  const auto victims = seen.all<events::OomVictim>(space);
  ASSERT_EQ(victims.size(), 1u);
  EXPECT_EQ(victims[0].tgid, target.pid());
  EXPECT_EQ(seen.all<events::ProcessExit>(space)[0].exit_code & 0x7f, static_cast<uint32_t>(SIGKILL));
  target.kill_and_wait();
}

}  // namespace
}  // namespace memwhy::kernel_test
