// SPDX-License-Identifier: Apache-2.0
#include "procfs/text.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

namespace memwhy::procfs {
namespace {

TEST(MapsLine, EveryField) {
  const auto vma = parse_maps_line(
      "7f1c3a000000-7f1c3a021000 r-xp 0001f000 fd:01 1234567                    /usr/lib/libc.so.6");
  ASSERT_TRUE(vma);
  EXPECT_EQ(vma->range.start, 0x7f1c3a000000U);
  EXPECT_EQ(vma->range.end, 0x7f1c3a021000U);
  EXPECT_TRUE(vma->read);
  EXPECT_FALSE(vma->write);
  EXPECT_TRUE(vma->exec);
  EXPECT_FALSE(vma->shared);
  EXPECT_EQ(vma->offset, 0x1f000U);
  EXPECT_EQ(vma->device, makedev(0xfd, 1));
  EXPECT_EQ(vma->inode, 1234567U);
  EXPECT_EQ(vma->name, "/usr/lib/libc.so.6");
  EXPECT_FALSE(vma->shmem);
}

TEST(MapsLine, AnonymousHasNoName) {
  const auto vma = parse_maps_line("7f1c3a000000-7f1c3a021000 rw-p 00000000 00:00 0 ");
  ASSERT_TRUE(vma);
  EXPECT_EQ(vma->name, "");
  EXPECT_EQ(vma->device, 0U);
}

TEST(MapsLine, HostileNamesStayAsTheyStand) {
  const auto name = [](const std::string& text) {
    const auto vma = parse_maps_line("1000-2000 rw-s 00000000 00:01 77 " + text);
    return vma ? vma->name : "?";
  };
  EXPECT_EQ(name("                  /tmp/a\\012b c (deleted)"), "/tmp/a\\012b c (deleted)");
  EXPECT_EQ(name("/tmp/2000-3000 rw-p 0 00:00 0"), "/tmp/2000-3000 rw-p 0 00:00 0");
  EXPECT_EQ(name("[anon:x] y"), "[anon:x] y");
  EXPECT_EQ(name("/" + std::string(100'000, 'x')).size(), 100'001U);
  EXPECT_EQ(name("/\xff\x01"), "/\xff\x01");
}

TEST(MapsLine, SharedMemoryAndHugePagesByName) {
  const auto parse = [](const std::string& name) {
    return *parse_maps_line("1000-2000 rw-s 00000000 00:01 77  " + name);
  };
  EXPECT_TRUE(parse("/memfd:x (deleted)").shmem);
  EXPECT_TRUE(parse("/SYSV00000000 (deleted)").shmem);
  EXPECT_TRUE(parse("/dev/shm/ring").shmem);
  EXPECT_TRUE(parse("/dev/zero (deleted)").shmem);
  EXPECT_FALSE(parse("/dev/zero").shmem);
  EXPECT_TRUE(parse("/anon_hugepage (deleted)").hugetlb);
  EXPECT_FALSE(parse("/home/memfd:x").shmem);
}

TEST(MapsLine, EveryTruncationIsRefusedOrShort) {
  const std::string whole = "7f1c3a000000-7f1c3a021000 rw-p 00001000 fd:01 42 /x";
  const size_t complete = whole.find("42") + 1;  // from here on every field is there
  for (size_t n = 0; n < whole.size(); ++n) {
    const auto vma = parse_maps_line(std::string_view(whole).substr(0, n));
    EXPECT_EQ(vma.has_value(), n >= complete) << n;
  }
  EXPECT_FALSE(parse_maps_line("2000-1000 rw-p 00000000 00:00 0"));
  EXPECT_FALSE(parse_maps_line("1000-1000 rw-p 00000000 00:00 0"));
  EXPECT_FALSE(parse_maps_line("10000000000000000000-2 rw-p 00000000 00:00 0"));
}

TEST(StatText, CommMayHoldAnything) {
  const auto stat =
      parse_stat("77 (a) R 1 (b) S 1 2 3 4 5 4194304 7 8 9 10 11 12 13 14 15 16 3 0 987654 20 21");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->comm, "a) R 1 (b");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->parent, 1);
  EXPECT_EQ(stat->flags, 4194304U);
  EXPECT_EQ(stat->threads, 3U);
  EXPECT_EQ(stat->start_ticks, 987654U);
  EXPECT_FALSE(stat->kernel_thread());
  EXPECT_FALSE(stat->dead());
}

TEST(StatText, KernelThreadAndZombie) {
  EXPECT_TRUE(parse_stat("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0")->kernel_thread());
  EXPECT_TRUE(parse_stat("9 (x) Z 0 0 0 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 1 0")->dead());
  EXPECT_FALSE(parse_stat("9 (x) Z 0 0"));
  EXPECT_FALSE(parse_stat(""));
  EXPECT_FALSE(parse_stat(") ("));
}

TEST(StatusText, Values) {
  const ProcessStatus status = parse_status(
      "Name:\tx\nTgid:\t41\nNSpid:\t41\t7\t1\nVmHWM:\t    3000 kB\nRssAnon:\t     112 kB\nRssFile:\t    1636 "
      "kB\n"
      "RssShmem:\t       4 kB\nVmPTE:\t      44 kB\nVmSwap:\t       8 kB\nHugetlbPages:\t    2048 "
      "kB\nThreads:\t5\nCapEff:\t0000000000080004\n");
  EXPECT_EQ(status.rss_anon_bytes, 112U * 1024);
  EXPECT_EQ(status.rss_file_bytes, 1636U * 1024);
  EXPECT_EQ(status.rss_shmem_bytes, 4096U);
  EXPECT_EQ(status.peak_bytes, 3000U * 1024);
  EXPECT_EQ(status.page_table_bytes, 44U * 1024);
  EXPECT_EQ(status.swap_bytes, 8192U);
  EXPECT_EQ(status.hugetlb_bytes, 2048U * 1024);
  EXPECT_EQ(status.threads, 5U);
  EXPECT_EQ(status.tgid, 41);
  EXPECT_EQ(status.capabilities, 0x80004U);
  EXPECT_EQ(status.ns_pids, (std::vector<Pid>{41, 7, 1}));
  EXPECT_TRUE(status.has_memory());
  EXPECT_FALSE(parse_status("Name:\tx\nTgid:\t41\n").has_memory());
}

TEST(CgroupText, TheHierarchyThatLimitsMemory) {
  EXPECT_EQ(parse_cgroup("0::/user.slice\n"), (MemoryCgroup{true, "/user.slice"}));
  EXPECT_EQ(parse_cgroup("7:cpu,memory:/a:b/c\n4:pids:/p\n0::/u\n"), (MemoryCgroup{false, "/a:b/c"}));
  EXPECT_EQ(parse_cgroup("4:pids:/p\n0::/u\n"), (MemoryCgroup{true, "/u"}));  // hybrid, memory in v2
  EXPECT_EQ(parse_cgroup("4:notmemory:/p\n"), std::nullopt);
  EXPECT_EQ(parse_cgroup(""), std::nullopt);
}

TEST(CgroupText, Mounts) {
  const auto mounts = parse_cgroup_mounts(
      "30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
      "31 23 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
      "32 23 0:28 /pod\\0401 /mnt/my\\040group rw - cgroup2 none rw\n"
      "broken\n");
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_EQ(mounts[0], (CgroupMount{false, "/", "/sys/fs/cgroup/memory"}));
  EXPECT_EQ(mounts[1], (CgroupMount{true, "/pod 1", "/mnt/my group"}));
}

TEST(CgroupText, Directories) {
  const CgroupMount host{true, "/", "/g"};
  EXPECT_EQ(cgroup_directory(host, "/a/b"), "/g/a/b");
  EXPECT_EQ(cgroup_directory(host, "/"), "/g");
  EXPECT_EQ(cgroup_directory(host, "/../x"), std::nullopt);
  EXPECT_EQ(cgroup_directory(host, ""), std::nullopt);
  const CgroupMount part{true, "/pod", "/g"};
  EXPECT_EQ(cgroup_directory(part, "/pod/c"), "/g/c");
  EXPECT_EQ(cgroup_directory(part, "/pod"), "/g");
  EXPECT_EQ(cgroup_directory(part, "/podium"), std::nullopt);
  EXPECT_EQ(cgroup_directory(part, "/pod/../other"), std::nullopt);
  // The hierarchy of the host, mounted in a container that has a cgroup namespace of its own.
  const CgroupMount above{true, "/../..", "/host"};
  EXPECT_EQ(cgroup_directory(above, "/../../system/web"), "/host/system/web");
  EXPECT_EQ(cgroup_directory(above, "/../../../web"), std::nullopt);
  EXPECT_EQ(cgroup_directory(above, "/../web"), std::nullopt);
}

TEST(Numbers, OnlyWholeOnes) {
  EXPECT_EQ(parse_number("123\n"), 123U);
  EXPECT_EQ(parse_number("max\n"), std::nullopt);
  EXPECT_EQ(parse_number("12x"), std::nullopt);
  EXPECT_EQ(parse_number("99999999999999999999"), std::nullopt);
  EXPECT_EQ(parse_number(""), std::nullopt);
}

TEST(ElfClass, Machines) {
  const auto header = [](char wide, char order, char low, char high) {
    std::string bytes =
        "\x7f"
        "ELF";
    bytes += wide;
    bytes += order;
    bytes.resize(18);
    return bytes + low + high;
  };
  EXPECT_EQ(elf_class(header(2, 1, 62, 0)), "x86-64");
  EXPECT_EQ(elf_class(header(1, 1, 3, 0)), "i386");
  EXPECT_EQ(elf_class(header(1, 1, 62, 0)), "x32");
  EXPECT_EQ(elf_class(header(2, 1, static_cast<char>(183), 0)), "aarch64");
  EXPECT_EQ(elf_class(header(2, 2, 0, 22)), "s390x");
  EXPECT_EQ(elf_class(header(2, 1, 7, 1)), "machine 263");
  EXPECT_EQ(elf_class("\x7f"
                      "ELF"),
            "");
  EXPECT_EQ(elf_class("#!/bin/sh\n and more bytes"), "");
}

TEST(RssError, TheKernelsBound) {
  EXPECT_EQ(kernel_version("6.18.44-fc"), 6018U);
  EXPECT_EQ(kernel_version("5.4"), 5004U);
  EXPECT_EQ(kernel_version("x"), 0U);
  EXPECT_EQ(rss_error_bytes(6018, 4, 1), 3 * 32 * 4 * kPageBytes);
  EXPECT_EQ(rss_error_bytes(6002, 128, 1), uint64_t{3} * 256 * 128 * kPageBytes);
  EXPECT_EQ(rss_error_bytes(6001, 128, 10), 3 * 64 * 10 * kPageBytes);
}

}  // namespace
}  // namespace memwhy::procfs
