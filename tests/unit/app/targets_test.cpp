// SPDX-License-Identifier: Apache-2.0
#include "app/targets.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace memwhy::app
