// SPDX-License-Identifier: Apache-2.0
#include "explain/runtimes.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "explain/mapping.h"

namespace memwhy::explain {

const UnreadRuntime* unread_runtime(std::string_view path) {
  static constexpr std::array<UnreadRuntime, 28> kRuntimes = {{
      {"libjvm.so", true, true, false, ManagedHeap::kJava},
      {"libcoreclr.so", true, true},
      {"libmonosgen-2.0.so", true, true},
      {"libnode.so", true, true, true, ManagedHeap::kV8},
      {"node", true, true, true, ManagedHeap::kV8},
      {"nodejs", true, true, true, ManagedHeap::kV8},
      {"deno", true, true, true, ManagedHeap::kV8},
      {"libv8", true, true, true, ManagedHeap::kV8},
      {"libmozjs", true, true, true},
      {"libluajit", true, true},
      {"luajit", true, true},
      {"libpypy", true, true},
      {"libruby", true, true, true},
      {"ruby", true, true, true},  // with the library in it
      {"mono-sgen", true, true},
      {"libjavascriptcoregtk", true, true, true},
      {"bun", true, true, true},
      {"dart", true, true},
      {"beam.smp", true, true},
      {"libjulia", true, true, true},
      {"sbcl", true, true},
      {"libgc.so", false, true},  // Boehm's, for Guile and others
      {"libR.so", false, true, true},
      {"ocamlrun", false, true, true},
      {"libcamlrun", false, true, true},
      {"libHSrts", false, true},
      {"libdruntime", false, true},
      {"opcache.so", true, false},  // PHP counts references
  }};
  const std::string_view name = base_name(without_deleted(path));
  const auto* const found = std::find_if(kRuntimes.begin(), kRuntimes.end(), [&](const UnreadRuntime& each) {
    return each.file.starts_with("lib") ? name.starts_with(each.file) : name == each.file;
  });
  return found == kRuntimes.end() ? nullptr : found;
}

}  // namespace memwhy::explain
