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

TEST(LargeVariables, AllOfThemInOrderAndWhatTheyAreCalled) {
  auto file = FileBytes::open(Fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)), 1 << 30);
  ASSERT_TRUE(file.ok());
  BlockCache bytes(std::move(*file), 1 << 20);
  const Result<ElfFile> elf = ElfFile::parse(bytes);
  ASSERT_TRUE(elf.ok());
  if (elf->section_of_type(SHT_SYMTAB) == nullptr) GTEST_SKIP() << "this test was stripped";
  const std::vector<AddressRange> all = variable_ranges(bytes, *elf, 1 << 18);
  ASSERT_FALSE(all.empty());
  for (size_t i = 1; i < all.size(); ++i) ASSERT_LE(all[i - 1].end, all[i].start);
  const auto large = std::find_if(all.begin(), all.end(),
                                  [](const AddressRange& range) { return range.bytes() == 24u << 20; });
  ASSERT_NE(large, all.end());
  const std::vector<std::string> names =
      variable_names(bytes, *elf, {large->start + 8, large->end - 1, large->end + (uint64_t{1} << 40)});
  EXPECT_NE(names[0].find("large_table_of_the_test"), std::string::npos) << names[0];
  EXPECT_EQ(names[1], names[0]);
  EXPECT_EQ(names[2], "");
  EXPECT_TRUE(variable_ranges(bytes, *elf, all.size() - 1).empty());  // too many
}

}  // namespace
}  // namespace memwhy::symbols
