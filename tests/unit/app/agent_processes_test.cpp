// SPDX-License-Identifier: Apache-2.0
// The names of processes in a /proc of files: which are read again, and when.
#include "app/agent_processes.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>

namespace memwhy::app {
namespace {

constexpr TimeNs kSecond = 1'000'000'000;
constexpr int kPages = 4096;  // 16 MiB

class AgentProcessesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/memwhy-proc-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    write("loadavg", "0.10 0.20 0.30 1/234 100\n");
    Result<procfs::Root> root = procfs::Root::open(folder_);
    ASSERT_TRUE(root.ok());
    root_.emplace(*std::move(root));
    all_.emplace(*root_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  void process(int pid, const std::string& comm, int pages) const {
    const std::string directory = std::to_string(pid) + "/";
    write(directory + "statm", "90000 " + std::to_string(pages) + " 0 4 0 900 0\n");
    write(directory + "comm", comm + "\n");
    write(directory + "cgroup", "0::/system.slice/" + comm + ".service\n");
  }
  // The names after so many passes.
  std::map<Pid, std::string> names_after(int passes) {
    std::map<Pid, std::string> out;
    for (int i = 0; i < passes; ++i) {
      out.clear();
      for (const agent::Seen& each : all_->pass(now_ += kSecond)) out[each.pid] = each.comm;
    }
    return out;
  }

  std::filesystem::path folder_;
  std::optional<procfs::Root> root_;
  std::optional<AgentProcesses> all_;
  TimeNs now_ = 0;
};

// exec gives a process other pages, so its name is read again while they change, and else once in ten minutes.
TEST_F(AgentProcessesTest, NamesAreReadAgainOfThoseWhoseMemoryChanged) {
  process(20, "shell", kPages);
  process(21, "shell", kPages);
  EXPECT_EQ(names_after(1), (std::map<Pid, std::string>{{20, "shell"}, {21, "shell"}}));
  process(20, "server", kPages + 1);
  process(21, "other", kPages);
  EXPECT_EQ(names_after(20), (std::map<Pid, std::string>{{20, "server"}, {21, "shell"}}));
  EXPECT_EQ(names_after(600)[21], "other");
}

TEST_F(AgentProcessesTest, SmallOnesAreLeftAlone) {
  process(20, "shell", 100);
  names_after(1);
  process(20, "server", 200);
  EXPECT_EQ(names_after(20)[20], "shell");
}

}  // namespace
}  // namespace memwhy::app
