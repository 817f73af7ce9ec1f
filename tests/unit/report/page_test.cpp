// SPDX-License-Identifier: Apache-2.0
// What a terminal is given: colour only where it is wanted, bars that are not longer than their share, columns that are
// characters and not bytes.
#include "report/page.h"

#include <gtest/gtest.h>

#include "report/layout.h"

namespace memwhy::report {
namespace {

TEST(Page, ColoursOnlyTheHeadOfAParagraph) {
  Page plain({});
  plain.paragraph("  remedy  ", "restart", Ink::kGreen);
  EXPECT_EQ(plain.take(), "  remedy  restart\n");
  Page coloured({.colour = true});
  coloured.paragraph("  remedy  ", "restart", Ink::kGreen);
  EXPECT_EQ(coloured.take(), "\x1b[32m  remedy  \x1b[0mrestart\n");
  Page whole({.colour = true});
  whole.paragraph("", "a verdict", Ink::kBold);
  EXPECT_EQ(whole.take(), "\x1b[1ma verdict\x1b[0m\n");
}

TEST(Page, BreaksAtItsWidth) {
  Page narrow({.width = 12});
  narrow.paragraph("a ", "bbb ccc dddd");
  EXPECT_EQ(narrow.take(), "a bbb ccc\n  dddd\n");
}

TEST(Page, Bars) {
  const Page page({}), ascii({.unicode = false});
  EXPECT_EQ(page.bar(1000, 4), "████");
  EXPECT_EQ(page.bar(500, 4), "██");
  EXPECT_EQ(page.bar(540, 4), "██▏");
  EXPECT_EQ(page.bar(1, 4), "▏") << "what is not nothing has a mark";
  EXPECT_EQ(page.bar(0, 4), "");
  EXPECT_EQ(ascii.bar(500, 4), "##");
  EXPECT_EQ(ascii.bar(1, 4), "#");
}

TEST(Page, ColumnsAreCharacters) {
  EXPECT_EQ(columns("größe"), 5u);
  EXPECT_EQ(cut("größe", 5), "größe");
  EXPECT_EQ(cut("größere", 6), "grö...");
  EXPECT_EQ(cut("abcdef", 2), "..");
}

}  // namespace
}  // namespace memwhy::report
