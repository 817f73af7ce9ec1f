// SPDX-License-Identifier: Apache-2.0
#include "agent/unit.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace memwhy::agent {
namespace {

const std::string kId = "0123456789ab" + std::string(52, 'f');
const std::string kPod = "1f2e3d4c_5b6a_7980_1122_334455667788";

std::string unit(const std::string& cgroup) { return unit_of(cgroup, "web", {}); }

TEST(UnitTest, ContainersOfEveryRuntimeAndDriver) {
  EXPECT_EQ(unit("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + kPod +
                 ".slice/cri-containerd-" + kId + ".scope"),
            "containerd:0123456789ab");
  EXPECT_EQ(unit("/kubepods.slice/kubepods-pod" + kPod + ".slice/crio-" + kId + ".scope"),
            "cri-o:0123456789ab");
  EXPECT_EQ(unit("/kubepods/besteffort/pod1f2e/" + kId),
            "container:0123456789ab");  // cgroupfs: nobody's name
  EXPECT_EQ(unit("/system.slice/docker-" + kId + ".scope"), "docker:0123456789ab");
  EXPECT_EQ(unit("/docker/" + kId), "docker:0123456789ab");
  EXPECT_EQ(unit("/machine.slice/libpod-" + kId + ".scope/container"), "podman:0123456789ab");
  EXPECT_EQ(
      unit("/system.slice/containerd.service/kubepods-burstable-pod" + kPod + ".slice:cri-containerd:" + kId),
      "containerd:0123456789ab");
  EXPECT_EQ(unit("/docker/" + std::string(64, 'a') + "/kubelet.slice/kubelet-kubepods.slice/cri-containerd-" +
                 kId + ".scope"),
            "containerd:aaaaaaaaaaaa");  // kind: the node is a container, and the outer one is the unit
}

TEST(UnitTest, ServicesAndWhatHasNoName) {
  EXPECT_EQ(unit("/system.slice/nginx.service"), "nginx.service");
  EXPECT_EQ(unit("/system.slice/system-getty.slice/getty@tty1.service"), "getty@tty1.service");
  EXPECT_EQ(unit("/system.slice/web.service/worker/3"), "web.service");
  EXPECT_EQ(unit("/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service"), "sync.service");
  EXPECT_EQ(unit("/user.slice/user-1000.slice/user@1000.service/init.scope"), "web");
  EXPECT_EQ(unit("/user.slice/user-1000.slice/session-3.scope"), "web");
  EXPECT_EQ(unit("/"), "web");
  EXPECT_EQ(unit(""), "web");
}

TEST(UnitTest, APodIsNamedByItsLogAndKeepsItsNameWhenItIsStartedAgain) {
  const std::filesystem::path folder = ::testing::TempDir() + "containers";
  std::filesystem::create_directories(folder);
  const std::string second = "0123456789ab" + std::string(52, 'e');
  for (const std::string& id : {kId, second})
    std::ofstream(folder / ("checkout-7d9f-x2_shop_api-" + id + ".log")) << "";
  std::ofstream(folder / "README") << "";
  const ContainerNames names = read_container_names(folder);
  EXPECT_EQ(names.size(), 2u);
  for (const std::string& id : {kId, second})
    EXPECT_EQ(unit_of("/kubepods/pod1/" + id, "web", names), "shop/checkout-7d9f-x2/api");
  std::filesystem::remove_all(folder);
  EXPECT_TRUE(read_container_names(folder).empty());
}

TEST(UnitTest, LogNamesThatAreNone) {
  for (const std::string& file :
       {"a_b_c-" + kId, "a_b-" + kId + ".log", "__c-" + kId + ".log", "a_b_-" + kId + ".log",
        std::string(".log"), "a_b_c" + kId + ".log", "a_b_c-" + kId.substr(1) + "g.log"})
    EXPECT_FALSE(parse_log_name(file)) << file;
}

TEST(UnitTest, FileNamesAreOneComponentAndPrintable) {
  EXPECT_EQ(file_name_of("shop/checkout/api"), "shop+checkout+api");
  EXPECT_EQ(file_name_of("../x"), "_..+x");
  EXPECT_EQ(file_name_of(""), "_");
  EXPECT_EQ(file_name_of("a b\x01\xff"), "a_b__");
  EXPECT_EQ(file_name_of(std::string(300, 'x')).size(), 100u);
}

}  // namespace
}  // namespace memwhy::agent
