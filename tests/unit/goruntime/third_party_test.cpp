// SPDX-License-Identifier: Apache-2.0
// Go programs that others built and stripped: esbuild, as npm ships it, after it has bundled something. It can't be asked for
// its metrics; the referee are the runtime's own counters, which must agree with each other and with every page.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "goruntime/pages.h"
#include "goruntime/spans.h"
#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"

namespace memwhy::goruntime::test {
namespace {

struct Version {
  const char* esbuild;
  int minor;            // of the Go that built it
  const char* version;  // the last two have no build info: what runtime.Version() says
};

constexpr std::array kVersions = {Version{"0.15.18", 19, "go1.19.3"}, Version{"0.19.12", 20, "go1.20.12"},
                                  Version{"0.23.1", 22, "go1.22.5"},  Version{"0.25.12", 23, "go1.23.12"},
                                  Version{"0.27.1", 25, "go1.25.4"},  Version{"0.28.2", 26, "go1.26.5"}};

void PrintTo(const Version& version, std::ostream* out) { *out << version.esbuild; }

std::string test_name(const testing::TestParamInfo<Version>& test) {
  return "esbuild_of_go1_" + std::to_string(test.param.minor);
}

std::string folder() { return std::string(MEMWHY_BUILD_DIR) + "/workloads"; }

// Path of the program; empty with `why` when npm can't be reached.
std::string fetched(const Version& version, std::string& why) {
  const std::string command =
      std::string(MEMWHY_TEST_DATA) + "/workloads/esbuild.py " + version.esbuild + " '" + folder() + "' 2>&1";
  FILE* out = ::popen(command.c_str(), "r");
  std::array<char, 4096> text{};
  const size_t n = std::fread(text.data(), 1, text.size() - 1, out);
  std::string answer(text.data(), n);
  while (!answer.empty() && answer.back() == '\n') answer.pop_back();
  if (::pclose(out) == 0) return answer;
  why = std::move(answer);
  return "";
}

// Something to bundle: 60 modules of 300 functions each.
std::string source(const std::string& into) {
  std::filesystem::create_directories(into);
  std::ofstream all(into + "/all.js");
  for (int module = 0; module < 60; ++module) {
    const std::string name = "m" + std::to_string(module);
    std::ofstream out(into + "/" + name + ".js");
    for (int i = 0; i < 300; ++i)
      out << "export function f" << i << "(a, b) { const c = [a, b, " << i
          << "].map((x) => x * 2); return {a, b, c}; }\n";
    all << "import * as " << name << " from './" << name << ".js'; console.log(" << name << ");\n";
  }
  return into + "/all.js";
}

class ThirdParty : public testing::TestWithParam<Version> {};

INSTANTIATE_TEST_SUITE_P(Npm, ThirdParty, testing::ValuesIn(kVersions), test_name);

TEST_P(ThirdParty, every_page_and_the_counters_agree) {
  std::string why;
  const std::string path = fetched(GetParam(), why);
  if (path.empty()) {
    const char* ci = std::getenv("CI");
    if (ci != nullptr && std::string(ci) == "true") FAIL() << why;
    GTEST_SKIP() << why;
  }
  const std::string work = testing::TempDir() + "memwhy-esbuild-" + std::to_string(::getpid());
  LiveTarget target(
      path, {source(work), "--bundle", "--minify", "--outfile=" + work + "/out.js", "--watch=forever"}, true);
  ASSERT_TRUE(target.wait_for("[watch] build finished, watching for changes..."));
  target.stop_between_work();
  const std::optional<GoProgram> program = target.program();
  std::filesystem::remove_all(work);
  ASSERT_TRUE(program);
  EXPECT_EQ(program->version, GetParam().version);
  const std::unique_ptr<remote::ProcessMemory> memory = target.memory();
  const Layout* layout = layout_of(GetParam().minor);
  ASSERT_NE(layout, nullptr);
  Result<Globals> globals = find_globals(*memory, *layout, program->image);
  ASSERT_TRUE(globals.ok()) << globals.error().message();
  Result<HeapPages> pages = read_pages(*memory, *globals);
  ASSERT_TRUE(pages.ok()) << pages.error().message();
  EXPECT_TRUE(pages->quiet);
  EXPECT_TRUE(pages->verified);
  const HeapCounters& c = pages->before;
  const uint64_t manual = c.in_stacks + c.in_work_bufs + c.in_ptr_scalar_bits;
  EXPECT_EQ(pages->total(PageClass::kHeapSpan), c.heap_in_use);
  EXPECT_EQ(pages->total(PageClass::kManualSpan), manual);
  EXPECT_EQ(pages->total(PageClass::kIdle), c.heap_free);
  EXPECT_EQ(pages->total(PageClass::kReleased) + pages->total(PageClass::kPadding), c.heap_released);
  EXPECT_EQ(pages->total(PageClass::kUnknown), 0u);
  EXPECT_EQ(c.heap_in_use + c.heap_free + manual + c.mspan_sys + c.mcache_sys + c.buckhash_sys +
                c.gc_misc_sys + c.other_sys + c.stacks_sys,
            c.mapped_ready);
  EXPECT_GE(c.heap_in_use, 4u << 20) << "too little to judge";
  EXPECT_GE(c.gc_cycles, 1u) << "too little to judge";

  Result<SpanTable> spans = read_spans(*memory, *globals, *pages);
  ASSERT_TRUE(spans.ok());
  EXPECT_EQ(spans->in_motion, 0u);
  uint64_t stacks = 0, objects = 0;
  for (const Span& span : spans->spans) {
    stacks += span.kind == SpanKind::kStack ? span.bytes() : 0;
    objects += span.kind == SpanKind::kObjects ? span.bytes() : 0;
  }
  EXPECT_EQ(stacks, c.in_stacks);
  EXPECT_EQ(objects, c.heap_in_use);
  std::printf("esbuild %s, Go 1.%d: %.1f MiB in use, %zu spans, %u collections\n", GetParam().esbuild,
              GetParam().minor, static_cast<double>(c.heap_in_use) / (1 << 20), spans->spans.size(),
              c.gc_cycles);
}

}  // namespace
}  // namespace memwhy::goruntime::test
