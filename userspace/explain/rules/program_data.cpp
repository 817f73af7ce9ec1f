// SPDX-License-Identifier: Apache-2.0
// program-data: variables of the program and its libraries that were written: a large array, a .bss. No heap profile shows them,
// and they stay until the program ends. Not constants and code, which are pages of files (file-mapping).
#include <fmt/format.h>

#include "base/text.h"
#include "explain/rules/causes.h"
#include "explain/units.h"

namespace memwhy::explain {
namespace {

constexpr size_t kMostNamed = 3;

// "main.table in .noptrbss: 384.0 MiB", or ".noptrbss: 384.1 MiB" of a stripped program.
std::string text_of_variable(const events::ProgramVariable& variable) {
  const std::string where =
      variable.name.empty() ? variable.section : fmt::format("{} in {}", variable.name, variable.section);
  return fmt::format("{}: {} (virtual)", where, human_bytes(variable.bytes));
}

// Most of the bytes are the program's own, not a library's.
bool of_program(const Case& c) {
  const LedgerLine* line = line_of(c.ledger, Owner::kProgramData);
  if (line == nullptr || c.process.exe == nullptr) return false;
  uint64_t own = 0;
  for (const Cell& cell : c.attribution.cells) {
    if (cell.owner == Owner::kProgramData && cell.mapping != kNoIndex &&
        c.attribution.mappings[cell.mapping].file == c.process.exe->path)
      own += cell.bytes();
  }
  return own * 2 > line->bytes;
}

class ProgramData : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const uint64_t bytes = of(c.ledger.bytes, Owner::kProgramData);
    if (bytes == 0 || (bytes < problem_threshold(c.ledger) && c.largest_family != "program.data"))
      return std::nullopt;
    const bool own = of_program(c);
    const std::vector<events::ProgramVariable> none;
    const auto& variables = own ? c.process.exe->variables : none;
    const std::string section = variables.empty() || variables.front().bytes * 2 < bytes
                                    ? ""
                                    : " (" + variables.front().section + ")";

    Finding finding;
    finding.id = "program-data";
    finding.bytes = bytes;
    finding.owners = {Owner::kProgramData};
    finding.growth_bytes_per_s = trend_of(c.samples, {Owner::kProgramData}).bytes_per_s;
    finding.headline = fmt::format("{} are {} own variables{}", bytes_and_share(bytes, c.ledger),
                                   own ? "the program's" : "the program's and its libraries'", section);
    finding.claim =
        fmt::format("Variables of {}{} hold {} of its memory{}: no heap profile shows them.", c.process.comm,
                    own ? "" : " and its libraries", bytes_and_share(bytes, c.ledger), section);
    for (size_t i = 0; i < std::min(variables.size(), kMostNamed); ++i)
      finding.evidence.push_back(text_of_variable(variables[i]));
    for (std::string& entry : heaviest_texts(c, Owner::kProgramData, 3))
      finding.evidence.push_back(std::move(entry));
    finding.remedy =
        "None needed if the program wants them: they stay until it ends, and the kernel can only swap them. "
        "A smaller table, or one that is allocated when it is needed, is given back.";
    finding.confidence = Confidence::kHigh;
    return finding;
  }
};

}  // namespace

const Rule& program_data_rule() {
  static const ProgramData kRule;
  return kRule;
}

}  // namespace memwhy::explain
