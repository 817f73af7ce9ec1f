// SPDX-License-Identifier: Apache-2.0
// The largest pieces of the report, a line each: who touched them, and as much of who called that as there is room for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "explain/explainer.h"
#include "report/text.h"
#include "support/event_script.h"

namespace memwhy::report {
namespace {

using ::testing::HasSubstr;

// A page fault in the code at 0x401e00, called from 0x501f00 and that from 0x402f00.
std::string told(const std::string& symbols) {
  explain::Explainer explainer;
  memwhy::testing::play(
      "@10 binary b1 /srv/bin/server inode=7\nbinary b2 /usr/lib/libevent-2.1.so.7.0.1 inode=8\n"
      "attach 1 pid=5 comm=c exe=/srv/bin/server binary=b1\n" +
          symbols +
          "stack s1 1 0x401e00 0x501f00 0x402f00\nvmas 1\n  400+16 r-xp /srv/bin/server inode=7\n"
          "  500+16 r-xp /usr/lib/libevent-2.1.so.7.0.1 inode=8\n  900+64 rw-p\n"
          "@12 table 1: 900+40 s1 @11.5 w\n@25 scan 1: 400+3 file, 900+40\n",
      explainer);
  return to_text(explainer.finish());
}

TEST(Pieces, HaveTheirCallersByNameWhereFilesDoNotFit) {
  EXPECT_THAT(told("symbol 1 0x401e00 binary=b1 fill_a_buffer@/src/buffers.c:13\n"
                   "symbol 1 0x501f00 ret binary=b2 bufferevent_socket_new@:0\n"
                   "symbol 1 0x402f00 ret binary=b1 main@/src/main.c:20\n"),
              HasSubstr("anon.other  fill_a_buffer (buffers.c:13) < bufferevent_socket_new\n"));
  EXPECT_THAT(told("symbol 1 0x401e00 binary=b1 fill@/src/b.c:13\nsymbol 1 0x501f00 ret binary=b2 run@:0\n"
                   "symbol 1 0x402f00 ret binary=b1 main@/src/main.c:20\n"),
              HasSubstr("anon.other  fill (b.c:13) < run (libevent-2.1.so.7.0.1) < main\n"));
}

// What a stripped program did in a callback is not the doing of the library that called it.
TEST(Pieces, WithoutANameAreOfWhoTouchedThem) {
  EXPECT_THAT(told("symbol 1 0x401e00 binary=b1\nsymbol 1 0x501f00 ret binary=b2 event_base_loop@:0\n"),
              HasSubstr("anon.other  server+0x0 < event_base_loop (libevent-2.1.so.7.0.1)\n"));
}

}  // namespace
}  // namespace memwhy::report
