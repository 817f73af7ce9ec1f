// SPDX-License-Identifier: Apache-2.0
// Memory cgroups: the kernel's own texts of both versions, and the level of several that limits. The files are made here; a live
// one is read in tests/kernel.
#include "procfs/cgroup.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "procfs/cgroup_find.h"
#include "procfs/cgroup_text.h"

namespace memwhy::procfs {
namespace {

namespace fs = std::filesystem;

// Linux 6.12, in part.
constexpr const char* kStatOfV2 = R"(anon 314572800
file 157286400
kernel 20971520
kernel_stack 3145728
pagetables 4194304
sec_pagetables 0
percpu 1048576
sock 2097152
vmalloc 524288
shmem 10485760
zswap 0
zswapped 0
file_mapped 4096
file_dirty 8192
file_writeback 4096
swapcached 0
anon_thp 0
inactive_anon 0
active_anon 325058560
inactive_file 100663296
active_file 44040192
unevictable 0
slab_reclaimable 7340032
slab_unreclaimable 1048576
slab 8388608
workingset_refault_anon 0
)";

// Linux 6.18: those without "total_" are of the group alone.
constexpr const char* kStatOfV1 = R"(cache 4096
rss 8192
shmem 0
inactive_file 4096
hierarchical_memory_limit 536870912
total_cache 157286400
total_rss 314572800
total_rss_huge 2097152
total_shmem 10485760
total_mapped_file 12288
total_dirty 8192
total_writeback 4096
total_swap 65536
total_inactive_file 100663296
total_active_file 44040192
total_unevictable 0
)";

TEST(CgroupText, StatOfVersion2) {
  events::CgroupMemory memory;
  memory.usage_bytes = 503316480;
  parse_memory_stat(kStatOfV2, true, memory);
  EXPECT_EQ(memory.anon_bytes, 314572800U);
  EXPECT_EQ(memory.file_bytes, 157286400U);
  EXPECT_EQ(memory.kernel_bytes, 20971520U);
  EXPECT_EQ(memory.sock_bytes, 2097152U);
  EXPECT_EQ(memory.shmem_bytes, 10485760U);
  EXPECT_EQ(memory.reclaimable_bytes, 144703488U);  // both lists
  EXPECT_EQ(memory.dirty_bytes, 12288U);            // dirty and on its way
  EXPECT_EQ(memory.mapped_bytes, 4096U);
  EXPECT_EQ(memory.slab_bytes, 8388608U);
  EXPECT_EQ(memory.slab_reclaimable_bytes, 7340032U);
  EXPECT_EQ(memory.kernel_stack_bytes, 3145728U);
  EXPECT_EQ(memory.page_table_bytes, 4194304U);
  EXPECT_EQ(memory.percpu_bytes, 1048576U);
  EXPECT_EQ(memory.vmalloc_bytes, 524288U);
  EXPECT_EQ(memory.held_bytes(), 503316480U - 144703488U);
  EXPECT_EQ(memory.untold_bytes(), 503316480 - 314572800 - 157286400 - 20971520 - 2097152);
}

TEST(CgroupText, StatOfVersion1IncludesTheGroupsBelow) {
  events::CgroupMemory memory;
  parse_memory_stat(kStatOfV1, false, memory);
  EXPECT_EQ(memory.anon_bytes, 314572800U);
  EXPECT_EQ(memory.file_bytes, 157286400U);
  EXPECT_EQ(memory.shmem_bytes, 10485760U);
  EXPECT_EQ(memory.reclaimable_bytes, 144703488U);
  EXPECT_EQ(memory.dirty_bytes, 12288U);
  EXPECT_EQ(memory.swap_bytes, 65536U);
  EXPECT_EQ(memory.kernel_bytes, std::nullopt);  // another file has it
  EXPECT_EQ(memory.sock_bytes, std::nullopt);
}

TEST(CgroupText, KernelMemoryBeforeItWasTold) {  // Linux 5.10
  events::CgroupMemory memory;
  parse_memory_stat("anon 1\nkernel_stack 100\nslab 20\npercpu 3\n", true, memory);
  EXPECT_EQ(memory.kernel_bytes, 123U);
  memory = {};
  parse_memory_stat("anon 1\n", true, memory);
  EXPECT_EQ(memory.kernel_bytes, std::nullopt);
}

