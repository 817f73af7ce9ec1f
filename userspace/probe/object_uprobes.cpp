// SPDX-License-Identifier: Apache-2.0
// The programs of uprobes in the object: which way each is loaded for, and which is left out.
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "memwhy.skel.h"
#include "probe/object.h"

namespace memwhy::probe {

// How probes are attached in user space. Whether a link is possible is known only by trying.
Status Object::choose_go() {
  const std::string& wanted = options_.go_probes;
  const bool multi = kernel_.has_function("bpf_uprobe_multi_link_attach");
  const bool perf = ::access("/sys/bus/event_source/devices/uprobe/type", R_OK) == 0;
  go_why_none_ = "The Go runtime is not probed: this kernel has no uprobes (CONFIG_UPROBE_EVENTS).";
  if (wanted == "none") {
    go_why_none_ = "The Go runtime is not probed: memwhy was told so.";
  } else if (wanted == "uprobe_multi" || (wanted.empty() && multi)) {
    go_way_ = UprobeWay::kMulti;
  } else if (wanted == "uprobe" || (wanted.empty() && perf)) {
    go_way_ = UprobeWay::kPerf;
  } else if (!wanted.empty()) {
    return Error(ErrorCode::kUsage, fmt::format("the Go runtime can't be probed by {}", wanted));
  }
  return {};
}

// libc is mapped by every process: none of the others may trap at its malloc.
void Object::choose_allocations() {
  const bool others_trap = go_way_ == UprobeWay::kMulti && !multi_filters_by_process();
  allocation_way_ = !options_.allocation_probes ? UprobeWay::kNone : others_trap ? UprobeWay::kPerf : go_way_;
  allocation_why_none_ =
      "Who calls malloc is not known: this kernel has no uprobes (CONFIG_UPROBE_EVENTS), or none are wanted.";
}

void Object::refuse_uprobes(const std::string& program, const std::string& why) {
  const bool go = program == "go_call";
  UprobeWay& way = go ? go_way_ : allocation_way_;
  way = way == UprobeWay::kMulti ? UprobeWay::kPerf : UprobeWay::kNone;
  (go ? go_why_none_ : allocation_why_none_) =
      fmt::format("{}: {}.", go ? "The Go runtime is not probed" : "Who calls malloc is not known", why);
}

void Object::load_uprobes() {
  for (const auto& [program, way] : {std::pair(skeleton_->progs.go_call, go_way_),
                                     std::pair(skeleton_->progs.allocation_call, allocation_way_)}) {
    bpf_program__set_autoload(program, way != UprobeWay::kNone);
    if (way == UprobeWay::kMulti)
      bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(kUprobeMulti));
  }
  // Linux 5.17; without it every locked map counts.
  bpf_program__set_autoload(skeleton_->progs.file_mappers,
                            kernel_.has_function("bpf_find_vma") && kernel_.has_function("bpf_loop"));
}

bpf_program* Object::go_program() const { return skeleton_->progs.go_call; }
bpf_program* Object::allocation_program() const { return skeleton_->progs.allocation_call; }
int32_t* Object::allocations_left() const { return skeleton_->bss->allocations_left; }

}  // namespace memwhy::probe
