// SPDX-License-Identifier: Apache-2.0
#include "probe/hooks.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace memwhy::probe {
namespace {

Fd open_event(uint32_t type, uint64_t config, uint64_t period, int cpu) {
  perf_event_attr attr{};
  attr.type = type;
  attr.size = sizeof attr;
  attr.config = config;
  attr.sample_period = period;
  return Fd(static_cast<int>(::syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC)));
}

// The link takes the event over.
Link attach_event(bpf_program* program, Fd event) {
  bpf_link* link = bpf_program__attach_perf_event(program, event.get());
  if (link) event.release();
  return Link(link);
}

Error attach_error(const Way& way, const Piece& piece) {
  return errno_error(ErrorCode::kEnvironment,
                     std::string("attaching ") + piece.program + " (" + way.attach + " " + piece.target + ")",
                     errno);
}

Status attach_piece(const Way& way, const Piece& piece, bpf_program* program, const KernelOffer& kernel,
                    std::vector<Link>& links) {
  const std::string_view how = way.attach;
  if (how == "perf_event") {  // one software event for each CPU
    for (int cpu = 0; cpu < libbpf_num_possible_cpus(); ++cpu) {
      Fd event = open_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, 1, cpu);
      if (!event && errno == ENODEV) continue;  // offline
      if (!event) return attach_error(way, piece);
      Link link = attach_event(program, std::move(event));
      if (!link) return attach_error(way, piece);
      links.push_back(std::move(link));
    }
    return {};
  }
  Link link;
  if (how == "raw_tp") {
    link.reset(bpf_program__attach_raw_tracepoint(program, piece.target));
  } else if (how == "kprobe") {
    link.reset(bpf_program__attach_kprobe(program, false, piece.target));
  } else if (how == "tracepoint") {
    const std::optional<uint64_t> id = kernel.tracepoint_id(piece.target);
    if (!id) return Error(ErrorCode::kEnvironment, std::string("no tracepoint ") + piece.target);
    Fd event = open_event(PERF_TYPE_TRACEPOINT, *id, 0, 0);
    if (!event) return attach_error(way, piece);
    link = attach_event(program, std::move(event));
  } else {
    link.reset(bpf_program__attach_trace(program));
  }
  if (!link) return attach_error(way, piece);
  links.push_back(std::move(link));
  return {};
}

// They are attached as perf events, which kernel.perf_event_paranoid, a seccomp filter or an LSM may refuse us.
bool opens_tracepoints(const TraceFs& tracefs) {
  Result<uint64_t> any = tracefs.id("sched/sched_process_exit");
  return any && open_event(PERF_TYPE_TRACEPOINT, *any, 0, 0);
}

}  // namespace

void LinkCloser::operator()(bpf_link* link) const { bpf_link__destroy(link); }
void BtfCloser::operator()(btf* b) const { btf__free(b); }

