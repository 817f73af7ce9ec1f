// SPDX-License-Identifier: Apache-2.0
// PerfettoWriter: a trace for ui.perfetto.dev and trace_processor, as packets of one sequence. perfetto.cpp writes what changes
// over time, perfetto_heap.cpp flame graphs and mappings.
//
//   clock snapshot     MONOTONIC is the clock of all timestamps; heap dumps are in MONOTONIC_COARSE
//   process            track "server" ─ "Memory by owner" ─ counters anon.other, file.text …   bytes, at each scan
//                                     ├ "GC"               slices
//                                     └ "Events"           instants: step, fork, OOM …
//   process stats      RSS at each point of the timeline, as the kernel's counters would have it
//   heap profile       one for each owner, named by it: Σ of all = rss.bytes; "go.heap.profile": Go's own samples
//   smaps              at each scan: mappings of one name with size and RSS
#pragma once

#include <cstdint>
#include <map>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <string_view>

#include "export/code_files.h"
#include "export/exporter.h"
#include "export/samples.h"

namespace memwhy::exports {

class PerfettoWriter {
 public:
  PerfettoWriter(const Material& material, Output& out) : material_(material), out_(out) {}
  void write();

 private:
  using Pbf = protozero::pbf_writer;

  // One TracePacket whose field `tag` is `message`. 0: without a time of its own.
  void packet(uint32_t tag, const std::string& message, TimeNs time = 0);
  void clocks();
  void add(const explain::ProcessExplanation& process, uint64_t number);

  void process_tree(const explain::ProcessExplanation& process);
  void track(uint64_t uuid, uint64_t parent, std::string_view name, bool counter, uint64_t rank = 0);
  void counters(const explain::ProcessExplanation& process, uint64_t number);
  void rss(const explain::ProcessExplanation& process);
  void collections(const explain::ProcessExplanation& process, uint64_t uuid);
  void instants(const explain::ProcessExplanation& process, uint64_t uuid);

  void heap_profiles(const explain::ProcessExplanation& process);
  uint64_t string(uint32_t kind, std::string_view text, std::string& interned);
  std::vector<uint64_t> frames(const SampleTable& table, const CodeFiles& code, std::string& interned);
  void smaps(const explain::ProcessExplanation& process);

  const Material& material_;
  Output& out_;
  bool first_ = true;
  uint64_t mappings_ = 0, frames_ = 0, stacks_ = 0;  // interned so far: ids start at 1
  std::map<std::pair<uint32_t, std::string>, uint64_t> strings_;
};

}  // namespace memwhy::exports
