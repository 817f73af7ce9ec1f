// SPDX-License-Identifier: Apache-2.0
// Whom memwhy never probes, whatever the program is.
#include "app/go_probe_plan.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace memwhy::app {
namespace {

events::GoProbePlan plan_of(bool setuid, Pid tgid, bool remote = false) {
  ProgramToProbe program;  // nothing is known of it: it must not even be looked at
  program.file.fd = Fd(::memfd_create("program", MFD_CLOEXEC));
  program.setuid = setuid;
  program.file.remote = remote;
  return plan_go_probes(std::move(program), nullptr, tgid);  // nor its memory
}

TEST(GoProbePlan, RefusesSetuidAndSetgidProgramsAndPid1) {
  const events::GoProbePlan of_setuid = plan_of(true, 4711);
  EXPECT_TRUE(of_setuid.sites.empty());
  ASSERT_EQ(of_setuid.not_probed.size(), 1u);
  EXPECT_EQ(of_setuid.not_probed[0],
            "The Go runtime of pid 4711 is not probed: it is a setuid or setgid program.");
  const events::GoProbePlan plan = plan_of(false, 1);
  EXPECT_TRUE(plan.sites.empty());
  ASSERT_EQ(plan.not_probed.size(), 1u);
  EXPECT_EQ(plan.not_probed[0], "The Go runtime of pid 1 is not probed: nothing is attached to pid 1.");
}

// Who attaches reads pages of the file, and may wait for them for ever.
TEST(GoProbePlan, RefusesAFileThatAnotherServes) {
  const events::GoProbePlan plan = plan_of(false, 4711, true);
  EXPECT_TRUE(plan.sites.empty());
  ASSERT_EQ(plan.not_probed.size(), 1u);
  EXPECT_EQ(plan.not_probed[0],
            "The Go runtime of pid 4711 is not probed: its file is on a FUSE or network file system.");
}

}  // namespace
}  // namespace memwhy::app
