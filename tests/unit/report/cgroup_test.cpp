// SPDX-License-Identifier: Apache-2.0
// A container as a sum, in text and JSON: what is printed adds up to what is printed below.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "explain/explainer.h"
#include "report/json.h"
#include "report/text.h"
#include "support/event_script.h"

namespace memwhy::report {
namespace {

explain::Explanation explained(const std::string& what, const std::string& told) {
  explain::Explainer explainer;
  memwhy::testing::play("@10 info what=" + what + R"(
anchor
binary b1 /bin/c inode=7
attach 1 pid=5 comm=c exe=/bin/c binary=b1 cgroup=/pod/web
vmas 1
  400+16 r-xp /bin/c inode=7
  900000+16384 rw-p
@11 scan 1: 400+10 file, 900000+10240
@11 counters 1 anon=40M
)" + told,
                        explainer);
  return explainer.finish();
}

std::string part(const std::string& text, const std::string& begin) {
  const size_t at = text.find(begin);
  return at == std::string::npos ? "" : text.substr(at, text.find("\n\n", at) - at);
}

constexpr const char* kTold =
    "cgroup /pod v2 usage=200M limit=256M anon=60M file=120M shmem=10M reclaimable=100M kernel=15M slab=9M "
    "tables=5M sock=1M dirty=2M\n";

TEST(CgroupText, OfAProcess) {
  const auto text = to_text(explained("\"pid 5\"", kTold), {});
  EXPECT_EQ(part(text, "Container"),
            "Container /pod (cgroup version 2): limit 256.0 MiB - usage 200.0 = 56.0 MiB of\n"
            "room\n"
            "  2.0 MiB of the page cache are to be written first\n"
            "         MiB\n"
            "        40.0  anonymous memory of c (pid 5)\n"
            "        20.0  other anonymous memory\n"
            "       100.0  page cache that can be reclaimed\n"
            "        10.0  shared memory and tmpfs (shmem)\n"
            "        10.0  other page cache: locked, or on its way\n"
            "        15.0  kernel: slab 9.0 MiB, page tables 5.0 MiB\n"
            "         1.0  socket buffers\n"
            "         4.0  not told by the kernel: what CPUs hold in advance, counters that\n"
            "              lag\n"
            "       200.0  usage: 209,715,200 bytes");
}

TEST(CgroupText, OfAContainerThatWasAskedFor) {
  const auto e = explained("\"cgroup /pod\"",
                           "attach 2 pid=6 comm=d cgroup=/pod\ncounters 2 anon=25M\n"
                           "cgroup /pod usage=63M anon=60M kernel=5M\n");
  const auto text = to_text(e, {});
  EXPECT_EQ(part(text, "Container"),
            "Container /pod (cgroup version 1): usage 63.0 MiB, no limit\n"
            "         MiB\n"
            "        40.0  anonymous memory of c (pid 5)\n"
            "        25.0  anonymous memory of d (pid 6)\n"
            "        -5.0  of it shared by several (fork): counted once in the container\n"
            "         5.0  kernel\n"
            "        -2.0  not told by the kernel: what CPUs hold in advance, counters that\n"
            "              lag\n"
            "        63.0  usage: 66,060,288 bytes");
  EXPECT_TRUE(text.starts_with("Container"));
  const auto json = nlohmann::json::parse(to_json(e, {}));
  EXPECT_EQ(json["container"]["processes"].size(), 2u);
  EXPECT_EQ(json["container"]["other_anon_bytes"], -(5 << 20));
  EXPECT_EQ(json["container"]["cgroup"]["untold_bytes"], -(2 << 20));
}

// Three processes map 30 MiB of c since a fork: 10 of them are its share. The cgroup counts them once.
TEST(CgroupText, OfPagesThatSeveralMapEachHasItsShare) {
  const std::string scan = "@12 scan 1 shared=30M own=10M by=3: 400+10 file, 900000+10240\n";
  const auto e = explained("\"pid 5\"", scan + "cgroup /pod/web usage=63M limit=64M anon=60M\n");
  EXPECT_EQ(e.processes.at(0).anon_share_bytes, 20U << 20);
  const std::string text = part(to_text(e, {}), "Container");
  EXPECT_NE(
      text.find(
          "\n        20.0  anonymous memory of c (pid 5): its share\n        40.0  other anonymous memory\n"),
      std::string::npos)
      << text;
  const auto whole = explained("\"cgroup /pod\"", scan + "cgroup /pod usage=63M anon=60M\n");
  const std::string all = part(to_text(whole, {}), "Container");
  EXPECT_NE(all.find("\n        20.0  anonymous memory of c (pid 5): its share\n        40.0  anonymous "
                     "memory of processes "
                     "that are not recorded\n"),
            std::string::npos)
      << all;
  const auto json = nlohmann::json::parse(to_json(whole, {}))["container"];
  EXPECT_EQ(json["processes"][0]["anon_bytes"], 40 << 20);
  EXPECT_EQ(json["processes"][0]["anon_share_bytes"], 20 << 20);
}

TEST(CgroupText, SilentWithoutALimitAndInFullAllTheSame) {
  const auto e = explained("\"pid 5\"", "cgroup /pod/web usage=63M anon=60M\n");
  EXPECT_EQ(part(to_text(e, {}), "Container"), "");
  EXPECT_NE(part(to_text(e, {true, {}}), "Container"), "");
}

TEST(CgroupJson, UnknownIsNull) {
  const auto e = explained("\"pid 5\"", kTold);
  const auto memory = nlohmann::json::parse(to_json(e, {}))["processes"][0]["cgroup_memory"];
  EXPECT_EQ(memory["path"], "/pod");
  EXPECT_EQ(memory["version"], 2);
  EXPECT_EQ(memory["room_bytes"], 56 << 20);
  EXPECT_EQ(memory["held_bytes"], 100 << 20);
  EXPECT_EQ(memory["untold_bytes"], 4 << 20);
  EXPECT_TRUE(memory["swap_bytes"].is_null());
  const auto none = nlohmann::json::parse(to_json(explained("\"pid 5\"", ""), {}));
  EXPECT_TRUE(none["processes"][0]["cgroup_memory"].is_null());
  EXPECT_TRUE(none["container"].is_null());
}

}  // namespace
}  // namespace memwhy::report
