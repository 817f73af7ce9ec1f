// SPDX-License-Identifier: Apache-2.0
// The order matters: each step that needs a privilege comes before the privilege is dropped, and the filter last.
#include "files/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <vector>

#include "base/capabilities.h"

namespace memwhy::files {
namespace {

constexpr unsigned kNobody = 65534;
constexpr uint64_t kOpenerNeeds = uint64_t{1} << CAP_SYS_PTRACE | uint64_t{1} << CAP_DAC_READ_SEARCH |
                                  uint64_t{1} << CAP_CHECKPOINT_RESTORE;

constexpr std::array kBothMay = {
    SYS_read,           SYS_write,       SYS_recvmsg,    SYS_sendmsg, SYS_poll,      SYS_close,
    SYS_fstat,          SYS_lseek,       SYS_brk,        SYS_munmap,  SYS_mremap,    SYS_madvise,
    SYS_futex,          SYS_exit,        SYS_exit_group, SYS_fcntl,   SYS_getrandom, SYS_clock_gettime,
    SYS_rt_sigreturn,   SYS_setitimer,   SYS_newfstatat,
#if defined(__SANITIZE_ADDRESS__)  // how the sanitizers look at an address, and exit
    SYS_pipe2,          SYS_sigaltstack,
#endif
    SYS_rt_sigprocmask,  // abort()
    SYS_gettid,         SYS_getpid,      SYS_tgkill};
constexpr std::array kOpenerMay = {SYS_openat, SYS_openat2, SYS_readlinkat, SYS_readlink, SYS_fstatfs};
constexpr std::array kParserMay = {SYS_pread64, SYS_sysinfo, SYS_sched_getaffinity};
// Libraries call these in passing and can do without.
constexpr std::array kParserRefused = {SYS_open,   SYS_openat, SYS_readlink, SYS_readlinkat,
                                       SYS_access, SYS_stat,   SYS_lstat,    SYS_faccessat};

class Filter {
 public:
  void kill() { statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS); }
  void load(size_t offset) { statement(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  void on_call(long number, uint32_t verdict) {
    jump(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1);
    statement(BPF_RET | BPF_K, verdict);
  }
  // Allowed unless one of these bits is set in the argument; then killed. The number is loaded again.
  void on_call_without(long number, unsigned argument, uint32_t bits) {
    jump(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 4);
    load(offsetof(seccomp_data, args) + argument * sizeof(uint64_t));
    jump(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0);
    statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    kill();
  }
  void only_machine(uint32_t machine) {
    load(offsetof(seccomp_data, arch));
    jump(BPF_JMP | BPF_JEQ | BPF_K, machine, 1, 0);
    kill();
  }
  Status install() {
    sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
      return errno_error(ErrorCode::kEnvironment, "filtering system calls", errno);
    return {};
  }

 private:
  void statement(uint16_t code, uint32_t k) { code_.push_back({code, 0, 0, k}); }
  void jump(uint16_t code, uint32_t k, uint8_t yes, uint8_t no) { code_.push_back({code, yes, no, k}); }
  std::vector<sock_filter> code_;
};

Status filter_calls(Role role) {
  constexpr uint32_t kExec = 4;  // PROT_EXEC
  Filter filter;
  filter.only_machine(AUDIT_ARCH_X86_64);
  filter.load(offsetof(seccomp_data, nr));
  // The numbers of x32 equal none of these.
  for (const long number : kBothMay) filter.on_call(number, SECCOMP_RET_ALLOW);
  if (role == Role::kOpener) {
    filter.on_call_without(SYS_openat, 2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC);
    for (const long number : kOpenerMay)
      if (number != SYS_openat) filter.on_call(number, SECCOMP_RET_ALLOW);
  } else {
    for (const long number : kParserMay) filter.on_call(number, SECCOMP_RET_ALLOW);
    for (const long number : kParserRefused) filter.on_call(number, SECCOMP_RET_ERRNO | EACCES);
  }
  filter.on_call_without(SYS_mmap, 2, kExec);
  filter.on_call_without(SYS_mprotect, 2, kExec);  // malloc grows its arenas with it
  filter.kill();
  return filter.install();
}

void limit(decltype(RLIMIT_AS) what, uint64_t most) {
  const rlimit both{most, most};
  static_cast<void>(::setrlimit(what, &both));
}

// Below a Landlock domain without rules nothing of any file system can be opened, and no process be looked into. Where the
// kernel has none the filter alone holds.
void forbid_file_systems() {
  struct {
    uint64_t files, network, scope;
  } all{};
  constexpr int kRulesetVersion = 1 << 0;
  constexpr int kCreate = 444, kRestrict = 446;
  const long version = ::syscall(kCreate, nullptr, 0, kRulesetVersion);
  if (version < 1) return;
  constexpr std::array<uint64_t, 6> kRights = {0, 13, 14, 15, 15, 16};  // of files, by version
  all.files = (uint64_t{1} << kRights[version < 5 ? static_cast<size_t>(version) : 5]) - 1;
  if (version >= 4) all.network = 3;
  if (version >= 6) all.scope = 3;
  const size_t bytes = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  const int rules = static_cast<int>(::syscall(kCreate, &all, bytes, 0));
  if (rules < 0) return;
  static_cast<void>(::syscall(kRestrict, rules, 0));
  ::close(rules);
}

// What the process has mapped now, and so much more. Not where the address sanitizer reserves terabytes.
void limit_memory() {
#if !defined(__SANITIZE_ADDRESS__)
  unsigned long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(file, "%lu", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  limit(RLIMIT_AS, pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) + kParserMemoryBytes);
#endif
}

}  // namespace

Status enter_sandbox(Role role, uint64_t most_files) {
  if (role == Role::kParser) limit_memory();
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NPROC, 0);
  limit(RLIMIT_MEMLOCK, 0);
  cut_bounding_set(0);
  // Where another user's id can't be taken (a namespace with one), the rest has to do.
  static_cast<void>(::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
  static_cast<void>(::setgroups(0, nullptr));
  static_cast<void>(::setresgid(kNobody, kNobody, kNobody));
  static_cast<void>(::setresuid(kNobody, kNobody, kNobody));
  Status kept = keep_capabilities(role == Role::kOpener ? kOpenerNeeds : 0);
  if (!kept) return kept;
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return errno_error(ErrorCode::kEnvironment, "giving up privileges", errno);
  if (role == Role::kParser) forbid_file_systems();
  limit(RLIMIT_NOFILE, most_files);
  return filter_calls(role);
}

}  // namespace memwhy::files
