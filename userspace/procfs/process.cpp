// SPDX-License-Identifier: Apache-2.0
#include "procfs/process.h"
#include "procfs/shared_pages.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>

#include "base/refusals.h"
#include "base/time.h"
#include "fmt/format.h"

namespace memwhy::procfs {
namespace {

constexpr size_t kVmasAtMost = 4'000'000;        // vm.max_map_count is 65,530 by default
constexpr size_t kLineAtMost = size_t{1} << 16;  // a path has at most 4 KiB, escapes make it four times that

std::string nested_hint(const Root& root, Pid pid) {
  const auto hosts = root.find_by_nested_pid(pid);
  if (hosts.empty()) return "";
  if (hosts.size() == 1) return fmt::format(" (inside a container {} is host pid {})", pid, hosts.front());
  const size_t shown = std::min<size_t>(hosts.size(), 5);
  return fmt::format(" (inside containers {} is host pid {}{})", pid,
                     fmt::join(hosts.begin(), hosts.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                     hosts.size() > shown ? ", …" : "");
}

// Below the limit of open files so much is left for what is opened for a moment, again and again, of those that are
// recorded already: without it each of them would seem to be gone.
bool leaves_reserve(int fd) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return true;
  return static_cast<rlim_t>(fd) + std::min<rlim_t>(64, limit.rlim_cur / 4) < limit.rlim_cur;
}

// The kernel has the process, and does not give it to us.
Error refusal(int err, const std::string& pid) {
  if (err == EMFILE) {
    rlimit limit = {};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return {ErrorCode::kEnvironment,
            fmt::format("pid {}: memwhy may open no more files: its limit is {} (ulimit -n)", pid,
                        limit.rlim_cur)};
  }
  return errno_error(ErrorCode::kEnvironment, "opening pid " + pid, err);
}

// Reads the whole of maps in pieces: half a million mappings are 24 MB of text, never needed at once.
Result<std::vector<events::Vma>> read_maps(int fd) {
  if (::lseek(fd, 0, SEEK_SET) < 0) return errno_error(code_of_errno(errno), "maps", errno);
  std::vector<events::Vma> vmas;
  std::string pending;
  std::array<char, 65536> buffer;  // filled by read
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(code_of_errno(errno), "maps", errno);
    if (n == 0) return vmas;
    pending.append(buffer.data(), static_cast<size_t>(n));
    size_t begin = 0;
    for (size_t end = pending.find('\n'); end != std::string::npos; end = pending.find('\n', begin)) {
      auto vma = parse_maps_line(std::string_view(pending).substr(begin, end - begin));
      begin = end + 1;
      if (!vma) return Error(ErrorCode::kInternal, "a line of maps that is not understood");
      if (vma->name == "[vsyscall]") continue;
      // Mappings may change between two reads; what is listed twice is cut.
      if (!vmas.empty() && vma->range.start < vmas.back().range.end) {
        const uint64_t cut = std::min(vmas.back().range.end, vma->range.end) - vma->range.start;
        vma->range.start += cut;
        vma->offset += vma->inode != 0 ? cut : 0;
      }
      if (!vma->range.empty()) vmas.push_back(std::move(*vma));
      if (vmas.size() > kVmasAtMost) return Error(ErrorCode::kEnvironment, "more than 4,000,000 mappings");
    }
    pending.erase(0, begin);
    if (pending.size() > kLineAtMost) return Error(ErrorCode::kInternal, "a line of maps without an end");
  }
}

}  // namespace

Result<Process> Process::open(const Root& root, Pid pid) {
  if (pid <= 0) return Error(ErrorCode::kUsage, fmt::format("{} is not a pid", pid));
  Process process(root, pid);
  const Status bound = process.bind();
  if (!bound) return bound.error();
  return process;
}

