// SPDX-License-Identifier: Apache-2.0
#include "symbols/program_facts.h"

#include <algorithm>

namespace memwhy::symbols {

ProgramFacts describe_program(Binary& binary, const ProgramQuestion& question) {
  ProgramFacts facts;
  facts.machine = binary.facts().machine;
  if (binary.facts().go) facts.go_version = binary.facts().go->version;
  facts.go_table = binary.go_table();
  facts.segments = binary.elf().segments();
  const std::vector<std::optional<AddressRange>> found =
      question.in_symbols ? binary.functions(question.functions) : binary.go_functions(question.functions);
  for (const std::optional<AddressRange>& range : found) {
    if (!range) {
      facts.functions.emplace_back();
      continue;
    }
    const uint64_t most = std::min(question.code_bytes, ProgramQuestion::kMostCodeBytes);
    const uint64_t bytes = range->bytes() == 0 ? most : std::min<uint64_t>(range->bytes(), most);
    facts.functions.push_back(
        ProgramFunction{*range, binary.elf().offset_of(range->start), binary.bytes_at(range->start, bytes)});
  }
  for (const std::string& prefix : question.prefixes) facts.linked.push_back(binary.has_go_function(prefix));
  if (question.variables) facts.variables = binary.variables(ProgramQuestion::kMostVariables);
  facts.named = binary.variable_names(question.to_name);
  std::vector<uint64_t> nameless = question.to_name;
  for (size_t i = 0; i < nameless.size(); ++i)
    if (!facts.named[i].empty()) nameless[i] = 0;
  facts.users = binary.variable_users(nameless);
  return facts;
}

}  // namespace memwhy::symbols
