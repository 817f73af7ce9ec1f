// SPDX-License-Identifier: Apache-2.0
// What is said of code that was new faster than it was learned.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "explain/explainer.h"
#include "report/json.h"
#include "report/text.h"
#include "support/event_script.h"

namespace memwhy::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

explain::Explanation explained(const std::string& coverage) {
  explain::Explainer explainer;
  memwhy::testing::play("@10 attach 1 pid=5 comm=c\nvmas 1\n  900+64 rw-p\n@25 scan 1: 900+40\n" + coverage,
                        explainer);
  return explainer.finish();
}

std::string full(const explain::Explanation& explanation) {
  TextOptions options;
  options.full = true;
  return to_text(explanation, options);
}

constexpr const char* kRefused =
    "9 faults met new code when more was new than memwhy learns at once: their stacks may be cut short";

TEST(NewCode, ThatIsMoreThanIsLearnedIsSaid) {
  const auto some = explained("coverage seen=1000 copied=40 refused=9\n");
  EXPECT_THAT(to_text(some), Not(HasSubstr("new code"))) << "one fault in a hundred";
  EXPECT_THAT(full(some), HasSubstr(std::string("new code       9 faults met new code")));
  const auto many = explained("coverage seen=800 copied=40 refused=9\n");
  const auto json = nlohmann::json::parse(to_json(many, {}))["coverage"];
  EXPECT_EQ(json["snapshots_taken"], 40);
  EXPECT_EQ(json["snapshots_refused"], 9);
  TextOptions wide;
  wide.style.width = 200;
  EXPECT_THAT(to_text(many, wide), HasSubstr(std::string(kRefused) + "."));
}

TEST(NewCode, ThatIsAllLearnedIsNot) {
  const auto all = explained("coverage seen=1000 copied=40\n");
  EXPECT_THAT(full(all), Not(HasSubstr("new code")));
}

}  // namespace
}  // namespace memwhy::report
