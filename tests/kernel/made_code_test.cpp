// SPDX-License-Identifier: Apache-2.0
// Stacks through code that was made at run time, whose frames its run time describes as a JVM does: one function is as if
// compiled, and uses the frame pointer as any register, the other as if interpreted, and its caller has made room for it.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/time.h"
#include "procfs/process.h"
#include "rounds.h"
#include "school.h"
#include "stack_targets.h"

namespace memwhy::kernel_test {
namespace {

using events::Unwind;
using symbols::UnwindRule;

constexpr std::array<uint8_t, 61> kCode = {
    0x55,                          // compiled: push %rbp
    0x41, 0x55,                    // push %r13
    0x48, 0x83, 0xec, 0x10,        // sub $0x10,%rsp
    0xbd, 0x77, 0x00, 0x00, 0x00,  // mov $0x77,%ebp
    0x49, 0x89, 0xe5,              // mov %rsp,%r13
    0x48, 0x83, 0xec, 0x28,        // sub $0x28,%rsp: the room
    0xe8, 0x08, 0x00, 0x00, 0x00,  // call interpreted
    0x48, 0x83, 0xc4, 0x38,        // add $0x38,%rsp
    0x41, 0x5d,                    // pop %r13
    0x5d, 0xc3,                    // pop %rbp; ret
    0x55,                          // interpreted: push %rbp
    0x48, 0x89, 0xe5,              // mov %rsp,%rbp
    0x41, 0x55,                    // push %r13
    0x48, 0x83, 0xec, 0x08,        // sub $8,%rsp
    0x48, 0x89, 0xf8,              // mov %rdi,%rax
    0x48, 0x89, 0xf7,              // mov %rsi,%rdi
    0x48, 0x89, 0xd6,              // mov %rdx,%rsi
    0xff, 0xd0,                    // call *%rax
    0x48, 0x83, 0xc4, 0x08,        // add $8,%rsp
    0x41, 0x5d,                    // pop %r13
    0x5d, 0xc3,                    // pop %rbp; ret
};
constexpr uint64_t kAfterCompiled = 24, kInterpreted = 32, kAfterInterpreted = 53;

class Known final : public unwind::MadeCode {
 public:
  explicit Known(uint64_t begin) : begin_(begin) {}
  std::optional<UnwindRule> rule(Pid, uint64_t address, const std::vector<events::Vma>&) override {
    if (address - begin_ >= kCode.size()) return std::nullopt;
    if (address - begin_ >= kInterpreted) return UnwindRule{UnwindRule::Kind::kInterpreted, 2, 16};
    return UnwindRule{UnwindRule::Kind::kStack, 2, 0x28};
  }
  std::vector<AddressRange> gone(Pid) override { return {}; }
  void forget() override {}

 private:
  uint64_t begin_;
};

TEST(StackRulesOfMadeCode, ItsFramesAreLeftAsItsRunTimeSays) {
  constexpr size_t kRounds = 6;
  OPEN_SCHOOL(school, {});
  Rounds rounds;
  Shared<Chain> chains(kRounds);
  void* const code =
      ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(code, MAP_FAILED);
  std::memcpy(code, kCode.data(), kCode.size());
  Target target([&](Report& report) {
    unwind_once();
    char* pages = fresh_pages(kRounds);
    report.address = reinterpret_cast<uint64_t>(pages);
    for (size_t i = 0; i < kRounds; ++i) {
      touch_through(reinterpret_cast<Through>(code), pages + i * kPage, chains[i]);
      rounds.over();
    }
  });
  TRACE(space, *school.port, target.pid(), false);
  target.start();
  Observer seen(*school.port);
  auto proc = procfs::Root::open("/proc");
  ASSERT_TRUE(proc);
  Known known(reinterpret_cast<uint64_t>(code));
  unwind::Teacher teacher(
      *school.tables, *school.binaries,
      [&](Pid tgid) -> Result<std::vector<events::Vma>> {
        auto process = procfs::Process::open(*proc, tgid);
        if (!process) return std::move(process).error();
        return process->vmas();
      },
      [] { return clock_ns(CLOCK_MONOTONIC); }, {}, &known);
  const auto begin = reinterpret_cast<uint64_t>(code);
  events::Stack stack;
  for (size_t i = 0; i < kRounds; ++i) {
    rounds.wait();
    while (teacher.look() != 0) continue;
    stack = stack_of(seen, space, reinterpret_cast<char*>(target.report().address) + i * kPage);
    const std::array<uint64_t, 2> made = {begin + kAfterInterpreted, begin + kAfterCompiled};
    const auto at = std::search(stack.frames.begin(), stack.frames.end(), made.begin(), made.end());
    ASSERT_NE(at, stack.frames.end()) << "round " << i;
    EXPECT_EQ(stack.unwind, Unwind::kJit) << "round " << i << ": to the outermost frame, behind it";
    const std::vector<uint64_t> above(at + 3, stack.frames.end());  // of call_through
    EXPECT_EQ(above, std::vector<uint64_t>(chains[i].frame + 2, chains[i].frame + chains[i].n));
    rounds.next();
  }
  EXPECT_NE(stack.certain, 0u) << "by the rules themselves, in the end: a recovered one has no such number";
  EXPECT_LT(stack.certain, stack.frames.size());
  target.wait_done();
  ::munmap(code, kPage);
}

// How often an address was looked at.
class Counting final : public app::RuleTables {
 public:
  Counting(probe::Unwinding& unwinding, uint64_t address) : RuleTables(unwinding), address_(address) {}
  void looked_at(const unwind::Taken& taken) override {
    times += (taken.key & (MW_RULE_IP - 1)) == address_ ? 1 : 0;
    RuleTables::looked_at(taken);
  }
  int times = 0;