TEST(CgroupText, EventsAndPressure) {
  events::CgroupMemory memory;
  parse_memory_events("low 9\nhigh 1\nmax 22\noom 3\noom_kill 2\noom_group_kill 7\n", memory);
  EXPECT_EQ(memory.high_events, 1U);
  EXPECT_EQ(memory.max_events, 22U);
  EXPECT_EQ(memory.oom_events, 3U);
  EXPECT_EQ(memory.oom_kills, 2U);
  parse_memory_pressure("some avg10=0.00 avg60=0.02 avg300=0.03 total=718419\nfull avg10=0.00 total=254002\n",
                        memory);
  EXPECT_EQ(memory.waited_some_us, 718419U);
  EXPECT_EQ(memory.waited_full_us, 254002U);
}

TEST(CgroupText, NoGuessAndNoEndlessText) {
  events::CgroupMemory memory;
  parse_memory_stat("anon\nfile x\nkernel 12x\nsock 99999999999999999999\nshmem -1\n", true, memory);
  EXPECT_EQ(memory, events::CgroupMemory{});
  std::string text;
  for (size_t i = 0; i < kCgroupLinesAtMost; ++i) text += "no 1\n";
  parse_memory_stat(text + "anon 1\n", true, memory);
  EXPECT_EQ(memory.anon_bytes, std::nullopt);
}

class MadeCgroups : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "memwhy_cgroup_XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(path_); }
  void file(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  void group(const std::string& name, const std::string& usage, const std::string& limit) const {
    file(name + "/memory.current", usage + "\n");
    file(name + "/memory.max", limit + "\n");
  }
  CgroupReader reader() const {
    return CgroupReader({{true, "/", path_ / "v2"}, {false, "/", path_ / "v1"}});
  }
  fs::path path_;
};

TEST_F(MadeCgroups, TheLevelWithLeastRoomLimits) {
  group("v2/pod", "960", "1000");     // room 40
  group("v2/pod/web", "100", "500");  // a smaller limit, and more room
  group("v2/pod/web/idle", "30", "max");
  group("v2/free", "7", "max");
  const auto below = reader().room({true, "/pod/web/idle"});
  ASSERT_TRUE(below);
  EXPECT_EQ(below->path, "/pod");
  EXPECT_EQ(below->usage_bytes, 960U);
  EXPECT_EQ(below->limit_bytes, 1000U);
  const auto free = reader().room({true, "/free"});
  EXPECT_EQ(free->path, "/free");
  EXPECT_EQ(free->usage_bytes, 7U);
  EXPECT_EQ(free->limit_bytes, std::nullopt);
  EXPECT_EQ(reader().room({true, "/nowhere"})->usage_bytes, std::nullopt);
  EXPECT_FALSE(reader().room({true, "/../b"}));
}

TEST_F(MadeCgroups, ItsOwnFiguresAndThoseOfTheOneThatLimits) {
  group("v2/pod", "960", "1000");
  file("v2/pod/memory.stat", "anon 900\n");
  group("v2/pod/web", "100", "max");
  file("v2/pod/web/memory.stat", "anon 60\nfile 30\nkernel 4\nsock 2\nactive_file 25\n");
  file("v2/pod/web/memory.peak", "300\n");
  file("v2/pod/web/memory.high", "max\n");
  file("v2/pod/web/memory.swap.current", "5\n");
  file("v2/pod/web/memory.swap.max", "50\n");
  file("v2/pod/web/memory.events", "max 3\noom_kill 1\n");
  file("v2/pod/web/memory.pressure", "some avg10=0.00 total=8\n");
  const auto read = reader().read({true, "/pod/web"});
  ASSERT_EQ(read.size(), 2U);
  events::CgroupMemory web{"/pod/web", true, 100, {}, {}, 300, 60, 30, 4, 2};
  web.reclaimable_bytes = 25;
  web.swap_bytes = 5;
  web.swap_limit_bytes = 50;
  web.max_events = 3;
  web.oom_kills = 1;
  web.waited_some_us = 8;
  EXPECT_EQ(read[0], web);
  EXPECT_EQ(read[0].untold_bytes(), 4);
  EXPECT_EQ(read[1], (events::CgroupMemory{"/pod", true, 960, 1000, {}, {}, 900}));
  EXPECT_EQ(reader().read({true, "/pod"}).size(), 1U);
  EXPECT_TRUE(reader().read({true, "/nowhere"}).empty());
}

