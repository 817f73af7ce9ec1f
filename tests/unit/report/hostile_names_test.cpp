// SPDX-License-Identifier: Apache-2.0

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "explain/explainer.h"
#include "report/json.h"
#include "report/text.h"
#include "support/event_script.h"

namespace memwhy::report {
namespace {

// Names that a hostile program gives itself, its files and its functions.
explain::Explanation hostile() {
  const std::string evil = "a\x1b[2J\xe2\x80\xae\xff\n\"b";
  auto events = memwhy::testing::parse_script(R"(@10 info tool=1 host=h kernel=k
anchor
hooks x:y not_seen="z"
binary b1 /bin/c inode=7 go=go1 race
attach 1 pid=5 comm=c exe=/bin/c binary=b1
symbol 1 0x401e00 binary=b1 f@main.c:13
stack s1 1 0x401e00
vmas 1
  400+16 r-xp /bin/c inode=7
  900+64 rw-p /data inode=8
  a00+64 rw-p x
  218000000+64 rw-p
@11 scan 1: 400+1 file
cgroup /x usage=1M limit=2M
@12 table 1: a00+5 s1 @11.5 w
@13 scan 1: 900+3, a00+5, 218000000+50
loss 1 removal 1
recording-end stopped
)");
  explain::Explainer explainer;
  for (events::Event& event : events) {
    if (auto* info = std::get_if<events::RecordingInfo>(&event.payload))
      info->host = info->kernel_release = evil, info->what = {"cgroup " + evil};
    if (auto* hooks = std::get_if<events::HookReport>(&event.payload)) {
      hooks->not_seen = {evil};
      hooks->hooks[0].name = hooks->hooks[0].attach = evil;
    }
    if (auto* binary = std::get_if<events::BinaryInfo>(&event.payload)) {
      binary->go->version = evil;
      binary->build_id = evil;
    }
    if (auto* start = std::get_if<events::SpaceStart>(&event.payload))
      start->comm = start->exe = start->cgroup = evil;
    if (auto* cgroup = std::get_if<events::CgroupMemory>(&event.payload)) cgroup->path = evil;
    if (auto* symbol = std::get_if<events::SymbolInfo>(&event.payload)) {
      symbol->frames[0].function = symbol->frames[0].file = evil;
    }
    if (auto* list = std::get_if<events::VmaList>(&event.payload))
      list->vmas[1].name = list->vmas[2].name = evil;
    if (auto* loss = std::get_if<events::Loss>(&event.payload)) loss->what = evil;
    if (auto* end = std::get_if<events::RecordingEnd>(&event.payload)) end->why = evil;
    explainer.on_event(event);
  }
  return explainer.finish({evil});
}

TEST(Escape, NothingHostileReachesTheTerminal) {
  constexpr Style kAscii = {.unicode = false};
  const std::string text =
      to_text(hostile(), {.style = kAscii}) + to_text(hostile(), {.full = true, .style = kAscii});
  for (const char c : text) {
    EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f))
        << "byte " << static_cast<int>(static_cast<unsigned char>(c));
  }
  EXPECT_NE(text.find("a\\x1b[2J\\u{202e}\\xff\\x0a\"b"), std::string::npos);
}

TEST(Escape, JsonIsAsciiAndKeepsTheName) {
  const std::string json = to_json(hostile());
  for (const char c : json) ASSERT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f));
  auto parsed = nlohmann::json::parse(json);
  // The broken byte is replaced, the rest is what the program called itself.
  EXPECT_EQ(parsed["processes"][0]["comm"], "a\x1b[2J\xe2\x80\xae\xef\xbf\xbd\n\"b");
}

}  // namespace
}  // namespace memwhy::report