const std::vector<HookSpec>& hook_catalogue() {
  static const std::vector<HookSpec> catalogue = {
      {"page_fault_user",
       "page faults in user mode",
       "No page faults are seen: pages are attributed by who made their mapping only.",
       {{"tp_btf", {{"fault_user_btf", "page_fault_user"}}},
        {"raw_tp", {{"fault_user_raw", "page_fault_user"}}},
        {"tracepoint", {{"fault_user_tp", "exceptions/page_fault_user"}}},
        {"fentry", {{"fault_any_fentry", "handle_mm_fault"}}, true},
        {"kprobe", {{"fault_any_kprobe", "handle_mm_fault"}}, true},
        {"perf_event", {{"fault_any_perf", "page-faults"}}, true}}},
      {"page_fault_kernel",
       "page faults of the kernel on behalf of the process",
       "Pages that a system call touches first, such as the buffer of read(2), are attributed by mapping "
       "only.",
       {{"tp_btf", {{"fault_kernel_btf", "page_fault_kernel"}}},
        {"raw_tp", {{"fault_kernel_raw", "page_fault_kernel"}}},
        {"tracepoint", {{"fault_kernel_tp", "exceptions/page_fault_kernel"}}}}},
      {"system_calls",
       "mmap, munmap, mremap, madvise, brk",
       "Mappings that come and go are seen at scans only, and not who made them.",
       {{"tracepoint",
         {{"call_enter", "syscalls/sys_enter_munmap"},
          {"call_enter", "syscalls/sys_enter_madvise"},
          {"call_enter", "syscalls/sys_enter_brk"},
          {"call_enter", "syscalls/sys_enter_mmap"},
          {"call_enter", "syscalls/sys_enter_mremap"},
          {"call_exit", "syscalls/sys_exit_mmap"},
          {"call_exit", "syscalls/sys_exit_mremap"},
          {"call_exit", "syscalls/sys_exit_brk"}}},
        {"raw_tp", {{"calls_enter", "sys_enter"}, {"calls_exit", "sys_exit"}}}}},
      {"fork",
       "new processes",
       "Children are not followed.",
       {{"tp_btf", {{"fork_btf", "sched_process_fork"}}}, {"raw_tp", {{"fork_raw", "sched_process_fork"}}}}},
      {"exec",
       "programs that are replaced",
       "A process that execs is lost from sight.",
       {{"tp_btf", {{"exec_btf", "sched_process_exec"}}},
        {"raw_tp", {{"exec_raw", "sched_process_exec"}}},
        {"tracepoint", {{"exec_tp", "sched/sched_process_exec"}}}}},
      {"exit",
       "processes that exit",
       "Exit codes are not known.",
       {{"tp_btf", {{"exit_btf", "sched_process_exit"}}},
        {"raw_tp", {{"exit_raw", "sched_process_exit"}}},
        {"tracepoint", {{"exit_tp", "sched/sched_process_exit"}}}}},
      {"exit_mmap",
       "address spaces that are torn down",
       "An address space is taken to end with its process, although another process may still use it.",
       {{"tp_btf", {{"space_end_btf", "exit_mmap"}}}, {"raw_tp", {{"space_end_raw", "exit_mmap"}}}}},
      {"mark_victim",
       "processes that the kernel kills for memory",
       "A kill by the OOM killer looks like any SIGKILL.",
       {{"raw_tp", {{"oom_raw", "mark_victim"}}}, {"tracepoint", {{"oom_tp", "oom/mark_victim"}}}}},
  };
  return catalogue;
}

Result<KernelOffer> KernelOffer::ask() {
  KernelOffer offer;
  offer.btf_.reset(btf__load_vmlinux_btf());
  if (!offer.btf_)
    return Error(ErrorCode::kEnvironment,
                 "this kernel has no BTF (/sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF), which memwhy's "
                 "programs need");
  Result<TraceFs> tracefs = TraceFs::open();
  if (tracefs && opens_tracepoints(*tracefs)) offer.tracefs_.emplace(std::move(tracefs).value());
  return offer;
}

bool KernelOffer::has_function(const char* name) const {
  return btf__find_by_name_kind(btf_.get(), name, BTF_KIND_FUNC) > 0;
}

bool KernelOffer::has_tracepoint(const char* name) const {
  return btf__find_by_name_kind(btf_.get(), (std::string("btf_trace_") + name).c_str(), BTF_KIND_TYPEDEF) > 0;
}

std::optional<uint64_t> KernelOffer::tracepoint_id(const std::string& tracepoint) const {
  if (!tracefs_) return std::nullopt;
  Result<uint64_t> id = tracefs_->id(tracepoint);
  return id ? std::optional(*id) : std::nullopt;
}

bool KernelOffer::offers(const Way& way) const {
  const std::string_view how = way.attach;
  for (const Piece& piece : way.pieces) {
    if ((how == "tp_btf" || how == "raw_tp") && !has_tracepoint(piece.target)) return false;
    if (how == "tracepoint" && !tracepoint_id(piece.target)) return false;
    if ((how == "fentry" || how == "kprobe") && !has_function(piece.target)) return false;
  }
  return true;
}

Result<std::vector<Link>> attach(const Way& way, bpf_object* object, const KernelOffer& kernel) {
  std::vector<Link> links;
  for (const Piece& piece : way.pieces) {
    bpf_program* program = bpf_object__find_program_by_name(object, piece.program);
    if (!program) return Error(ErrorCode::kInternal, std::string("no program ") + piece.program);
    if (Status done = attach_piece(way, piece, program, kernel, links); !done) return std::move(done).error();
  }
  return links;
}

}  // namespace memwhy::probe
