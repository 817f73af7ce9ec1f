// SPDX-License-Identifier: Apache-2.0
// Golden: tests/golden/NAME.events through the whole model gives NAME.txt, NAME.full.txt and NAME.json, byte for byte.
// MEMWHY_UPDATE_GOLDEN=1 writes them anew; the diff is then to be read like code.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "allocators/glibc_lines.h"
#include "explain/explainer.h"
#include "report/json.h"
#include "report/text.h"
#include "support/event_script.h"

namespace memwhy::report {
namespace {

namespace fs = std::filesystem;

fs::path golden_dir() { return fs::path(MEMWHY_TEST_DATA) / "golden"; }

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void expect_golden(const fs::path& path, const std::string& actual) {
  if (std::getenv("MEMWHY_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << actual;
    return;
  }
  const std::string golden = read(path);
  const auto differ = std::mismatch(golden.begin(), golden.end(), actual.begin(), actual.end());
  const auto line = std::count(golden.begin(), differ.first, '\n') + 1;
  EXPECT_TRUE(golden == actual) << path.filename() << " differs from line " << line << " on, there is now:\n"
                                << std::string(differ.second,
                                               differ.second + std::min<std::ptrdiff_t>(
                                                                   200, actual.end() - differ.second))
                                << "\nMEMWHY_UPDATE_GOLDEN=1 writes it anew";
}

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, SameBytes) {
  explain::OwnerTable table;
  EXPECT_TRUE(table.add(allocators::glibc_lines()).ok());
  explain::Explainer explainer(table);
  memwhy::testing::play(read(golden_dir() / (GetParam() + ".events")), explainer);
  explain::Explanation explanation = explainer.finish();
  const std::string screen = to_text(explanation);
  EXPECT_LE(std::count(screen.begin(), screen.end(), '\n'), 60) << "a screen";
  expect_golden(golden_dir() / (GetParam() + ".txt"), screen);
  expect_golden(golden_dir() / (GetParam() + ".full.txt"), to_text(explanation, {.full = true}));
  expect_golden(golden_dir() / (GetParam() + ".json"), to_json(explanation));
}

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(golden_dir())) {
    if (entry.path().extension() == ".events") out.push_back(entry.path().stem().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

INSTANTIATE_TEST_SUITE_P(All, Golden, ::testing::ValuesIn(names()),
                         [](const ::testing::TestParamInfo<std::string>& test) { return test.param; });

}  // namespace
}  // namespace memwhy::report
