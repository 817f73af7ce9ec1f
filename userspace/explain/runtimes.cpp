// SPDX-License-Identifier: Apache-2.0
#include "explain/runtimes.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "explain/mapping.h"

namespace memwhy::explain {

const UnreadRuntime* unread_runtime(std::string_view path) {
  static constexpr std::array<UnreadRuntime, 14> kRuntimes = {{
      {"libjvm.so", true, true, ManagedHeap::kJava},
      {"libcoreclr.so", true, true},
      {"libmonosgen-2.0.so", true, true},
      {"libnode.so", true, true, ManagedHeap::kV8},
      {"node", true, true, ManagedHeap::kV8},
      {"nodejs", true, true, ManagedHeap::kV8},
      {"deno", true, true, ManagedHeap::kV8},
      {"libv8", true, true, ManagedHeap::kV8},
      {"libmozjs", true, true},
      {"libluajit", true, true},
      {"luajit", true, true},
      {"libpypy", true, true},
      {"libruby", true, true},
      {"opcache.so", true, false},  // PHP counts references
  }};
  const std::string_view name = base_name(without_deleted(path));
  const auto* const found = std::find_if(kRuntimes.begin(), kRuntimes.end(), [&](const UnreadRuntime& each) {
    return each.file.starts_with("lib") ? name.starts_with(each.file) : name == each.file;
  });
  return found == kRuntimes.end() ? nullptr : found;
}

}  // namespace memwhy::explain