// Files of Debian's kernels in a virtual machine: a shell in a cgroup of version 2 with a limit of 64 MiB that has written 10 MiB
// into files of a tmpfs.
TEST(CgroupFiles, OfRunningKernels) {
  struct Expected {
    const char* folder;
    uint64_t usage, peak, anon, kernel, tables, slab;
  };
  for (const Expected& is : {Expected{"linux-6.1", 10838016, 11804672, 73728, 122880, 20480, 56024},
                             Expected{"linux-6.12", 10805248, 11784192, 69632, 126976, 36864, 56600}}) {
    const CgroupReader reader({{true, "/", std::string(MEMWHY_TEST_DATA "/data/cgroup/") + is.folder}});
    const auto read = reader.read({true, "/"});
    ASSERT_EQ(read.size(), 1U) << is.folder;
    const events::CgroupMemory& memory = read[0];
    EXPECT_EQ(memory.usage_bytes, is.usage);
    EXPECT_EQ(memory.limit_bytes, 64U << 20);
    EXPECT_EQ(memory.high_bytes, std::nullopt);
    EXPECT_EQ(memory.peak_bytes, is.peak);
    EXPECT_EQ(memory.anon_bytes, is.anon);
    EXPECT_EQ(memory.file_bytes, 10U << 20);
    EXPECT_EQ(memory.shmem_bytes, 10U << 20);
    EXPECT_EQ(memory.reclaimable_bytes, 0U);
    EXPECT_EQ(memory.kernel_bytes, is.kernel);
    EXPECT_EQ(memory.page_table_bytes, is.tables);
    EXPECT_EQ(memory.kernel_stack_bytes, 16384U);
    EXPECT_EQ(memory.slab_bytes, is.slab);
    EXPECT_EQ(memory.sock_bytes, 0U);
    EXPECT_EQ(memory.swap_bytes, 0U);
    EXPECT_EQ(memory.swap_limit_bytes, std::nullopt);
    EXPECT_EQ(memory.max_events, 0U);
    EXPECT_EQ(memory.oom_kills, 0U);
    EXPECT_EQ(memory.waited_some_us, 0U);
    EXPECT_EQ(memory.untold_bytes(), static_cast<int64_t>(is.usage - is.anon - (10U << 20) - is.kernel));
  }
}

TEST_F(MadeCgroups, OfVersion1) {
  file("v1/x/memory.usage_in_bytes", "42\n");
  file("v1/x/memory.limit_in_bytes", "9223372036854771712\n");
  file("v1/x/memory.kmem.usage_in_bytes", "7\n");
  file("v1/x/memory.max_usage_in_bytes", "90\n");
  file("v1/x/memory.failcnt", "2\n");
  file("v1/x/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  file("v1/x/memory.stat", "rss 1\ntotal_rss 30\ntotal_cache 4\n");
  events::CgroupMemory x{"/x", false, 42, {}, {}, 90, 30, 4, 7};
  x.max_events = 2;
  x.oom_kills = 1;
  EXPECT_EQ(reader().read({false, "/x"}), std::vector{x});
  // By its path alone: the hierarchy with the controller, which is of version 1 where that is mounted.
  EXPECT_EQ(reader().read(std::string("/x")), std::vector{x});
}

// systemd's hybrid layout: version 2 is mounted beside version 1 for systemd's own use, without controllers, and each process has
// a path in both.
TEST_F(MadeCgroups, OfAHybridHost) {
  const std::string root = path_.string();
  const auto mounts = parse_cgroup_mounts(
      "30 23 0:26 / " + root + "/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate\n31 23 0:27 / " + root +
      "/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd\n34 23 0:30 / " + root +
      "/memory rw shared:14 - cgroup cgroup rw,memory\n");
  const auto of_process = parse_cgroup(
      "12:memory:/system.slice/web.service\n2:pids:/system.slice/web.service\n"
      "1:name=systemd:/system.slice/web.service\n0::/system.slice/web.service\n");
  ASSERT_TRUE(of_process);
  file("unified/system.slice/web.service/cgroup.procs", "7\n");
  file("memory/system.slice/memory.usage_in_bytes", "900\n");
  file("memory/system.slice/memory.limit_in_bytes", "1000\n");
  file("memory/system.slice/web.service/memory.usage_in_bytes", "500\n");
  file("memory/system.slice/web.service/memory.limit_in_bytes", "9223372036854771712\n");
  file("memory/system.slice/web.service/memory.stat", "rss 1\ntotal_rss 300\ntotal_cache 150\n");
  const CgroupReader reader(mounts);
  const auto read = reader.read(*of_process);
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0], (events::CgroupMemory{"/system.slice/web.service", false, 500, {}, {}, {}, 300, 150}));
  EXPECT_EQ(read[1], (events::CgroupMemory{"/system.slice", false, 900, 1000}));
  EXPECT_EQ(reader.room(*of_process)->path, "/system.slice");
  EXPECT_EQ(*find_cgroup(mounts, "web"), "/system.slice/web.service");
  // Where version 2 has the controller, it is asked.
  const CgroupReader of_2({{true, "/", path_ / "v2"}});
  group("v2/system.slice/web.service", "500", "600");
  const auto in_2 = parse_cgroup("4:pids:/system.slice/web.service\n0::/system.slice/web.service\n");
  ASSERT_TRUE(in_2);
  EXPECT_EQ(of_2.room(*in_2)->limit_bytes, 600U);
}

