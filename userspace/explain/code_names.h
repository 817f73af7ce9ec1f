// SPDX-License-Identifier: Apache-2.0
// CodeNames: frames for code addresses of one address space, by the names that the recording has. An address yields
// several frames where functions were inlined, and one without a function where only its module is known. Which addresses
// of a stack count is decided elsewhere: stacks.h for faults, GoFacts for stacks that the Go runtime recorded.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "explain/frame.h"
#include "timeline/timeline.h"

namespace memwhy::explain {

// The runtime that makes code in these mappings, as its file is called: "libjvm.so", "node"; "" none that is known.
std::string maker_of_code(const std::vector<events::Vma>& vmas);

class CodeNames {
 public:
  // `vmas` in order of address.
  CodeNames(const timeline::Timeline& timeline, SpaceId space, const std::vector<events::Vma>& vmas)
      : timeline_(timeline), space_(space), vmas_(vmas) {}

  // nullptr: the address was never named.
  const events::SymbolInfo* symbol(uint64_t address, bool is_return) const {
    return timeline_.symbol(space_, address, is_return);
  }
  // Whether code is mapped there now.
  bool executable(uint64_t address) const;
  // At least one, innermost first; none for made code without a name that goes on in what is there.
  void append(uint64_t address, bool is_return, std::vector<Frame>& frames) const;

 private:
  void append_made(const events::SymbolInfo* symbol, Frame frame, std::vector<Frame>& frames) const;
  const timeline::Timeline& timeline_;
  SpaceId space_;
  const std::vector<events::Vma>& vmas_;
  mutable std::optional<std::string> made_by_;  // the runtime that makes code here, once looked up
};

}  // namespace memwhy::explain