Status Process::bind() {
  const std::string name = std::to_string(pid_);
  directory_ = Fd(::openat(root_->fd(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory_ && errno != ENOENT && errno != ESRCH) return refusal(errno, name);
  if (!directory_) {
    return Error(ErrorCode::kTargetGone,
                 fmt::format("no process with pid {}{}", pid_, nested_hint(*root_, pid_)));
  }
  if (root_->own_namespace()) pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  // The directory was there before the pidfd and still answers after it, so both are of the same process.
  const auto first = stat();
  if (!first && !leaves_reserve(directory_.get())) return refusal(EMFILE, name);
  if (!first) return error_of(first.error(), "stat");
  if (first->kernel_thread()) return kernel_thread(fmt::format("pid {} ({})", pid_, first->comm));
  start_ticks_ = first->start_ticks;
  if (first->dead() && !live_thread(directory_.get())) {
    return Error(
        ErrorCode::kTargetGone,
        fmt::format("pid {} ({}) has exited and waits for its parent (a zombie)", pid_, first->comm));
  }

  const auto told = status();
  if (!told) return told.error();
  if (told->tgid != pid_) {
    return Error(ErrorCode::kUsage,
                 fmt::format("{} is a thread of process {}, which is the one to name", pid_, told->tgid));
  }
  for (const auto& [file, fd] : {std::pair{"maps", &maps_}, std::pair{"pagemap", &pagemap_}}) {
    *fd = Fd(::openat(directory_.get(), (memory_directory_ + file).c_str(), O_RDONLY | O_CLOEXEC));
    if (!*fd && (errno == EMFILE || errno == ENFILE)) return refusal(errno, name);
    if (!*fd) return error_of(errno_error(code_of_errno(errno), file, errno), file);
  }
  if (!leaves_reserve(pagemap_.get())) return refusal(EMFILE, name);
  kernel_ = kernel_version(root_->host().kernel_release);
  cpus_ = root_->host().cpus;
  cgroups_ = std::make_unique<CgroupReader>(*root_);
  return {};
}

bool Process::alive() const {
  if (pidfd_) {
    pollfd readable = {pidfd_.get(), POLLIN, 0};
    return ::poll(&readable, 1, 0) == 0;
  }
  const auto now = stat();
  return now && (!now->dead() || live_thread(directory_.get()).has_value());
}

Result<Stat> Process::stat() const {
  const auto text = read_file(directory_.get(), "stat");
  if (!text) return text.error();
  auto parsed = parse_stat(*text);
  if (!parsed) return Error(ErrorCode::kInternal, "stat is not understood");
  return *std::move(parsed);
}

std::optional<Pid> live_thread(int directory) {
  const int fd = ::openat(directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  const auto close = [](DIR* opened) { ::closedir(opened); };
  const std::unique_ptr<DIR, decltype(close)> tasks(::fdopendir(fd), close);
  if (!tasks) {
    ::close(fd);
    return std::nullopt;
  }
  while (const dirent* entry =
             ::readdir(tasks.get())) {  // NOLINT(concurrency-mt-unsafe): a stream of our own
    const std::string_view name = entry->d_name;
    Pid tid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), tid).ec != std::errc{}) continue;
    const auto text = read_file(directory, fmt::format("task/{}/stat", tid));
    const auto stat = text ? parse_stat(*text) : std::nullopt;
    if (stat && !stat->dead()) return tid;
  }
  return std::nullopt;
}

// Where the memory counters are: with the main thread, else with one that lives.
Result<ProcessStatus> Process::status() {
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto text = read_file(directory_.get(), memory_directory_ + "status");
    if (text) {
      ProcessStatus status = parse_status(*text);
      if (status.has_memory()) return status;
    } else if (text.error().code() != ErrorCode::kTargetGone) {
      return error_of(text.error(), "status");
    }
    const auto tid = live_thread(directory_.get());
    if (!tid) break;
    memory_directory_ = fmt::format("task/{}/", *tid);
  }
  return Error(ErrorCode::kTargetGone, fmt::format("pid {} has exited", pid_));
}

Error Process::error_of(const Error& cause, const std::string& doing) const {
  if (cause.code() == ErrorCode::kTargetGone)
    return {ErrorCode::kTargetGone, fmt::format("pid {} has exited", pid_)};
  if (cause.code() == ErrorCode::kEnvironment) {
    // With every capability, something else refuses.
    constexpr uint64_t kNeeded =
        (uint64_t{1} << 19) | (uint64_t{1} << 2);  // CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH
    const auto own = read_file(root_->fd(), "self/status");
    const bool capable = own && (parse_status(*own).capabilities & kNeeded) == kNeeded;
    return {
        ErrorCode::kEnvironment,
        fmt::format("reading {} of pid {} {}", doing, pid_,
                    capable ? "is refused by the kernel (a security module, Yama, or another user namespace)"
                            : "needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH: run as root")};
  }
  return Error(cause).with(fmt::format("pid {}", pid_));
}

