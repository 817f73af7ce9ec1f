// SPDX-License-Identifier: Apache-2.0
#include "probe/routes.h"

#include <gtest/gtest.h>

#include <string>

namespace memwhy::probe {
namespace {

// "1f 2": port 1, which follows, and port 2. In brackets: has read the last of it.
std::string ports(const Routes& routes, uint32_t space) {
  std::string text;
  for (const Routes::Way& way : routes.of(SpaceId{space})) {
    const std::string name = std::to_string(way.port) + (way.follows ? "f" : "");
    text += (text.empty() ? "" : " ") + (way.reads ? name : "(" + name + ")");
  }
  return text;
}

TEST(Routes, GoToEveryPortThatRecordsTheSpace) {
  Routes routes;
  routes.add(SpaceId{1}, 1, true);
  routes.add(SpaceId{2}, 2, false);
  routes.add(SpaceId{1}, 2, false);
  EXPECT_EQ(ports(routes, 1), "1f 2");
  EXPECT_EQ(ports(routes, 2), "2");
  EXPECT_EQ(ports(routes, 3), "");
  routes.add(SpaceId{1}, 2, true);
  EXPECT_EQ(ports(routes, 1), "1f 2f") << "traced again, with its children now";
}

TEST(Routes, AChildGoesToThoseWhoFollowAndAnExecToAll) {
  Routes routes;
  routes.add(SpaceId{1}, 1, true);
  routes.add(SpaceId{1}, 2, false);
  EXPECT_TRUE(routes.start(SpaceId{1}, SpaceId{3}, true));
  EXPECT_EQ(ports(routes, 3), "1f");
  EXPECT_TRUE(routes.start(SpaceId{1}, SpaceId{4}, false));
  EXPECT_EQ(ports(routes, 4), "1f 2");
  routes.add(SpaceId{9}, 2, false);
  EXPECT_FALSE(routes.start(SpaceId{9}, SpaceId{10}, true)) << "nobody's";
  EXPECT_FALSE(routes.start(SpaceId{77}, SpaceId{78}, false)) << "of an unknown one";
}

TEST(Routes, ASpaceIsOverWhenTheLastPortHasReadIt) {
  Routes routes;
  routes.add(SpaceId{1}, 1, true);
  routes.add(SpaceId{1}, 2, false);
  EXPECT_FALSE(routes.done(SpaceId{1}, 1));
  EXPECT_EQ(ports(routes, 1), "(1f) 2") << "an exec may still come";
  EXPECT_FALSE(routes.is_followed(SpaceId{1}));
  EXPECT_TRUE(routes.reads_alone(SpaceId{1}, 2));
  EXPECT_FALSE(routes.done(SpaceId{1}, 1)) << "twice";
  EXPECT_TRUE(routes.done(SpaceId{1}, 2));
  EXPECT_FALSE(routes.done(SpaceId{1}, 2));
  EXPECT_TRUE(routes.start(SpaceId{1}, SpaceId{2}, false)) << "the process is on its next space";
  EXPECT_EQ(ports(routes, 2), "1f 2") << "which is read again";
}

TEST(Routes, RemovingOneLeavesTheOther) {
  Routes routes;
  routes.add(SpaceId{1}, 1, true);
  routes.add(SpaceId{1}, 2, false);
  EXPECT_FALSE(routes.reads_alone(SpaceId{1}, 1));
  EXPECT_FALSE(routes.remove(SpaceId{1}, 1));
  EXPECT_EQ(ports(routes, 1), "2");
  EXPECT_TRUE(routes.reads_alone(SpaceId{1}, 2));
  EXPECT_FALSE(routes.remove(SpaceId{1}, 1));
  EXPECT_TRUE(routes.remove(SpaceId{1}, 2));
  EXPECT_EQ(routes.size(), 0u);
}

TEST(Routes, OfSpacesThatAreDoneWithAreForgottenInTheEnd) {
  Routes routes;
  routes.add(SpaceId{1}, 2, false);
  EXPECT_TRUE(routes.done(SpaceId{1}, 2));
  for (uint32_t space = 10; space < 10 + 2 * Routes::kMostDone; ++space) {
    routes.add(SpaceId{space}, 1, true);
    routes.done(SpaceId{space}, 1);
  }
  EXPECT_EQ(routes.size(), Routes::kMostDone + 1);
  EXPECT_EQ(ports(routes, 1), "(2)") << "a storm in one recording costs another nothing";
  EXPECT_EQ(ports(routes, 10), "");
  EXPECT_EQ(routes.all_of(1).size(), Routes::kMostDone);
}

}  // namespace
}  // namespace memwhy::probe
