// SPDX-License-Identifier: Apache-2.0
#include "app/child.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <fstream>

namespace memwhy::app {
namespace {

std::string ended(Child& child) {
  siginfo_t info;
  EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  return child.ended().value_or("still runs");
}

std::string comm(Pid pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
  std::string text;
  std::getline(file, text);
  return text;
}

TEST(Child, WaitsUntilItIsReleased) {
  auto signals = StopSignals::take();
  ASSERT_TRUE(signals);
  auto child = Child::start({"sh", "-c", "exit 3"}, *signals);
  ASSERT_TRUE(child);
  EXPECT_NE(comm(child->pid()), "sh");
  EXPECT_EQ(child->ended(), std::nullopt);
  ASSERT_TRUE(child->release());
  EXPECT_EQ(ended(*child), "exited with status 3");
}

TEST(Child, SaysWhichSignal) {
  auto signals = StopSignals::take();
  ASSERT_TRUE(signals);
  auto child = Child::start({"sh", "-c", "kill -TERM $$"}, *signals);
  ASSERT_TRUE(child);
  ASSERT_TRUE(child->release());
  EXPECT_EQ(ended(*child), "was killed by SIGTERM");  // so it has its signals back: ours are blocked
}

TEST(Child, AProgramThatIsNotThere) {
  auto signals = StopSignals::take();
  ASSERT_TRUE(signals);
  auto child = Child::start({"/no/such/program"}, *signals);
  ASSERT_TRUE(child);
  const Status released = child->release();
  ASSERT_FALSE(released);
  EXPECT_EQ(released.error().code(), ErrorCode::kTargetGone);
  EXPECT_NE(released.error().message().find("cannot run /no/such/program: No such file"), std::string::npos);
  ended(*child);
}

TEST(Child, ExitsWhenItIsGivenUp) {
  auto signals = StopSignals::take();
  ASSERT_TRUE(signals);
  Pid pid = 0;
  {
    auto child = Child::start({"sleep", "1000"}, *signals);
    ASSERT_TRUE(child);
    pid = child->pid();
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), 127);
}

TEST(StopSignals, TheFirstIsWaitedForAndTheSecondKills) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto signals = StopSignals::take();
    if (!signals || signals->wait(std::chrono::nanoseconds(0))) ::_exit(1);
    ::kill(::getpid(), SIGTERM);  // raise() would be to this thread alone
    if (!signals->wait(std::chrono::seconds(60)) || !signals->stopped()) ::_exit(2);
    ::kill(::getpid(), SIGTERM);
    ::pause();
    ::_exit(3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

}  // namespace
}  // namespace memwhy::app
