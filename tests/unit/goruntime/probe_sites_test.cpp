// SPDX-License-Identifier: Apache-2.0
// Sites of the probed functions in live programs of every Go release and way to build, against their own machine code.
#include "goruntime/probe_sites.h"

#include <gtest/gtest.h>

#include "unit/goruntime/go_programs.h"
#include "unit/goruntime/live_target.h"

namespace memwhy::goruntime::test {
namespace {

using events::GoFunction;

std::vector<Build> matrix() {
  std::vector<Build> out;
  for (const Release release : kReleases)
    for (const Variant variant :
         {Variant::kPlain, Variant::kStripped, Variant::kPie, Variant::kRace, Variant::kCgo})
      if (variant <= Variant::kStripped || release.minor == 19 || release.minor >= 26)
        out.push_back({release, variant});
  return out;
}

class ProbeSitesOf : public testing::TestWithParam<Build> {};
INSTANTIATE_TEST_SUITE_P(Go, ProbeSitesOf, testing::ValuesIn(matrix()), name_of);

TEST_P(ProbeSitesOf, AreConditionalJumps) {
  const std::string path = built(GetParam());
  MEMWHY_REQUIRE_BUILT(path, GetParam());
  LiveTarget target(path);
  ASSERT_TRUE(target.wait_for("ready"));
  const std::optional<GoProgram> program = target.program();
  ASSERT_TRUE(program);
  Result<std::unique_ptr<symbols::FileBytes>> bytes =
      symbols::FileBytes::open(Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), uint64_t{1} << 32);
  ASSERT_TRUE(bytes);
  Result<std::unique_ptr<symbols::Binary>> binary = symbols::Binary::open(std::move(*bytes));
  ASSERT_TRUE(binary);
  const uint64_t bias = program->image.pclntab - (*binary)->go_table()->vaddr;
  const std::unique_ptr<remote::ProcessMemory> memory = target.memory();
  ASSERT_NE(memory, nullptr);

  const symbols::ProgramFacts facts = symbols::describe_program(**binary, probe_question());
  const ProbeSites found = find_probe_sites(facts, *memory, bias, true);
  EXPECT_TRUE(found.not_probed.empty()) << found.not_probed.front();
  ASSERT_EQ(found.sites.size(), events::kGoFunctions);
  for (const events::GoSite& site : found.sites) {
    std::array<uint8_t, 2> now{};
    ASSERT_TRUE(memory->read(site.address, std::as_writable_bytes(std::span(now))));
    EXPECT_EQ(now[0], site.byte);
    EXPECT_TRUE(now[0] == 0x76 || (now[0] == 0x0f && now[1] == 0x86)) << go_function_name(site.function);
    const std::vector<events::SourceFrame> frames = (*binary)->lookup(site.address - bias, false);
    ASSERT_FALSE(frames.empty());
    EXPECT_EQ((*binary)->elf().offset_of(site.address - bias), site.offset);
    if (site.function == GoFunction::kLargeAllocation) {
      EXPECT_EQ(frames.back().function, "runtime.(*mcache).allocLarge");
    }
    if (site.function == GoFunction::kSampledAllocation) {
      EXPECT_EQ(site.argument == events::GoSite::Register::kCx, GetParam().release.minor >= 23);
    }
  }

  // Without the functions that read the profile the runtime does not sample.
  EXPECT_EQ(find_probe_sites(facts, *memory, bias, false).sites.size(), events::kGoFunctions - 1);
  // Moved by a byte: nothing of it is the file's code.
  const ProbeSites wrong = find_probe_sites(facts, *memory, bias + 1, true);
  EXPECT_TRUE(wrong.sites.empty());
  EXPECT_EQ(wrong.not_probed.size(), events::kGoFunctions);
}

}  // namespace
}  // namespace memwhy::goruntime::test
