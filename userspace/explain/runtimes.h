// SPDX-License-Identifier: Apache-2.0
// Runtimes of languages whose collections are not followed, by the files that they are mapped from: which make code, and which
// collect garbage. Not Go, whose runtime says when it collects (go/facts.h), and not allocators (allocator_words.h).
//
//   /usr/lib/jvm/lib/server/libjvm.so              libjvm.so   makes code, collects
//   /usr/local/bin/node (deleted)                  node        the same; an update has replaced the file
//   /usr/local/bin/node_exporter                   none
#pragma once

#include <cstdint>
#include <string_view>

namespace memwhy::explain {

enum class ManagedHeap : uint8_t { kNone, kJava, kV8 };

struct UnreadRuntime {
  std::string_view file;  // of a library ("lib..."), how its name begins; of a program, its name
  bool makes_code = false;
  bool collects = false;
  bool of_malloc = false;  // it collects the sooner the more its objects hold of malloc's memory
  ManagedHeap heap = ManagedHeap::kNone;  // whose mappings are recognised (owners.cpp)
};

// nullptr: the file is none that is known.
const UnreadRuntime* unread_runtime(std::string_view path);

}  // namespace memwhy::explain