Result<events::SpaceStart> Process::identity() {
  const auto now = stat();
  if (!now) return error_of(now.error(), "stat");
  if (now->start_ticks != start_ticks_)
    return Error(ErrorCode::kTargetGone, fmt::format("pid {} is another process now", pid_));
  events::SpaceStart start;
  start.tgid = pid_;
  start.comm = now->comm;
  start.started_ns = now->start_ticks * (1'000'000'000 / static_cast<uint64_t>(::sysconf(_SC_CLK_TCK)));
  if (const auto exe = read_link(directory_.get(), memory_directory_ + "exe")) start.exe = *exe;
  start.cgroup = cgroup_path();
  return start;
}

std::string Process::cgroup_path() const {
  const auto text = read_file(directory_.get(), "cgroup");
  const auto cgroup = text ? parse_cgroup(*text) : std::nullopt;
  return cgroup ? cgroup->path : "";
}

Result<events::Counters> Process::counters() {
  const auto now = status();
  if (!now) return now.error();
  events::Counters counters;
  counters.rss_anon_bytes = now->rss_anon_bytes.value_or(0);
  counters.rss_file_bytes = now->rss_file_bytes.value_or(0);
  counters.rss_shmem_bytes = now->rss_shmem_bytes.value_or(0);
  counters.swap_bytes = now->swap_bytes;
  counters.peak_bytes = now->peak_bytes;
  counters.page_table_bytes = now->page_table_bytes;
  counters.hugetlb_bytes = now->hugetlb_bytes;
  counters.locked_bytes = now->locked_bytes;
  counters.threads = now->threads;
  counters.error_bytes = rss_error_bytes(kernel_, cpus_, now->threads);
  if (const auto text = read_file(directory_.get(), "cgroup")) {
    if (const auto cgroup = parse_cgroup(*text)) {
      const CgroupRoom room = cgroups_->room(*cgroup).value_or(CgroupRoom{});
      counters.cgroup_usage_bytes = room.usage_bytes;
      counters.cgroup_limit_bytes = room.limit_bytes;
    }
  }
  return counters;
}

std::optional<uint64_t> Process::resident_pages() {
  const auto text = read_file(directory_.get(), "statm", 256);
  const auto statm = text ? parse_statm(*text) : std::nullopt;
  // Of one whose main thread has left it says nothing.
  return statm && statm->resident != 0 ? std::optional(statm->resident) : std::nullopt;
}

Result<std::vector<events::Vma>> Process::vmas() {
  auto vmas = read_maps(maps_.get());
  if (!vmas) return error_of(vmas.error(), "maps");
  if (vmas->empty()) {
    return Error(ErrorCode::kTargetGone,
                 fmt::format("the address space of pid {} is gone ({})", pid_, alive() ? "exec" : "exited"));
  }
  classify(*vmas);
  return vmas;
}

// Whichever process that is: one that did not fork this one has other mappings.
std::vector<events::Vma> Process::parents_vmas() const {
  const Result<Stat> now = stat();
  if (!now || now->parent <= 1) return {};
  const Fd maps(::openat(root_->fd(), fmt::format("{}/maps", now->parent).c_str(), O_RDONLY | O_CLOEXEC));
  if (!maps) return {};
  auto vmas = read_maps(maps.get());
  return vmas ? *std::move(vmas) : std::vector<events::Vma>();
}

// A name can lie, a file system can't; one mapping of each device is checked.
void Process::classify(std::vector<events::Vma>& vmas) {
  for (events::Vma& vma : vmas) {
    if (vma.inode == 0 && vma.device == 0) continue;
    auto known = devices_.find(vma.device);
    if (known == devices_.end()) {
      const std::optional<uint64_t> magic = file_system_of_ ? file_system_of_(vma) : std::nullopt;
      if (!magic) continue;  // the name has to do
      known = devices_.emplace(vma.device, Device{*magic == TMPFS_MAGIC, *magic == HUGETLBFS_MAGIC}).first;
    }
    vma.hugetlb = known->second.hugetlb;
    vma.shmem = known->second.shmem;
  }
}

Result<events::PageScan> Process::scan(const std::vector<events::Vma>& vmas) {
  events::PageScan scan;
  scan.start = clock_ns(CLOCK_MONOTONIC);
  if (auto before = counters()) scan.before = *before;
  auto outcome = PageScanner(pagemap_.get(), root_->fd(), scan_method_, scan_pace_).scan(vmas);
  if (!outcome) return error_of(outcome.error(), "pagemap");
  scan.method = std::move(outcome->method);
  scan.runs = std::move(outcome->runs);
  scan.shared =
      sample_shared(pagemap_.get(), root_->fd(), vmas, scan.runs, [this] { return parents_vmas(); });
  if (auto after = counters()) scan.after = *after;
  // An address space that was torn down during the scan has no pages, which is not an answer.
  std::array<char, 1> byte = {};
  const bool there = ::pread(maps_.get(), byte.data(), 1, 0) == 1;
  if (!there && scan.runs.empty()) {
    return Error(ErrorCode::kTargetGone, fmt::format("the address space of pid {} is gone", pid_));
  }
  scan.complete = outcome->complete && there;
  return scan;
}

void Process::scan_with(PageScanner::Method method, ScanPace pace) {
  scan_method_ = method;
  scan_pace_ = pace;
}

}  // namespace memwhy::procfs
