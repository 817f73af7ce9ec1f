// SPDX-License-Identifier: Apache-2.0
#include "symbols/demangle.h"

#include <libiberty/demangle.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <string_view>

namespace memwhy::symbols {
namespace {

// Mangled; longer names are shown as they are. libiberty refuses C++ names of more, and both demanglers stop at
// 1,024 and 2,048 levels, unless DMGL_NO_RECURSE_LIMIT is set.
constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxTextBytes = 4096;
constexpr int kOptions = DMGL_PARAMS | DMGL_ANSI;

// A short mangled name can stand for a name of gigabytes: each substitution doubles it. Cutting the text bounds the
// memory; the time is bounded by leaving as soon as there is enough, and the demanglers know no other way out
// than a jump. They keep everything on their stack, so that nothing is lost by it.
struct Text {
  std::jmp_buf full;
  size_t bytes;
  std::array<char, kMaxTextBytes> chars;
};

void append(const char* piece, size_t bytes, void* opaque) {
  Text& text = *static_cast<Text*>(opaque);
  const size_t take = std::min(bytes, kMaxTextBytes - text.bytes);
  std::copy_n(piece, take, text.chars.data() + text.bytes);
  text.bytes += take;
  if (text.bytes == kMaxTextBytes) std::longjmp(text.full, 1);  // NOLINT(cert-err52-cpp)
}

using Demangler = int (*)(const char*, int, demangle_callbackref, void*);

// Nothing here may have a destructor: the jump would pass it by.
bool run(Demangler demangler, const char* name, Text& text) {
  text.bytes = 0;
  if (setjmp(text.full) != 0) return true;  // NOLINT(cert-err52-cpp)
  return demangler(name, kOptions, append, &text) != 0 && text.bytes != 0;
}

}  // namespace

std::string demangle(const std::string& name) {
  if (name.size() < 3 || name.size() > kMaxNameBytes || name[0] != '_' || (name[1] != 'Z' && name[1] != 'R'))
    return name;
  Text text;
  // Rust first: its legacy names are well-formed C++ names with a hash at the end.
  if (run(rust_demangle_callback, name.c_str(), text) || run(cplus_demangle_v3_callback, name.c_str(), text))
    return {text.chars.data(), text.bytes};
  return name;
}

}  // namespace memwhy::symbols