constexpr const char* kId = "3f1c9a0be77d2f0c11aa22bb33cc44dd55ee66ff778899001122334455667788";

TEST(CgroupNames, OfUnitsAndContainers) {
  EXPECT_TRUE(names_cgroup("web.service", "web.service"));
  EXPECT_TRUE(names_cgroup("web.service", "web"));
  EXPECT_TRUE(names_cgroup("run-7.scope", "run-7"));
  EXPECT_FALSE(names_cgroup("webs.service", "web"));
  EXPECT_FALSE(names_cgroup("web.mount", "web"));
  const std::string id = kId;
  for (const std::string& name :
       {id, "docker-" + id + ".scope", "cri-containerd-" + id + ".scope", "libpod-" + id}) {
    EXPECT_TRUE(names_cgroup(name, id)) << name;
    EXPECT_TRUE(names_cgroup(name, id.substr(0, 12))) << name;
    EXPECT_FALSE(names_cgroup(name, id.substr(0, 11))) << name;  // too short to be an id
    EXPECT_FALSE(names_cgroup(name, id.substr(1, 12))) << name;  // its middle
  }
  EXPECT_FALSE(names_cgroup(id.substr(0, 40), id.substr(0, 12)));  // no id
}

class FindCgroup : public MadeCgroups {
 protected:
  void directory(const std::string& name) const { fs::create_directories(path_ / name); }
  Result<std::string> find(const std::string& text) const {
    return find_cgroup({{true, "/", path_ / "v2"}}, text);
  }
};

TEST_F(FindCgroup, ByPathDirectoryUnitAndContainer) {
  directory("v2/system.slice/web.service/below/web.service");
  directory("v2/kubepods.slice/pod1/cri-containerd-" + std::string(kId) + ".scope");
  EXPECT_EQ(*find("/system.slice/web.service"), "/system.slice/web.service");
  EXPECT_EQ(*find("/nowhere/"), "/nowhere");
  EXPECT_EQ(*find("a/b"), "/a/b");
  EXPECT_EQ(*find((path_ / "v2/kubepods.slice").string()), "/kubepods.slice");
  EXPECT_EQ(*find((path_ / "v2").string() + "/"), "/");
  EXPECT_EQ(*find("web.service"), "/system.slice/web.service");
  EXPECT_EQ(*find("web"), "/system.slice/web.service");
  EXPECT_EQ(*find("3f1c9a0be77d"), "/kubepods.slice/pod1/cri-containerd-" + std::string(kId) + ".scope");
}

TEST_F(FindCgroup, WhatAMountShowsOnlyInPart) {
  directory("v2/web.service");
  const std::vector<CgroupMount> mounts = {{true, "/user", path_ / "v2"}};
  EXPECT_EQ(*find_cgroup(mounts, "web"), "/user/web.service");
  EXPECT_EQ(*find_cgroup(mounts, (path_ / "v2/web.service").string()), "/user/web.service");
}

TEST_F(FindCgroup, NoneOrSeveral) {
  directory("v2/a/web.service");
  directory("v2/b/web.scope");
  const auto several = find("web");
  ASSERT_FALSE(several);
  EXPECT_EQ(several.error().code(), ErrorCode::kUsage);
  EXPECT_EQ(several.error().message(),
            "2 cgroups have the name web: /a/web.service, /b/web.scope; give the whole path of one");
  const auto none = find("nowhere");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), ErrorCode::kTargetGone);
  EXPECT_EQ(find_cgroup({}, "web").error().code(), ErrorCode::kEnvironment);
}

}  // namespace
}  // namespace memwhy::procfs