 private:
  uint64_t address_;
};

// It has 8(%rbp) hold what is no address of code: no rule can come of that, however often it is sent.
TEST(StackRulesOfMadeCode, ThatLeadsNowhereIsLookedAtOnce) {
  constexpr std::array<uint8_t, 40> kAstray = {
      0x55, 0x48, 0x83, 0xec, 0x20,                         // push %rbp; sub $0x20,%rsp
      0x48, 0xb8, 0,    0x90, 0x78, 0x56, 4,    0,   0, 0,  // movabs $0x456789000,%rax
      0x48, 0x89, 0x44, 0x24, 0x08,                         // mov %rax,8(%rsp)
      0x48, 0x89, 0xe5, 0x48, 0x89, 0xf8,                   // mov %rsp,%rbp; mov %rdi,%rax
      0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6,                   // mov %rsi,%rdi; mov %rdx,%rsi
      0xff, 0xd0, 0x48, 0x83, 0xc4, 0x20, 0x5d, 0xc3};      // call *%rax; add $0x20,%rsp; pop %rbp; ret
  constexpr uint64_t kNowhere = 0x456789000;
  constexpr size_t kRounds = 4;
  OPEN_SCHOOL(school, {});
  Rounds rounds;
  Shared<Chain> chains(kRounds);
  void* const code =
      ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(code, MAP_FAILED);
  std::memcpy(code, kAstray.data(), kAstray.size());
  Target target([&](Report& report) {
    char* pages = fresh_pages(kRounds);
    report.address = reinterpret_cast<uint64_t>(pages);
    for (size_t i = 0; i < kRounds; ++i) {
      touch_through(reinterpret_cast<Through>(code), pages + i * kPage, chains[i]);
      rounds.over();
    }
  });
  TRACE(space, *school.port, target.pid(), false);
  target.start();
  Observer seen(*school.port);
  auto proc = procfs::Root::open("/proc");
  ASSERT_TRUE(proc);
  TimeNs now = 0;
  Counting tables(*school.unwinding, kNowhere);
  unwind::Teacher teacher(
      tables, *school.binaries,
      [&](Pid tgid) -> Result<std::vector<events::Vma>> {
        auto process = procfs::Process::open(*proc, tgid);
        if (!process) return std::move(process).error();
        return process->vmas();
      },
      [&] { return now += 1'000'000'000; }, [] { return TimeNs{0}; });
  for (size_t i = 0; i < kRounds; ++i) {
    rounds.wait();
    for (int look = 0; look < 100; ++look) teacher.look();  // by then what was sent is forgotten
    const events::Stack stack =
        stack_of(seen, space, reinterpret_cast<char*>(target.report().address) + i * kPage);
    // once it is known how the function that touches is left
    EXPECT_EQ(std::ranges::find(stack.frames, kNowhere) != stack.frames.end(), i > 0) << i;
    rounds.next();
  }
  EXPECT_EQ(tables.times, 1);
  target.wait_done();
  ::munmap(code, kPage);
}

// As a compiler makes them at run time, each of which touches one page. A few are learned from at once; of many, what is more than
// a look allows is counted, and nothing else is.
TEST(StackRulesOfMadeCode, WhatIsMoreThanIsLearnedFromIsCounted) {
  constexpr std::array<uint8_t, 4> kTouch = {0xc6, 0x07, 0x01, 0xc3};  // movb $1,(%rdi); ret
  constexpr size_t kFunctionBytes = 16, kFew = 64, kMany = 4096;
  OPEN_SCHOOL(school, {});
  Rounds rounds;
  auto* const code =
      static_cast<uint8_t*>(::mmap(nullptr, kMany * kFunctionBytes, PROT_READ | PROT_WRITE | PROT_EXEC,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(code, MAP_FAILED);
  for (size_t i = 0; i < kMany; ++i) std::ranges::copy(kTouch, code + i * kFunctionBytes);
  Target target([&](Report&) {
    char* pages = fresh_pages(kMany);
    for (size_t i = 0; i < kMany; ++i) {
      if (i == kFew) rounds.over();
      reinterpret_cast<void (*)(char*)>(code + i * kFunctionBytes)(pages + i * kPage);
    }
    rounds.over();
  });
  TRACE(space, *school.port, target.pid(), false);
  target.start();
  rounds.wait();
  const events::Coverage few = school.port->coverage();
  EXPECT_GE(few.snapshots_taken, kFew);
  EXPECT_EQ(few.snapshots_refused, 0u);
  school.learn();
  rounds.next();
  rounds.wait();
  const events::Coverage many = school.port->coverage();
  std::printf("%lu and %lu copied, %lu refused\n", few.snapshots_taken, many.snapshots_taken,
              many.snapshots_refused);
  EXPECT_LE(many.snapshots_taken - few.snapshots_taken, unwind::Teacher::kSnapshots);
  EXPECT_GE(many.snapshots_refused, kMany - kFew - unwind::Teacher::kSnapshots);
  rounds.next();
  target.wait_done();
  ::munmap(code, kMany * kFunctionBytes);
}

}  // namespace
}  // namespace memwhy::kernel_test
