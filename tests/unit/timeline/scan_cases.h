// SPDX-License-Identifier: Apache-2.0
// A case of these tests: a script, and what its scans come to.
#pragma once

#include <gtest/gtest.h>

#include "support/timeline_text.h"

namespace memwhy::testing {

inline void expect_scans(std::string_view script, std::string_view scans, Detail detail = Detail::kGroups) {
  EXPECT_EQ(reconcile(script, detail), trim_margin(scans)) << "of the script:\n" << script;
}

}  // namespace memwhy::testing
