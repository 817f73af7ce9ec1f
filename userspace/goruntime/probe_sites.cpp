// SPDX-License-Identifier: Apache-2.0
#include "goruntime/probe_sites.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "goruntime/layout.h"
#include "symbols/stack_check.h"

namespace memwhy::goruntime {
namespace {

using events::GoFunction;
using Register = events::GoSite::Register;

constexpr uint8_t kGoPageShift = 13;

struct Probed {
  GoFunction function;
  const char* name;
  Register argument;
  uint8_t shift;
};

// The receiver, if there is one, is in AX; the next arguments in BX, CX.
constexpr std::array<Probed, events::kGoFunctions> kProbed = {{
    {GoFunction::kLargeAllocation, "runtime.(*mcache).allocLarge", Register::kBx, 0},
    {GoFunction::kHeapGrow, "runtime.(*mheap).grow", Register::kBx, kGoPageShift},
    {GoFunction::kSampledAllocation, "runtime.mProf_Malloc", Register::kBx, 0},
    {GoFunction::kScavenge, "runtime.(*pageAlloc).scavenge", Register::kBx, 0},
    {GoFunction::kCollectionStart, "runtime.(*gcControllerState).startCycle", Register::kNone, 0},
    {GoFunction::kMarkEnd, "runtime.gcMarkTermination", Register::kNone, 0},
}};
constexpr int kSampleTakesM = 23;  // from this release on mProf_Malloc(mp, p, size)

// "go1.26.8" -> 26
int minor_of(const std::string& version) {
  int minor = 0;
  if (!version.starts_with("go1.")) return 0;
  for (size_t i = 4; i < version.size() && version[i] >= '0' && version[i] <= '9' && minor < 1000; ++i)
    minor = minor * 10 + (version[i] - '0');
  return minor;
}

}  // namespace

symbols::ProgramQuestion probe_question() {
  symbols::ProgramQuestion question;
  for (const Probed& probed : kProbed) question.functions.emplace_back(probed.name);
  question.code_bytes = symbols::kMostStackCheckBytes;
  return question;
}

ProbeSites find_probe_sites(const symbols::ProgramFacts& program, remote::RemoteMemory& memory, uint64_t bias,
                            bool sampling_linked) {
  ProbeSites found;
  const std::string& version = program.go_version;
  const int minor = minor_of(version);
  // Where the arguments are is known of these releases only.
  if (program.machine != machine::kName || layout_of(minor, program.machine) == nullptr) {
    found.not_probed.push_back(
        fmt::format("The Go runtime is not probed: its functions are known of Go 1.19 to 1.27 on "
                    "amd64, and this program is {} for {}.",
                    version.empty() ? "of an unknown release" : version, program.machine));
    return found;
  }
  if (program.functions.size() < kProbed.size()) return found;
  for (size_t i = 0; i < kProbed.size(); ++i) {
    const Probed& probed = kProbed[i];
    const auto not_probed = [&](const std::string& why) {
      found.not_probed.push_back(fmt::format("{} is not probed: {}.", probed.name, why));
    };
    const bool sample = probed.function == GoFunction::kSampledAllocation;
    if (sample && !sampling_linked) continue;  // the profile is reported as off
    const std::optional<symbols::ProgramFunction>& function = program.functions[i];
    if (!function) {
      not_probed("it is not in the program, or not once");
      continue;
    }
    const std::vector<uint8_t>& code = function->code;
    const Result<symbols::StackCheck> check = symbols::find_stack_check(code, function->range.bytes());
    const std::optional<uint64_t> offset = function->file_offset;
    if (!check || !offset) {
      not_probed(check ? "its code is not in the file" : check.error().message());
      continue;
    }
    std::vector<uint8_t> now(code.size());
    if (!memory.read_code(function->range.start + bias, std::as_writable_bytes(std::span(now)))) {
      not_probed("its code can't be read in the process");
      continue;
    }
    if (now != code) {
      not_probed("its code in memory is not that of the file (another tracer's breakpoint, or a patch)");
      continue;
    }
    events::GoSite site;
    site.function = probed.function;
    site.offset = *offset + check->jump;
    site.address = function->range.start + bias + check->jump;
    site.byte = code[check->jump];
    site.argument = sample && minor >= kSampleTakesM ? Register::kCx : probed.argument;
    site.shift = probed.shift;
    found.sites.push_back(site);
  }
  return found;
}

}  // namespace memwhy::goruntime
