// SPDX-License-Identifier: Apache-2.0
// The catalogue of hooks: for each, the ways to attach it, cheapest first, and what is not seen without it.
// The same table as bpf/README.md, as data.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "probe/tracefs.h"

struct bpf_link;
struct bpf_object;
struct btf;

namespace memwhy::probe {

struct Piece {
  const char* program;
  const char* target;  // tracepoint, "category/name" for a classic one, or kernel function
};

struct Way {
  const char* attach;  // "tp_btf" | "raw_tp" | "tracepoint" | "fentry" | "kprobe" | "perf_event"
  std::vector<Piece> pieces;
  bool covers_kernel_faults = false;  // of page_fault_user: no page_fault_kernel is needed
};

struct HookSpec {
  const char* name;
  const char* purpose;
  const char* without;  // sentence: what is not seen when no way works
  std::vector<Way> ways;
};

const std::vector<HookSpec>& hook_catalogue();

// Our programs that are attached; detaches when it ends.
struct LinkCloser {
  void operator()(bpf_link* link) const;
};
using Link = std::unique_ptr<bpf_link, LinkCloser>;

struct BtfCloser {
  void operator()(btf* b) const;
};
using Btf = std::unique_ptr<btf, BtfCloser>;

// What this kernel reports of itself, queried once.
class KernelOffer {
 public:
  static Result<KernelOffer> ask();

  bool has_function(const char* name) const;    // in BTF: kernel functions and kfuncs
  bool has_tracepoint(const char* name) const;  // in BTF
  std::optional<uint64_t> tracepoint_id(const std::string& tracepoint) const;
  // Whether the way may work here; loading and attaching it has the last word.
  bool offers(const Way& way) const;

 private:
  Btf btf_;
  std::optional<TraceFs> tracefs_;
};

// Attaches all pieces of the way, or none.
Result<std::vector<Link>> attach(const Way& way, bpf_object* object, const KernelOffer& kernel);

}  // namespace memwhy::probe
