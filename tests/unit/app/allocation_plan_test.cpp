// SPDX-License-Identifier: Apache-2.0
// Where malloc is probed: by the first bytes of real builds of it, and in this process, whose malloc is libc's (or a sanitizer's).
#include "app/allocation_plan.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <span>

#include "procfs/process.h"
#include "procfs/root.h"
#include "remote/memory.h"
#include "symbols/local_binaries.h"

namespace memwhy::app {
namespace {

using testing::HasSubstr;

std::optional<uint32_t> site(std::initializer_list<uint8_t> code) {
  return entry_site(std::span(code.begin(), code.size()));
}

TEST(EntrySite, IsWhereTheKernelEmulatesTheInstruction) {
  EXPECT_EQ(site({0x41, 0x54, 0x55, 0x53}), 0u);                          // malloc of glibc 2.36: push %r12
  EXPECT_EQ(site({0x55, 0x48, 0x89, 0xe5}), 0u);                          // push %rbp
  EXPECT_EQ(site({0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0x56, 0x41, 0x55}), 4u);  // endbr64; push %r14
  EXPECT_EQ(site({0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x83, 0xec, 0x18}), std::nullopt);  // endbr64; sub
  EXPECT_EQ(site({0x80, 0x3d, 0x71, 0x0e, 0x14, 0x00, 0x00}), std::nullopt);        // cmpb 0x0(%rip)
  EXPECT_EQ(site({0x41, 0x89, 0xf8}), std::nullopt);                                // mov %edi, %r8d
  EXPECT_EQ(site({0x55}), std::nullopt);
  EXPECT_EQ(site({}), std::nullopt);
}

class Plan : public ::testing::Test {
 protected:
  static events::AllocationProbePlan of(Pid tgid) {
    const auto proc = procfs::Root::open("/proc");
    auto process = procfs::Process::open(*proc, ::getpid());
    const auto vmas = process->vmas();
    symbols::LocalBinaries binaries(Fd(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    auto memory = remote::ProcessMemory::open(process->directory());
    EXPECT_TRUE(memory.ok());
    return plan_allocation_probes(binaries, std::make_shared<remote::ProcessMemory>(*std::move(memory)), tgid,
                                  *vmas);
  }
};

TEST_F(Plan, OfThisProcess) {
  const events::AllocationProbePlan plan = of(::getpid());
  ASSERT_FALSE(plan.name.empty());
  for (const events::AllocationSite& each : plan.sites) {
    ASSERT_TRUE(plan.byte_at(each.address));
    EXPECT_EQ(*plan.byte_at(each.address), each.byte);
    EXPECT_TRUE(each.byte == 0x41 || (each.byte >= 0x50 && each.byte <= 0x57)) << each.function;
  }
  EXPECT_FALSE(plan.sites.empty() && plan.not_probed.empty());
}

TEST_F(Plan, NeverOfPid1) {
  const events::AllocationProbePlan plan = of(1);
  EXPECT_TRUE(plan.sites.empty());
  ASSERT_EQ(plan.not_probed.size(), 1u);
  EXPECT_THAT(plan.not_probed[0], HasSubstr("nothing is attached to pid 1"));
}

}  // namespace
}  // namespace memwhy::app
