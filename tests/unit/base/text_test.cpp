// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gtest/gtest.h>

namespace memwhy {
namespace {

TEST(Escape, ControlCharactersBidiAndBrokenUtf8) {
  EXPECT_EQ(escape("plain /usr/lib/x.so"), "plain /usr/lib/x.so");
  EXPECT_EQ(escape("a\x1b[31mb\n\t\x7f"), "a\\x1b[31mb\\x0a\\x09\\x7f");
  EXPECT_EQ(escape(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(escape("caf\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x90\x8d"), "caf\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x90\x8d");
  EXPECT_EQ(escape("x\xe2\x80\xaey"), "x\\u{202e}y");  // right-to-left override
  EXPECT_EQ(escape("x\xe2\x81\xa6y\xe2\x80\x8b"), "x\\u{2066}y\\u{200b}");
  EXPECT_EQ(escape("\xc2\x9b"
                   "31m"),
            "\\u{9b}31m");  // CSI as one character
  EXPECT_EQ(escape("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(escape("\xc0\x9b"), "\\xc0\\x9b");                    // ESC-like, overlong
  EXPECT_EQ(escape("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(escape("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond Unicode
}

TEST(Text, BytesAreNeverATenthOfTheNextUnit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(512), "512 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(4096), "4.0 KiB");
  EXPECT_EQ(human_bytes((uint64_t{1} << 20) - 1), "1.0 MiB");
  EXPECT_EQ(human_bytes(451'936'256), "431.0 MiB");
  EXPECT_EQ(human_bytes(uint64_t{3} << 30), "3.0 GiB");
}

TEST(Text, ThousandsAreGrouped) {
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(537'182'208), "537,182,208");
}

}  // namespace
}  // namespace memwhy
