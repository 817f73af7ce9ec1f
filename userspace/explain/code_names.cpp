// SPDX-License-Identifier: Apache-2.0
#include "explain/code_names.h"

#include <string_view>

#include "base/text.h"
#include "events/mapping_at.h"
#include "explain/functions.h"

namespace memwhy::explain {
bool CodeNames::executable(uint64_t address) const {
  const events::Vma* vma = events::mapping_at(vmas_, address);
  return vma != nullptr && vma->exec;
}

void CodeNames::append(uint64_t address, bool is_return, std::vector<Frame>& frames) const {
  const events::SymbolInfo* symbol = this->symbol(address, is_return);
  const events::Vma* vma = events::mapping_at(vmas_, address);
  const events::BinaryInfo* binary = symbol == nullptr ? nullptr : timeline_.binary(symbol->binary);
  Frame frame;
  frame.address = address;
  if (binary != nullptr) {
    frame.offset = symbol->file_offset;
    frame.module = base_name(binary->path);
    frame.build_id = binary->build_id;
  } else if (vma != nullptr) {
    frame.offset = address - vma->range.start + vma->offset;
    frame.module = vma->name.empty() ? "[anon]" : base_name(vma->name);
  }
  const bool go = binary != nullptr && binary->go.has_value();
  if (symbol == nullptr || symbol->frames.empty()) {
    frame.kind = kind_of_frame({"", "", go}, frame.module);
    frames.push_back(std::move(frame));
    return;
  }
  for (const events::SourceFrame& source : symbol->frames) {
    frame.function = source.function;
    frame.file = source.file;
    frame.line = source.line;
    frame.kind = kind_of_frame({source.function, source.file, go}, frame.module);
    frames.push_back(frame);
  }
}

}  // namespace memwhy::explain
