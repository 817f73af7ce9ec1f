// SPDX-License-Identifier: Apache-2.0
#include "app/targets.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace memwhy::app {
namespace {

Targets pid(Pid number) {
  Targets targets;
  targets.pids = {number};
  return targets;
}

TEST(Targets, ExactlyOneKind) {
  EXPECT_TRUE(pid(1).check());
  EXPECT_EQ(Targets{}.check().error().code(), ErrorCode::kUsage);
  Targets both = pid(1);
  both.comm = "web";
  EXPECT_EQ(both.check().error().code(), ErrorCode::kUsage);
  EXPECT_EQ(pid(-4).check().error().code(), ErrorCode::kUsage);
}

TEST(Targets, DescribedWithoutArguments) {
  Targets targets;
  targets.command = {"/usr/bin/mysql", "--password=secret"};
  EXPECT_EQ(targets.described(), std::vector<std::string>{"command /usr/bin/mysql"});
  EXPECT_EQ(targets.short_name(), "mysql");
  EXPECT_EQ(pid(4711).described(), std::vector<std::string>{"pid 4711"});
  EXPECT_EQ(pid(4711).short_name(), "4711");
  targets = {};
  targets.comm = "my web\n";
  EXPECT_EQ(targets.short_name(), "my_web_");
}

TEST(Targets, ChildrenOfACommandAndOfACgroup) {
  EXPECT_FALSE(pid(1).follows_children());
  Targets targets;
  targets.command = {"ls"};
  EXPECT_TRUE(targets.follows_children());
  EXPECT_FALSE(targets.open_ended());
  targets = {};
  targets.cgroup = "/web";
  EXPECT_TRUE(targets.follows_children());
  EXPECT_TRUE(targets.open_ended());
}

TEST(CgroupPath, OfAPathOrADirectory) {
  EXPECT_EQ(cgroup_path("/web"), "/web");
  EXPECT_EQ(cgroup_path("web"), "/web");
  EXPECT_EQ(cgroup_path("/sys/fs/cgroup/web/"), "/web");
  EXPECT_EQ(cgroup_path("/sys/fs/cgroup/memory/a/b"), "/a/b");
  EXPECT_EQ(cgroup_path("/sys/fs/cgroup/"), "/");
}

TEST(CheckTarget, OurselvesAreFine) {
  const auto proc = procfs::Root::open("/proc");
  ASSERT_TRUE(proc);
  EXPECT_TRUE(check_target(*proc, ::getpid()));
}

TEST(CheckTarget, AnExitedProcessIsGone) {
  const auto proc = procfs::Root::open("/proc");
  ASSERT_TRUE(proc);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  const Status zombie = check_target(*proc, child);
  ASSERT_FALSE(zombie);
  EXPECT_EQ(zombie.error().code(), ErrorCode::kTargetGone);
  EXPECT_NE(zombie.error().message().find("has exited"), std::string::npos);
  ::waitpid(child, nullptr, 0);
  const Status gone = check_target(*proc, child);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code(), ErrorCode::kTargetGone);
  EXPECT_NE(gone.error().message().find("no such process: pid " + std::to_string(child)), std::string::npos);
}

}  // namespace
}  // namespace memwhy::app
