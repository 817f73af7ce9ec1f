// SPDX-License-Identifier: Apache-2.0
// Probes on a function of the test's own, as on malloc: as many calls as the budget has, each with its bytes and its caller, and
// nothing of the probes is left behind. Where malloc is in a program is app/allocation_plan's.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

#include "support.h"

// A function of one push, so that the site is known to the byte.
extern "C" void take_block(uint64_t count, uint64_t bytes, uint64_t third);
asm(".globl take_block\n.type take_block, @function\ntake_block: push %rbp\npop %rbp\nret\n.size take_block, "
    ".-take_block\n");

namespace memwhy::kernel_test {
namespace {

using Bytes = events::AllocationSite::Bytes;
constexpr uint8_t kPush = 0x55;
constexpr auto kPatience = std::chrono::seconds(60);

[[gnu::noinline]] void caller_of_blocks() {
  for (;;) {
    take_block(3, 777, 24);
    asm volatile("" ::: "memory");
  }
}

class Caller {
 public:
  Caller() : pid_(::fork()) {
    if (pid_ == 0) caller_of_blocks();
    memory_ = Fd(::open(("/proc/" + std::to_string(pid_) + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  }
  ~Caller() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  pid_t pid() const { return pid_; }
  static uint64_t address() { return reinterpret_cast<uint64_t>(&take_block); }
  std::optional<uint8_t> byte_at(uint64_t at) const {
    uint8_t byte = 0;
    return ::pread(memory_.get(), &byte, 1, static_cast<off_t>(at)) == 1 ? std::optional(byte) : std::nullopt;
  }
  events::AllocationProbePlan plan(Bytes bytes) const {
    events::AllocationProbePlan plan;
    plan.file = Fd(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
    plan.name = "kernel_tests";
    plan.tgid = pid_;
    plan.byte_at = [this](uint64_t at) { return byte_at(at); };
    plan.sites = {{"take_block", offset(), address(), kPush, bytes}};
    return plan;
  }

 private:
  // In the file, by the mapping that the address is in.
  static uint64_t offset() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      unsigned long start = 0, end = 0, at = 0;
      if (std::sscanf(line.c_str(), "%lx-%lx %*s %lx", &start, &end, &at) == 3 && address() >= start &&
          address() < end)
        return address() - start + at;
    }
    ADD_FAILURE() << "take_block is not mapped";
    return 0;
  }

  pid_t pid_;
  Fd memory_;
};

probe::Options options_with(const std::string& way) {
  probe::Options options;
  options.go_probes = way;
  options.allocations = {2, 60, 50'000'000};
  return options;
}

class Allocations : public ::testing::TestWithParam<const char*> {};

TEST_P(Allocations, AreAsManyAsTheBudgetHasAndLeaveNothingBehind) {
  OPEN_PROBE(probe, options_with(GetParam()));
  Observer seen(probe);
  const Caller target;
  int calls_so_far = 0;
  for (const auto& [bytes, wanted] :
       {std::pair{Bytes::kSecond, uint64_t{777}}, std::pair{Bytes::kFirstTimesSecond, uint64_t{3 * 777}},
        std::pair{Bytes::kThird, uint64_t{24}}, std::pair{Bytes::kFirst, uint64_t{3}}}) {
    TRACE(space, probe, target.pid(), false);
    seen.clear_events();
    probe.probe_allocations(space, target.plan(bytes));
    const auto end = std::chrono::steady_clock::now() + kPatience;
    const auto done = [&] {
      seen.drain();
      return seen.all<events::AllocationCall>(space).size() >= 120 &&
             target.byte_at(Caller::address()) == kPush;
    };
    while (!done() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    seen.drain();
    const auto calls = seen.all<events::AllocationCall>(space);
    EXPECT_EQ(calls.size(), 120u);
    EXPECT_EQ(target.byte_at(Caller::address()), kPush);
    for (const events::AllocationCall& call : calls) {
      EXPECT_EQ(call.bytes, wanted);
      EXPECT_EQ(call.tid, target.pid());
      const std::vector<uint64_t> frames = seen.frames(call.stack);
      ASSERT_FALSE(frames.empty());
      const uint64_t from = frames[0] - reinterpret_cast<uint64_t>(&caller_of_blocks);
      EXPECT_LT(from, 256u) << "the caller is the first frame, at the call";
    }
    const events::HookReport report = probe.hooks();
    const auto& hook = report.hooks.back();
    EXPECT_EQ(hook.name, "allocation_call");
    calls_so_far += 120;
    const std::string purpose =
        "who calls take_block of kernel_tests: " + std::to_string(calls_so_far) + " calls, and ";
    EXPECT_EQ(hook.purpose.find(purpose), 0u) << hook.purpose;
    ASSERT_TRUE(probe.untrace(space));
  }
}

INSTANTIATE_TEST_SUITE_P(Way, Allocations, ::testing::Values("", "uprobe"), [](const auto& way) {
  return std::string(*way.param == '\0' ? "best" : way.param);
});

}  // namespace
}  // namespace memwhy::kernel_test
