// SPDX-License-Identifier: Apache-2.0
// The large variables of a program: this one.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "symbols/large_variables.h"

namespace memwhy::symbols {

char large_table_of_the_test[24 << 20];  // NOLINT: it is what is looked for
char small_table_of_the_test[64 << 10];  // NOLINT: too small to be told

namespace {

TEST(LargeVariables, ByNameLargestFirst) {
  large_table_of_the_test[1] = small_table_of_the_test[2] = 1;
  Result<std::unique_ptr<FileBytes>> file =
      FileBytes::open(Fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)), 1 << 30);
  ASSERT_TRUE(file.ok());
  BlockCache bytes(std::move(*file), 1 << 20);
  const Result<ElfFile> elf = ElfFile::parse(bytes);
  ASSERT_TRUE(elf.ok());
  const std::vector<events::ProgramVariable> found = large_variables(bytes, *elf);
  ASSERT_FALSE(found.empty());
  EXPECT_LE(found.size(), kMostVariables);
  EXPECT_EQ(found.front().bytes, 24u << 20);
  EXPECT_EQ(found.front().section, ".bss");
  EXPECT_TRUE(found.front().name.empty() ||  // stripped: the section speaks
              found.front().name.find("large_table_of_the_test") != std::string::npos)
      << found.front().name;
  for (size_t i = 1; i < found.size(); ++i) EXPECT_LE(found[i].bytes, found[i - 1].bytes);
  EXPECT_TRUE(std::none_of(found.begin(), found.end(), [](const events::ProgramVariable& each) {
    return each.name.find("small_table") != std::string::npos;
  }));
}

}  // namespace
}  // namespace memwhy::symbols
