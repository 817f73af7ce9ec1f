// SPDX-License-Identifier: Apache-2.0
// What the tests of exports export: a script, played through the whole model; and an export as a string.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <string>
#include <string_view>

#include "explain/explainer.h"
#include "export/exporter.h"
#include "support/event_script.h"

namespace memwhy::exports::test {

class Played {
 public:
  explicit Played(std::string_view script) : Played(memwhy::testing::parse_script(script)) {}
  explicit Played(const std::vector<events::Event>& events) {
    explain::Explainer explainer;
    for (const events::Event& event : events) {
      explainer.on_event(event);
      scans.on_event(event);
    }
    explanation = explainer.finish();
  }
  std::string as(void (*write)(const Material&, Output&)) const {
    std::string out;
    Output stream([&out](std::string_view bytes) -> Status {
      out += bytes;
      return {};
    });
    write({explanation, scans}, stream);
    EXPECT_TRUE(stream.finish().ok());
    return out;
  }

  explain::Explanation explanation;
  ScanSeries scans;
};

// What gzip would make of it; a test fails where it would not.
inline std::string inflated(const std::string& packed) {
  z_stream z{};
  EXPECT_EQ(inflateInit2(&z, 15 + 16), Z_OK);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));  // NOLINT: not written to
  z.avail_in = static_cast<uInt>(packed.size());
  std::string out;
  std::array<char, 4096> piece;
  int status = Z_OK;
  while (status == Z_OK) {
    z.next_out = reinterpret_cast<Bytef*>(piece.data());
    z.avail_out = piece.size();
    status = inflate(&z, Z_NO_FLUSH);
    out.append(piece.data(), piece.size() - z.avail_out);
  }
  EXPECT_EQ(status, Z_STREAM_END);
  inflateEnd(&z);
  return out;
}

// Five pages by a whole stack, three of a file, two from before; a second process with one page.
inline constexpr const char* kTwoProcesses = R"(@10 info tool=1 host=h kernel=k arch=x86_64
anchor
binary b1 /bin/c inode=7 build=c0ffee
attach 1 pid=5 comm=c exe=/bin/c binary=b1
attach 2 pid=6 comm=d exe=/bin/c binary=b1
symbol 1 0x401e00 binary=b1 work@/src/main.c:13
symbol 1 0x401f00 ret binary=b1 "[u8; 32]::of@/src/main.c:20"
stack s1 1 0x401e00 0x401f00
vmas 1
  400+16 r-xp /bin/c inode=7
  900+64 rw-p
vmas 2
  900+64 rw-p
@11 scan 1: 400+3 file, 920+2
@11 scan 2: 900+1
@12 table 1: 900+5 s1 @11.5 w
@13 scan 1: 400+3 file, 900+5, 920+2
@13 scan 2: 900+1
recording-end stopped
)";

}  // namespace memwhy::exports::test
