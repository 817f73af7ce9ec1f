// SPDX-License-Identifier: Apache-2.0
// own-mappings: memory that a Go program mapped by itself (mmap), outside of the Go heap: no Go profile shows it, and no
// collection frees it. In a pure Go program nothing else maps: memory that is neither the heap's nor counted by the runtime as
// its own is the program's. The caller is known where memwhy saw the call; otherwise build info lists the linked modules that
// do such things.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

// Modules that map anonymous memory for themselves, and what for.
struct Mapper {
  std::string_view module, what;
};
constexpr std::array kMappers = {
    Mapper{"modernc.org/memory", "the allocator of C programs translated to Go, as modernc.org/sqlite"},
    Mapper{"modernc.org/libc", "the C library of programs translated to Go"},
    Mapper{"github.com/VictoriaMetrics/fastcache", "a cache"},
    Mapper{"github.com/dgraph-io/ristretto", "a cache, and its allocators"},
    Mapper{"github.com/dgraph-io/badger", "a database"},
    Mapper{"github.com/tetratelabs/wazero", "memories of WebAssembly"},
    Mapper{"github.com/edsrzf/mmap-go", "mappings"},
    Mapper{"github.com/blevesearch/mmap-go", "mappings"},
    Mapper{"github.com/tysonmote/gommap", "mappings"},
    Mapper{"github.com/awnumar/memguard", "locked buffers"},
    Mapper{"github.com/bytedance/sonic", "code made at run time"},
    Mapper{"gvisor.dev/gvisor", "memory of sandboxes"},
};

// "a/b" and its versions "a/b/v2".
bool is_module(std::string_view path, std::string_view module) {
  return path.starts_with(module) && (path.size() == module.size() || path[module.size()] == '/');
}

std::vector<Mapper> linked(const Case& c) {
  std::vector<Mapper> out;
  if (!c.process.go) return out;
  for (const Mapper& mapper : kMappers) {
    const auto& modules = c.process.go->modules;
    if (std::any_of(modules.begin(), modules.end(),
                    [&](const std::string& path) { return is_module(path, mapper.module); }))
      out.push_back(mapper);
  }
  return out;
}

class OwnMappings : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const events::GoCounters* counters = go_counters(c);
    if (counters == nullptr || !c.process.go || c.process.go->cgo || c.process.race_build)
      return std::nullopt;
    // The kernel makes one mapping of neighbours, so that the program's may be taken for those of the runtime's tables: the
    // runtime counts its own.
    const std::initializer_list<Owner> where = {Owner::kAnonOther,         Owner::kAnonMapped,
                                                Owner::kAnonBeforeAttach,  Owner::kUnattributed,
                                                Owner::kGoRuntimeMetadata, Owner::kGoRuntimeProfiler};
    uint64_t counted = counters->metadata_bytes + counters->other_bytes + counters->profiler_bytes;
    // Locked memory is resident as far as it is reserved, and the runtime reserves more than it counts.
    if (all_locked(c))
      counted = std::max(counted, c.ledger.total({Owner::kGoRuntimeMetadata, Owner::kGoRuntimeProfiler}));
    const uint64_t all = c.ledger.total(where), bytes = all - std::min(all, counted);
    if (bytes < problem_threshold(c.ledger)) return std::nullopt;

    const std::vector<Mapper> mappers = linked(c);
    Finding finding = go_finding(c, "own-mappings", false, where);
    finding.bytes = bytes;
    finding.headline =
        bytes_and_share(bytes, c.ledger) + " were mapped by the program itself, outside the Go heap";
    if (!mappers.empty()) finding.headline += fmt::format(": it links {}", mappers.front().module);
    finding.claim = fmt::format("{} of {}'s memory were mapped by the program itself, outside of the Go heap",
                                bytes_and_share(bytes, c.ledger), c.process.comm);
    if (!mappers.empty())
      finding.claim += fmt::format("; it links {} ({}), which maps memory of its own", mappers.front().module,
                                   mappers.front().what);
    finding.claim += ".";
    for (const Owner owner : {Owner::kAnonOther, Owner::kAnonMapped})
      if (of(c.ledger.bytes, owner) * 2 > bytes)
        for (std::string& entry : heaviest_texts(c, owner, 3)) finding.evidence.push_back(std::move(entry));
    finding.evidence.push_back(
        fmt::format("the program is all Go, and its runtime counts {} outside of the heap as its own",
                    human_bytes(counted)));
    finding.bytes_figure("runtime_bytes", counted);
    for (size_t i = 1; i < mappers.size(); ++i)
      finding.evidence.push_back(fmt::format("it also links {} ({})", mappers[i].module, mappers[i].what));
    finding.remedy =
        "None needed if it is meant to be so large: no profile of Go's shows it, no collection frees it. "
        "Look for a limit of the library's cache or memory.";
    finding.confidence = mappers.empty() ? Confidence::kMedium : Confidence::kHigh;
    if (c.ledger.total({Owner::kAnonMapped, Owner::kAnonBeforeAttach}) * 2 > bytes)
      finding.against.emplace_back(kTouchedBefore);
    return finding;
  }
};

}  // namespace

const Rule& own_mappings_rule() {
  static const OwnMappings kRule;
  return kRule;
}

}  // namespace memwhy::explain
