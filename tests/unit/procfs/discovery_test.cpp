// SPDX-License-Identifier: Apache-2.0
#include "procfs/discovery.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace memwhy::procfs {
namespace {

TEST(CheckProcess, OurselvesAreFine) {
  const auto proc = Root::open("/proc");
  ASSERT_TRUE(proc);
  EXPECT_TRUE(check_process(*proc, ::getpid()));
}

TEST(CheckProcess, AnExitedProcessIsGone) {
  const auto proc = Root::open("/proc");
  ASSERT_TRUE(proc);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  const Status zombie = check_process(*proc, child);
  ASSERT_FALSE(zombie);
  EXPECT_EQ(zombie.error().code(), ErrorCode::kTargetGone);
  EXPECT_NE(zombie.error().message().find("has exited"), std::string::npos);
  ::waitpid(child, nullptr, 0);
  const Status gone = check_process(*proc, child);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code(), ErrorCode::kTargetGone);
  EXPECT_NE(gone.error().message().find("no such process: pid " + std::to_string(child)), std::string::npos);
}

TEST(FindProcesses, NotOurselvesAndNobodyIsAnError) {
  const auto proc = Root::open("/proc");
  ASSERT_TRUE(proc);
  EXPECT_EQ(*find_processes(*proc, {{1}, "", ""}), std::vector<Pid>{1});
  const auto nobody = find_processes(*proc, {{::getpid()}, "", ""});
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code(), ErrorCode::kTargetGone);
  EXPECT_NE(nobody.error().message().find("pid " + std::to_string(::getpid())), std::string::npos);
}

}  // namespace
}  // namespace memwhy::procfs
