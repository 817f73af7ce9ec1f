// SPDX-License-Identifier: Apache-2.0
// trace-buffers: memory of the Go runtime outside of its heap that is none of its tables: the runtime counts it apart
// (other_sys). Buffers of the execution tracer are in it: they pile up while the reader of the trace is slow, and the runtime
// keeps them when the trace ends. So are records of long-lived things: sockets and files that were open at once
// (pollDesc), interfaces (itab), finalizers. Which of them it is is known only during a trace: otherwise it is no problem.
// Tables that remain from a larger heap: metadata-after-peak.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "explain/go/groups.h"
#include "explain/go/rules/words.h"
#include "explain/rules/causes.h"

namespace memwhy::explain {
namespace {

// A goroutine of the tracer runs only while a trace is taken.
bool traces(const GoFacts& go) {
  const auto of_tracer = [](const Frame& frame) { return frame.function.starts_with("runtime/trace."); };
  for (const GroupStory& group : group_stories(go)) {
    if (of_tracer(group.created_at) || std::any_of(group.frames.begin(), group.frames.end(), of_tracer))
      return true;
  }
  return false;
}

class TraceBuffers : public Rule {
 public:
  std::optional<Finding> judge(const Case& c) const override {
    const events::GoCounters* counters = go_counters(c);
    if (counters == nullptr) return std::nullopt;
    // Its mappings are beside those of tables, and with some kernels one with them.
    const std::initializer_list<Owner> where = {Owner::kGoRuntimeMetadata, Owner::kAnonOther,
                                                Owner::kAnonMapped, Owner::kAnonBeforeAttach,
                                                Owner::kUnattributed};
    const uint64_t bytes = std::min(counters->other_bytes, c.ledger.total(where));
    if (bytes < problem_threshold(c.ledger)) return std::nullopt;
    const bool tracing = traces(*c.go);
    Finding finding = go_finding(c, "trace-buffers", tracing, where);
    finding.bytes = bytes;
    finding.growth_bytes_per_s = growth(*c.go);
    const std::string rising = finding.growth_bytes_per_s && *finding.growth_bytes_per_s * 60 >= 1024
                                   ? ", " + human_rate_per_min(*finding.growth_bytes_per_s)
                                   : "";
    finding.headline =
        bytes_and_share(bytes, c.ledger) +
        (tracing ? " are buffers of Go's execution tracer" : " are the Go runtime's, beside its heap");
    finding.claim = tracing ? fmt::format("Buffers of Go's execution tracer hold {} of {}'s memory{}.",
                                          bytes_and_share(bytes, c.ledger), c.process.comm, rising)
                            : fmt::format(
                                  "The Go runtime holds {} of {}'s memory outside of its heap and its "
                                  "tables{}: buffers of an execution trace that has ended, or its records of "
                                  "sockets, files and interfaces.",
                                  bytes_and_share(bytes, c.ledger), c.process.comm, rising);
    finding.evidence.push_back(fmt::format("the runtime counts {} as other_sys, and {} as tables",
                                           human_bytes(counters->other_bytes),
                                           human_bytes(counters->metadata_bytes)));
    finding.bytes_figure("other_bytes", counters->other_bytes);
    finding.bytes_figure("metadata_bytes", counters->metadata_bytes);
    if (tracing)
      finding.evidence.emplace_back("a goroutine of runtime/trace is there: a trace is being taken");
    finding.remedy =
        tracing
            ? "Read the trace faster (a buffer, a file), or stop it: the buffers wait for their reader. Go "
              "uses them again, and never gives them back."
            : "None needed: Go uses this memory again and never gives it back. Shorter traces and fewer "
              "sockets open at once need less of it.";
    finding.confidence = tracing ? Confidence::kHigh : Confidence::kLow;
    if (!tracing)
      finding.against.emplace_back(
          "no goroutine of runtime/trace was seen: it may be something else of the runtime");
    return finding;
  }

 private:
  static std::optional<double> growth(const GoFacts& go) {
    if (go.curve().size() < 2) return std::nullopt;
    const timeline::GoPoint &first = go.curve().front(), &last = go.curve().back();
    if (last.time <= first.time) return std::nullopt;
    return (static_cast<double>(last.counters.other_bytes) -
            static_cast<double>(first.counters.other_bytes)) /
           (static_cast<double>(last.time - first.time) / 1e9);
  }
};

}  // namespace

const Rule& trace_buffers_rule() {
  static const TraceBuffers kRule;
  return kRule;
}

}  // namespace memwhy::explain
