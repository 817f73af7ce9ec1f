// SPDX-License-Identifier: Apache-2.0
// Names as people write them. Go names need no demangling.
#pragma once

#include <string>

namespace memwhy::symbols {

// C++ (Itanium) and Rust (legacy and v0) names demangled; everything else, and what is not well-formed, as it
// is.
//   _ZN3foo3barEi -> foo::bar(int)      _RNvC6_123foo3bar -> 123foo::bar      main -> main
std::string demangle(const std::string& name);

}  // namespace memwhy::symbols
