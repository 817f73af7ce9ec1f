// SPDX-License-Identifier: Apache-2.0
#include "symbols/demangle.h"

#include <libiberty/demangle.h>

#include <algorithm>

namespace memwhy::symbols {
namespace {

// A short mangled name can stand for a name of gigabytes (each substitution doubles it), so the text is cut.
constexpr size_t kMaxBytes = 4096;

void append(const char* text, size_t bytes, void* opaque) {
  std::string& out = *static_cast<std::string*>(opaque);
  if (out.size() < kMaxBytes) out.append(text, std::min(bytes, kMaxBytes - out.size()));
}

}  // namespace

std::string demangle(const std::string& name) {
  if (name.size() < 3 || name.size() > kMaxBytes || name[0] != '_' || (name[1] != 'Z' && name[1] != 'R'))
    return name;
  std::string out;
  constexpr int kOptions = DMGL_PARAMS | DMGL_ANSI;
  // Rust first: its legacy names are well-formed C++ names with a hash at the end.
  if (rust_demangle_callback(name.c_str(), kOptions, append, &out) != 0 && !out.empty()) return out;
  out.clear();
  if (cplus_demangle_v3_callback(name.c_str(), kOptions, append, &out) != 0 && !out.empty()) return out;
  return name;
}

}  // namespace memwhy::symbols
